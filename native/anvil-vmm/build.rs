//! Makes programs for the kernel's filter of `seccomp.policy`: one for each section, `<section>.bpf` in `OUT_DIR`.

use std::collections::BTreeMap;
use std::convert::TryInto;
use std::path::Path;
use std::{env, fs};

use seccompiler::{BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};

macro_rules! numbers {
    ($($name:ident)*) => {
        fn number(name: &str) -> Option<i64> {
            match name {
                $(stringify!($name) => Some(libc_numbers::$name),)*
                _ => None,
            }
        }
    };
}

/// Of arch/x86/entry/syscalls/syscall_64.tbl.
#[allow(non_upper_case_globals)]
mod libc_numbers {
    pub const read: i64 = 0;
    pub const write: i64 = 1;
    pub const open: i64 = 2;
    pub const close: i64 = 3;
    pub const fstat: i64 = 5;
    pub const lseek: i64 = 8;
    pub const mmap: i64 = 9;
    pub const mprotect: i64 = 10;
    pub const munmap: i64 = 11;
    pub const brk: i64 = 12;
    pub const rt_sigaction: i64 = 13;
    pub const rt_sigprocmask: i64 = 14;
    pub const rt_sigreturn: i64 = 15;
    pub const ioctl: i64 = 16;
    pub const readv: i64 = 19;
    pub const writev: i64 = 20;
    pub const mremap: i64 = 25;
    pub const madvise: i64 = 28;
    pub const getpid: i64 = 39;
    pub const socket: i64 = 41;
    pub const connect: i64 = 42;
    pub const sendto: i64 = 44;
    pub const recvfrom: i64 = 45;
    pub const shutdown: i64 = 48;
    pub const exit: i64 = 60;
    pub const fcntl: i64 = 72;
    pub const flock: i64 = 73;
    pub const fdatasync: i64 = 75;
    pub const unlink: i64 = 87;
    pub const sigaltstack: i64 = 131;
    pub const gettid: i64 = 186;
    pub const tkill: i64 = 200;
    pub const futex: i64 = 202;
    pub const restart_syscall: i64 = 219;
    pub const clock_gettime: i64 = 228;
    pub const exit_group: i64 = 231;
    pub const epoll_wait: i64 = 232;
    pub const epoll_ctl: i64 = 233;
    pub const tgkill: i64 = 234;
    pub const openat: i64 = 257;
    pub const newfstatat: i64 = 262;
    pub const epoll_pwait: i64 = 281;
    pub const accept4: i64 = 288;
    pub const preadv: i64 = 295;
    pub const pwritev: i64 = 296;
    pub const getrandom: i64 = 318;
    pub const statx: i64 = 332;
}

numbers! {
    read write open close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl readv writev
    mremap madvise getpid socket connect sendto recvfrom shutdown exit fcntl flock fdatasync unlink sigaltstack gettid
    tkill futex restart_syscall clock_gettime exit_group epoll_wait epoll_ctl tgkill openat newfstatat epoll_pwait
    accept4 preadv pwritev getrandom statx
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn main() {
    println!("cargo:rerun-if-changed=seccomp.policy");
    println!("cargo:rerun-if-changed=build.rs");
    let policy = fs::read_to_string("seccomp.policy").expect("seccomp.policy can be read");
    let mut sections: BTreeMap<String, Rules> = BTreeMap::new();
    let mut section = None;
    for (index, line) in policy.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what: &str| -> ! { panic!("seccomp.policy, line {}: {what}: {line}", index + 1) };
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = Some(sections.entry(name.to_string()).or_default());
            continue;
        }
        let Some(rules) = section.as_mut() else { wrong("before the first section") };
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(number) = number(words[0]) else { wrong("an unknown system call") };
        let rules: &mut Vec<SeccompRule> = rules.entry(number).or_default();
        let value = |text: &str| match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        let (argument, operation, expected) = match words[1..] {
            [] => continue,
            [argument, "=", expected] => (argument.parse(), Some(SeccompCmpOp::Eq), value(expected)),
            [argument, "&", mask, "=", expected] => (argument.parse(), value(mask).map(SeccompCmpOp::MaskedEq), value(expected)),
            _ => wrong("not a condition"),
        };
        let (Ok(argument), Some(operation), Some(expected)) = (argument, operation, expected) else { wrong("not a number") };
        // the kernel looks at the lower half of these arguments only: an int, or a number of an ioctl
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, expected);
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
        rules.push(rule.unwrap_or_else(|error| wrong(&error.to_string())));
    }
    for (name, rules) in sections {
        let filter = SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, TargetArch::x86_64);
        let program: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
        let bytes: Vec<u8> = program
            .iter()
            .flat_map(|step| {
                let mut bytes = step.code.to_le_bytes().to_vec();
                bytes.extend([step.jt, step.jf]);
                bytes.extend(step.k.to_le_bytes());
                bytes
            })
            .collect();
        let folder = env::var("OUT_DIR").expect("cargo sets it");
        fs::write(Path::new(&folder).join(format!("{name}.bpf")), bytes).expect("OUT_DIR can be written");
    }
}
