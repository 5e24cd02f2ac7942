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
        assert!(libc::WIFEXITED(status), "ended by a signal: {status:#x}");
        libc::WEXITSTATUS(status)
    }
}

const ROLES: [Role; 4] = [Role::Start, Role::StartJail, Role::Vmm, Role::Vcpu];

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
            unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
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

#[test]
fn what_comes_before_the_guest_is_not_allowed_after_it() {
    let socket = || {
        // SAFETY: no pointers but to a constant
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
    let table: [(fn(), [i32; 4]); 3] = [(socket, [0, 0, 148, 148]), (mount, [148, 0, 148, 148]), (open, [0, 0, 0, 148])];
    for (index, (call, expected)) in table.into_iter().enumerate() {
        assert_eq!(ROLES.map(|role| status_of(role, call)), expected, "call {index}");
    }
}
