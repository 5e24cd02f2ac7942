//! Makes programs for the kernel's filter of `seccomp.policy`: one for each section, `<section>.bpf` in `OUT_DIR`.

use std::collections::BTreeMap;
use std::convert::TryInto;
use std::path::Path;
use std::{env, fs};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

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
    pub const stat: i64 = 4;
    pub const fstat: i64 = 5;
    pub const lstat: i64 = 6;
    pub const poll: i64 = 7;
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
    pub const dup2: i64 = 33;
    pub const getpid: i64 = 39;
    pub const socket: i64 = 41;
    pub const connect: i64 = 42;
    pub const sendto: i64 = 44;
    pub const recvfrom: i64 = 45;
    pub const sendmsg: i64 = 46;
    pub const recvmsg: i64 = 47;
    pub const shutdown: i64 = 48;
    pub const bind: i64 = 49;
    pub const listen: i64 = 50;
    pub const socketpair: i64 = 53;
    pub const clone: i64 = 56;
    pub const fork: i64 = 57;
    pub const exit: i64 = 60;
    pub const wait4: i64 = 61;
    pub const kill: i64 = 62;
    pub const fcntl: i64 = 72;
    pub const flock: i64 = 73;
    pub const fdatasync: i64 = 75;
    pub const chdir: i64 = 80;
    pub const unlink: i64 = 87;
    pub const umask: i64 = 95;
    pub const geteuid: i64 = 107;
    pub const setgroups: i64 = 116;
    pub const setresuid: i64 = 117;
    pub const setresgid: i64 = 119;
    pub const capset: i64 = 126;
    pub const sigaltstack: i64 = 131;
    pub const pivot_root: i64 = 155;
    pub const prctl: i64 = 157;
    pub const chroot: i64 = 161;
    pub const mount: i64 = 165;
    pub const umount2: i64 = 166;
    pub const gettid: i64 = 186;
    pub const tkill: i64 = 200;
    pub const futex: i64 = 202;
    pub const restart_syscall: i64 = 219;
    pub const set_tid_address: i64 = 218;
    pub const clock_gettime: i64 = 228;
    pub const exit_group: i64 = 231;
    pub const epoll_wait: i64 = 232;
    pub const epoll_ctl: i64 = 233;
    pub const tgkill: i64 = 234;
    pub const openat: i64 = 257;
    pub const newfstatat: i64 = 262;
    pub const unshare: i64 = 272;
    pub const set_robust_list: i64 = 273;
    pub const epoll_pwait: i64 = 281;
    pub const accept4: i64 = 288;
    pub const signalfd4: i64 = 289;
    pub const eventfd2: i64 = 290;
    pub const epoll_create1: i64 = 291;
    pub const pipe2: i64 = 293;
    pub const preadv: i64 = 295;
    pub const pwritev: i64 = 296;
    pub const setns: i64 = 308;
    pub const getrandom: i64 = 318;
    pub const pwritev2: i64 = 328;
    pub const statx: i64 = 332;
    pub const rseq: i64 = 334;
    pub const close_range: i64 = 436;
}

numbers! {
    read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask
    rt_sigreturn ioctl readv writev mremap madvise dup2 getpid socket connect sendto recvfrom sendmsg recvmsg shutdown
    bind listen socketpair pipe2 clone fork exit wait4 kill fcntl flock fdatasync chdir unlink umask geteuid setgroups
    setresuid setresgid capset sigaltstack pivot_root prctl chroot mount umount2 gettid tkill futex restart_syscall set_tid_address
    clock_gettime exit_group epoll_wait epoll_ctl tgkill openat newfstatat unshare set_robust_list epoll_pwait accept4 signalfd4
    eventfd2 epoll_create1 preadv pwritev setns getrandom pwritev2 statx rseq close_range
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
/// The lines of a section: a system call, and the condition on it if there is one.
type Lines = Vec<(i64, Option<SeccompRule>)>;

fn main() {
    println!("cargo:rerun-if-changed=seccomp.policy");
    println!("cargo:rerun-if-changed=build.rs");
    let policy = fs::read_to_string("seccomp.policy").expect("seccomp.policy can be read");
    let mut sections: BTreeMap<String, Lines> = BTreeMap::new();
    let mut section = None;
    for (index, line) in policy.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |what: &str| -> ! { panic!("seccomp.policy, line {}: {what}: {line}", index + 1) };
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.insert(name.to_string(), Lines::new());
            section = Some(name.to_string());
            continue;
        }
        let Some(section) = &section else { wrong("before the first section") };
        let mut add = |lines: Lines| sections.get_mut(section).expect("it was begun").extend(lines);
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["+", other] = words[..] {
            match sections.get(other).cloned() {
                Some(lines) if other != section => sections.get_mut(section).expect("it was begun").extend(lines),
                _ => wrong("not a section above"),
            }
            continue;
        }
        let Some(number) = number(words[0]) else { wrong("an unknown system call") };
        let value = |text: &str| match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        let (argument, operation, expected) = match words[1..] {
            [] => {
                add(vec![(number, None)]);
                continue;
            }
            [argument, "=", expected] => (argument.parse(), Some(SeccompCmpOp::Eq), value(expected)),
            [argument, "&", mask, "=", expected] => {
                (argument.parse(), value(mask).map(SeccompCmpOp::MaskedEq), value(expected))
            }
            _ => wrong("not a condition"),
        };
        let (Ok(argument), Some(operation), Some(expected)) = (argument, operation, expected) else {
            wrong("not a number")
        };
        // the kernel looks at the lower half of these arguments only: an int, or a number of an ioctl
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, expected);
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
        add(vec![(number, Some(rule.unwrap_or_else(|error| wrong(&error.to_string()))))]);
    }
    for (name, lines) in sections {
        let free: Vec<i64> = lines.iter().filter(|(_, rule)| rule.is_none()).map(|(number, _)| *number).collect();
        let mut rules = Rules::new();
        for (number, rule) in lines {
            // no rule at all is what a filter takes for a call without a condition
            rules.entry(number).or_default().extend(rule.filter(|_| !free.contains(&number)));
        }
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
