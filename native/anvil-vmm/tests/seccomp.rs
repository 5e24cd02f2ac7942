//! A system call that the policy does not name ends the process, from before the first request on.

use anvil_vmm::seccomp::{enter, prepare, Role};

/// The exit status of a child that is confined and then makes a system call.
fn status_of(role: Role, call: fn()) -> i32 {
    // SAFETY: the child makes system calls and leaves
    unsafe {
        let child = libc::fork();
        assert!(child >= 0);
        if child == 0 {
            if prepare().and_then(|()| enter(role)).is_err() {
                libc::_exit(1);
            }
            call();
            libc::_exit(0);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        // where signals are blocked, as in fork(3), nothing can be said before the end
        if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS {
            return 148;
        }
        assert!(libc::WIFEXITED(status), "ended by a signal: {status:#x}");
        libc::WEXITSTATUS(status)
    }
}

const ROLES: [Role; 6] = [Role::Start, Role::StartJail, Role::Keeper, Role::Vmm, Role::Jailed, Role::Vcpu];

#[test]
fn no_thread_may_start_a_program_or_run_what_it_wrote() {
    let calls: [fn(); 4] = [
        || {
            // SAFETY: a program without arguments
            unsafe { libc::execve(c"/bin/true".as_ptr(), std::ptr::null(), std::ptr::null()) };
        },
        || {
            // SAFETY: a new process; on the way here it is refused
            unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        },
        || {
            // SAFETY: a new mapping
            unsafe {
                libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
            };
        },
        || {
            // SAFETY: a call without pointers
            unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        },
    ];
    for role in ROLES {
        for (index, call) in calls.into_iter().enumerate() {
            assert_eq!(status_of(role, call), 148, "{role:?}: call {index}");
        }
        assert_eq!(status_of(role, || ()), 0, "{role:?}");
    }
}

/// The roles in which a call does not end the process.
fn allowed(call: fn()) -> Vec<usize> {
    (0..ROLES.len()).filter(|role| status_of(ROLES[*role], call) != 148).collect()
}

/// The numbers of arch/x86/entry/syscalls/syscall_64.tbl for everything that opens, makes, names or removes something by a path.
const BY_PATH: [(&str, i64); 37] = [
    ("open", 2),
    ("stat", 4),
    ("lstat", 6),
    ("access", 21),
    ("rename", 82),
    ("mkdir", 83),
    ("rmdir", 84),
    ("creat", 85),
    ("link", 86),
    ("unlink", 87),
    ("symlink", 88),
    ("readlink", 89),
    ("chmod", 90),
    ("chown", 92),
    ("mknod", 133),
    ("pivot_root", 155),
    ("chroot", 161),
    ("mount", 165),
    ("umount2", 166),
    ("openat", 257),
    ("mkdirat", 258),
    ("mknodat", 259),
    ("fchownat", 260),
    ("newfstatat", 262),
    ("unlinkat", 263),
    ("renameat", 264),
    ("linkat", 265),
    ("symlinkat", 266),
    ("readlinkat", 267),
    ("fchmodat", 268),
    ("faccessat", 269),
    ("name_to_handle_at", 303),
    ("open_by_handle_at", 304),
    ("renameat2", 316),
    ("execveat", 322),
    ("statx", 332),
    ("openat2", 437),
];

const OTHERS: [(&str, i64); 11] = [
    ("socket", 41),
    ("connect", 42),
    ("bind", 49),
    ("socketpair", 53),
    ("kill", 62),
    ("setresuid", 117),
    ("unshare", 272),
    ("setns", 308),
    ("process_vm_writev", 311),
    ("io_uring_setup", 425),
    ("pidfd_getfd", 438),
];

#[test]
fn in_a_jail_nothing_is_opened_made_or_removed() {
    for role in [Role::Jailed, Role::Vcpu] {
        for (name, number) in BY_PATH.into_iter().chain(OTHERS) {
            let call = || {
                // SAFETY: without arguments that could mean something
                unsafe { libc::syscall(NUMBER.load(std::sync::atomic::Ordering::SeqCst), -1, 0, -1, 0, 0) };
            };
            NUMBER.store(number, std::sync::atomic::Ordering::SeqCst);
            assert_eq!(status_of(role, call), 148, "{role:?}: {name}");
        }
    }
}

/// Of the test above: a closure that captures nothing is what a child can be given.
static NUMBER: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

#[test]
fn what_comes_before_the_guest_is_not_allowed_after_it() {
    let umask: fn() = || {
        // SAFETY: a call without pointers
        unsafe { libc::umask(0o177) };
    };
    let mount = || {
        let none = std::ptr::null();
        // SAFETY: fails, as there is no such place
        unsafe { libc::mount(none, c"/no/place".as_ptr(), none, 0, none.cast()) };
    };
    let open = || {
        // SAFETY: a constant path
        unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) };
    };
    let fork = || {
        // SAFETY: the child leaves
        if unsafe { libc::fork() } == 0 {
            unsafe { libc::_exit(0) };
        }
    };
    let kill = || {
        // SAFETY: a call without pointers, of a process that there is not
        unsafe { libc::kill(libc::pid_t::MAX, libc::SIGKILL) };
    };
    let term = || {
        // SAFETY: as above
        unsafe { libc::kill(libc::pid_t::MAX, libc::SIGTERM) };
    };
    // by their place in ROLES
    assert_eq!(allowed(umask), [0, 1]);
    assert_eq!(allowed(mount), [1]);
    assert_eq!(allowed(open), [0, 1, 2, 3]);
    assert_eq!(allowed(fork), [1]);
    assert_eq!(allowed(kill), [1, 2]);
    assert_eq!(allowed(term), [0usize; 0]);
}

/// musl writes by pwritev2 with RWF_NOAPPEND since 1.2.6.
#[test]
fn a_drive_may_be_written_in_both_ways() {
    let old: fn() = || {
        // SAFETY: of no file
        unsafe { libc::syscall(libc::SYS_pwritev, -1, 0, 0, 0, 0) };
    };
    let new = || {
        // SAFETY: of no file
        unsafe { libc::syscall(libc::SYS_pwritev2, -1, 0, 0, 0, 0, 0x20) };
    };
    let other = || {
        // SAFETY: of no file
        unsafe { libc::syscall(libc::SYS_pwritev2, -1, 0, 0, 0, 0, 0x10) };
    };
    assert_eq!(allowed(old), [0, 1, 3, 4]);
    assert_eq!(allowed(new), [0, 1, 3, 4]);
    assert_eq!(allowed(other), [0usize; 0]);
}
