//! Where a guest runs: in a process of its own that is an unprivileged user, in namespaces of its own, with a root that holds
//! nothing, no capability, and no file but those that the guest is made of.
//!
//! The process that the requests reach stays outside ([`crate::keeper`]).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use libc::{c_int, c_ulong};

#[derive(Clone, Copy, Debug)]
pub struct Jail {
    uid: u32,
    gid: u32,
}

/// The first user of the range from which each machine has its own: above those of people, services and containers, below the
/// numbers that some programs take for negative ones. A process number, which has 22 bits, is added: no two machines that run
/// have the same. No file belongs to these users.
pub const FIRST_USER: u32 = 0x7000_0000;

/// The folder over which the new root is put, in a view of the file systems that nobody else sees.
const PLACE: &std::ffi::CStr = c"/tmp";

type Step = (&'static str, io::Error);

fn sentence((what, error): Step) -> String {
    format!("Cannot enter the jail: {what}: {error}. --jail names another user, --no-jail does without.")
}

fn check(what: &'static str, result: c_int) -> Result<c_int, Step> {
    if result < 0 {
        Err((what, io::Error::last_os_error()))
    } else {
        Ok(result)
    }
}

impl Jail {
    /// `<uid>:<gid>`, neither of them 0.
    pub fn parse(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
        match numbers {
            // -1 is no user for setresuid(2)
            Some((uid, gid)) if ![0, u32::MAX].contains(&uid) && ![0, u32::MAX].contains(&gid) => Ok(Jail { uid, gid }),
            _ => Err(format!("--jail: \"{text}\" is no <uid>:<gid> of an unprivileged user")),
        }
    }

    /// The user that is this process's own among all that run now; `None` when this user cannot make a jail.
    pub fn own() -> Option<Self> {
        // SAFETY: calls without pointers
        let (user, process) = unsafe { (libc::geteuid(), libc::getpid()) };
        let id = FIRST_USER + process as u32;
        (user == 0).then_some(Jail { uid: id, gid: id })
    }

    /// As fork(2), while there is one thread; the child is the first process of a namespace of processes.
    pub fn fork() -> Result<libc::pid_t, String> {
        // the namespace of children is chosen once; a second child needs the choice to be taken back
        let own = File::open("/proc/self/ns/pid").map_err(|error| sentence(("/proc/self/ns/pid", error)))?;
        // SAFETY: calls without pointers; there is one thread
        unsafe {
            check("unshare", libc::unshare(libc::CLONE_NEWPID)).map_err(sentence)?;
            let child = check("fork", libc::fork());
            if matches!(child, Ok(0)) {
                return Ok(0);
            }
            check("setns", libc::setns(own.as_raw_fd(), libc::CLONE_NEWPID)).map_err(sentence)?;
            child.map_err(sentence)
        }
    }

    /// Goes in, and nobody comes out. Of the open files only `keep` stays. Only while there is one thread.
    pub fn enter(self, keep: &[RawFd]) -> Result<(), String> {
        close_others(keep).and_then(|()| self.try_enter()).map_err(sentence)
    }

    fn try_enter(self) -> Result<(), Step> {
        let none = std::ptr::null();
        // SAFETY: every string ends with a zero and outlives its call
        unsafe {
            let spaces = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
            check("unshare", libc::unshare(spaces))?;
            check("mount", libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()))?;
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            let options = c"size=4k,mode=555";
            check(
                "mount",
                libc::mount(c"none".as_ptr(), PLACE.as_ptr(), c"tmpfs".as_ptr(), flags, options.as_ptr().cast()),
            )?;
            check("chdir", libc::chdir(PLACE.as_ptr()))?;
            if libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) == 0 {
                // the old root is under the new one, and then gone
                check("umount", libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
            } else {
                // the root of an initramfs cannot be moved: the new one covers it
                check("mount", libc::mount(c".".as_ptr(), c"/".as_ptr(), none, libc::MS_MOVE, none.cast()))?;
                check("chroot", libc::chroot(c".".as_ptr()))?;
            }
            check("chdir", libc::chdir(c"/".as_ptr()))?;
            let again = flags | libc::MS_REMOUNT | libc::MS_RDONLY;
            check("mount", libc::mount(none, c"/".as_ptr(), none, again, none.cast()))?;
            // the kernel says no to the first number that is no capability
            let _ = (0..64).find(|capability| libc::prctl(libc::PR_CAPBSET_DROP, *capability as c_ulong, 0, 0, 0) != 0);
            check("setgroups", libc::setgroups(0, std::ptr::null()))?;
            check("setresgid", libc::setresgid(self.gid, self.gid, self.gid))?;
            check("setresuid", libc::setresuid(self.uid, self.uid, self.uid))?;
            // whatever the bits say that keep them over a change of user: version 3, this process; three sets, in halves
            let (header, sets) = ([0x2008_0522u32, 0], [0u32; 6]);
            check("capset", libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) as c_int)?;
            check("prctl", libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            check("prctl", libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))?;
            // a change of user takes this back, so it comes last; the end of the link says it as well, if anything listens
            check("prctl", libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong, 0, 0, 0))?;
        }
        Ok(())
    }
}

/// Also what this process was born with and never knew of.
fn close_others(keep: &[RawFd]) -> Result<(), Step> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut next = 0;
    for fd in keep {
        close_range(next, fd.checked_sub(1))?;
        next = next.max(fd + 1);
    }
    close_range(next, Some(u32::MAX))
}

fn close_range(first: u32, last: Option<u32>) -> Result<(), Step> {
    match last {
        Some(last) if first <= last => {
            // SAFETY: a call without pointers; whose descriptors these were, never uses them again
            check("close_range", unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } as c_int).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// A file in the place of a standard one, before [`Jail::enter`].
pub fn replace(file: &File, number: RawFd) -> Result<(), String> {
    // SAFETY: a call without pointers
    check("dup2", unsafe { libc::dup2(file.as_raw_fd(), number) }).map(|_| ()).map_err(sentence)
}

/// An end to read from, which does not wait, and one to write to.
pub fn pipe() -> Result<(File, File), String> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors; both are new
    unsafe {
        check("pipe2", libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC)).map_err(sentence)?;
        let (from, to) = (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]));
        let mut yes: c_int = 1;
        check("ioctl", libc::ioctl(from.as_raw_fd(), libc::FIONBIO, &raw mut yes)).map_err(sentence)?;
        Ok((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unprivileged_user_is_one() {
        assert!(Jail::parse("65534:65534").is_ok());
        for text in
            ["", "0:0", "0:1", "1:0", "1", "a:b", "-1:1", "1:1:1", "4294967296:1", "4294967295:1", "1:4294967295"]
        {
            assert!(Jail::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_process_has_a_user_of_its_own() {
        // SAFETY: a call without pointers
        let root = unsafe { libc::geteuid() } == 0;
        let jail = Jail::own();
        assert_eq!(jail.is_some(), root);
        assert!(jail.is_none_or(|jail| jail.uid == FIRST_USER + std::process::id()
            && jail.uid < 1 << 31
            && jail.gid == jail.uid));
    }
}
