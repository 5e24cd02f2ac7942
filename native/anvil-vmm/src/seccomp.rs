//! Filters of system calls (seccomp(2)), made from `seccomp.policy` when this was built: one for all threads from the
//! beginning, and on top of it one for each kind of thread when the guest starts.

use std::io;

use libc::{sock_filter, sock_fprog};

#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// Before the guest starts.
    Start,
    /// The same, with the way into a jail.
    StartJail,
    /// Of the process of the requests when the guest runs in another one.
    Keeper,
    /// The loop of a guest in the process of the requests; in a jail.
    Vmm,
    Jailed,
    Vcpu,
}

/// Eight bytes a step: struct sock_filter.
const START: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/start.bpf"));
const START_JAIL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/start-jail.bpf"));
const KEEPER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/keeper.bpf"));
const VMM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vmm.bpf"));
const JAILED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/jailed.bpf"));
const VCPU: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vcpu.bpf"));

const REFUSED: i32 = 148;

/// Once, before any thread enters: no new privileges, and a word before the end.
pub fn prepare() -> Result<(), String> {
    // SAFETY: calls with plain data; the handler does only what a handler may
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(format!("Cannot give up new privileges: {}.", io::Error::last_os_error()));
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = refused as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        if libc::sigaction(libc::SIGSYS, &action, std::ptr::null_mut()) != 0 {
            return Err(format!("Cannot set a signal handler: {}.", io::Error::last_os_error()));
        }
    }
    Ok(())
}

/// Confines the calling thread, for ever.
pub fn enter(role: Role) -> Result<(), String> {
    let bytes = match role {
        Role::Start => START,
        Role::StartJail => START_JAIL,
        Role::Keeper => KEEPER,
        Role::Vmm => VMM,
        Role::Jailed => JAILED,
        Role::Vcpu => VCPU,
    };
    let mut steps: Vec<sock_filter> = bytes
        .chunks_exact(8)
        .map(|step| sock_filter {
            code: u16::from_le_bytes([step[0], step[1]]),
            jt: step[2],
            jf: step[3],
            k: u32::from_le_bytes([step[4], step[5], step[6], step[7]]),
        })
        .collect();
    let program = sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the program is as long as it says, and the kernel copies it
    let entered = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if entered != 0 {
        return Err(format!("Cannot filter system calls: {}.", io::Error::last_os_error()));
    }
    Ok(())
}

/// Says which system call it was, with nothing that could need another one.
extern "C" fn refused(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a siginfo_t; in it, for SIGSYS, an address and then the number of the call
    let mut number = unsafe { *info.cast::<u8>().add(24).cast::<u32>() };
    let mut text = *b"anvil-vmm: system call      is not allowed\n";
    for place in (23..27).rev() {
        text[place] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    // SAFETY: the buffer is valid for its length
    unsafe {
        libc::write(2, text.as_ptr().cast(), text.len());
        libc::_exit(REFUSED);
    }
}
