//! Where the monitor lives once its guest runs: an unprivileged user, in a root that holds nothing.
//!
//! It goes in when the guest is started and all files that the requests named are open. What a guest that took over the
//! monitor could still reach are those files, its own sockets, and the folder in which programs of the host listen for
//! connections of the guest, when there is such a device.

use std::ffi::{CStr, CString};
use std::io;

pub struct Jail {
    uid: u32,
    gid: u32,
}

/// The folder over which the new root is put, in a view of the file systems that nobody else sees.
const PLACE: &CStr = c"/tmp";

impl Jail {
    /// `<uid>:<gid>`, neither of them 0.
    pub fn parse(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
        match numbers {
            Some((uid, gid)) if uid != 0 && gid != 0 => Ok(Jail { uid, gid }),
            _ => Err(format!("--jail: \"{text}\" is no <uid>:<gid> of an unprivileged user")),
        }
    }

    /// Goes in, and nobody comes out. Only while there is one thread: a root is a thread's. What is returned is the new path
    /// of a socket, when one is given.
    pub fn enter(&self, socket: Option<&str>) -> Result<Option<String>, String> {
        self.try_enter(socket).map_err(|(what, error)| format!("Cannot enter the jail: {what}: {error}."))
    }

    fn try_enter(&self, socket: Option<&str>) -> Result<Option<String>, (&'static str, io::Error)> {
        let none = std::ptr::null();
        let (folder, name) = match socket.map(|path| path.rsplit_once('/').unwrap_or((".", path))) {
            Some(("", name)) => (Some(c"/".to_owned()), Some(name)),
            Some((folder, name)) => (CString::new(folder).ok(), Some(name)),
            None => (None, None),
        };
        // SAFETY: every string ends with a zero and outlives its call
        unsafe {
            let spaces = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
            check("unshare", libc::unshare(spaces))?;
            check("mount", libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()))?;
            // before the new root covers it, and in this view: what was opened in another one cannot be mounted
            let folder = match &folder {
                Some(folder) => check("open", libc::open(folder.as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC))?,
                None => -1,
            };
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            let options = c"size=64k,mode=755";
            check("mount", libc::mount(c"none".as_ptr(), PLACE.as_ptr(), c"tmpfs".as_ptr(), flags, options.as_ptr().cast()))?;
            check("chdir", libc::chdir(PLACE.as_ptr()))?;
            if folder >= 0 {
                check("mkdir", libc::mkdir(c"sockets".as_ptr(), 0o755))?;
                let from = CString::new(format!("/proc/self/fd/{folder}")).unwrap_or_default();
                check("mount", libc::mount(from.as_ptr(), c"sockets".as_ptr(), none, libc::MS_BIND, none.cast()))?;
                libc::close(folder);
            }
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
            check("setgroups", libc::setgroups(0, std::ptr::null()))?;
            check("setresgid", libc::setresgid(self.gid, self.gid, self.gid))?;
            check("setresuid", libc::setresuid(self.uid, self.uid, self.uid))?;
        }
        Ok(name.map(|name| format!("/sockets/{name}")))
    }
}

fn check(what: &'static str, result: libc::c_int) -> Result<libc::c_int, (&'static str, io::Error)> {
    if result < 0 { Err((what, io::Error::last_os_error())) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unprivileged_user_is_one() {
        assert!(Jail::parse("65534:65534").is_ok());
        for text in ["", "0:0", "0:1", "1:0", "1", "a:b", "-1:1", "1:1:1", "4294967296:1"] {
            assert!(Jail::parse(text).is_err(), "{text}");
        }
    }
}
