//! Runs while the monitor is built: makes a filter of system calls with the C library for it.
use std::ffi::{CString, c_char, c_int, c_void};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, FromRawFd};

use serde::{Deserialize, Serialize};
use zerocopy::IntoBytes;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;

#[link(name = "seccomp")]
unsafe extern "C" {
    fn seccomp_init(otherwise: u32) -> *mut c_void;
    fn seccomp_syscall_resolve_name(name: *const c_char) -> c_int;
    fn seccomp_rule_add(filter: *mut c_void, action: u32, call: c_int, arguments: u32, ...) -> c_int;
    fn seccomp_export_bpf(filter: *const c_void, file: c_int) -> c_int;
    fn seccomp_release(filter: *mut c_void);
}

#[derive(Debug, displaydoc::Display, thiserror::Error)]
pub enum FilterError {
    /// the policy cannot be read: {0}
    Policy(#[from] serde_json::Error),
    /// no system call is called {0}
    Unknown(String),
    /// the library refuses
    Library,
    /// {0}
    Io(#[from] std::io::Error),
    /// the filter cannot be written: {0}
    Encode(#[from] bincode::error::EncodeError),
}

#[derive(Debug, Serialize, Deserialize)]
struct Policy {
    allow: Vec<String>,
}

#[derive(Debug, clap::Parser)]
pub struct Arguments {
    /// The policy in JSON
    #[arg(long)]
    pub policy: String,
}

/// The filter as the kernel reads it, in bincode.
pub fn compile(policy: &str) -> Result<Vec<u8>, FilterError> {
    let policy: Policy = serde_json::from_str(policy)?;
    // SAFETY: the library's own functions, with a filter that it made and texts that end with a zero
    let mut file = unsafe {
        let filter = seccomp_init(KILL);
        if filter.is_null() {
            return Err(FilterError::Library);
        }
        for name in &policy.allow {
            let text = CString::new(name.as_str()).map_err(|_| FilterError::Unknown(name.clone()))?;
            let call = seccomp_syscall_resolve_name(text.as_ptr());
            if call < 0 {
                return Err(FilterError::Unknown(name.clone()));
            }
            if seccomp_rule_add(filter, ALLOW, call, 0) != 0 {
                return Err(FilterError::Library);
            }
        }
        let file = std::fs::File::from_raw_fd(libc::memfd_create(c"filter".as_ptr(), 0));
        if seccomp_export_bpf(filter, file.as_raw_fd()) != 0 {
            return Err(FilterError::Library);
        }
        seccomp_release(filter);
        file
    };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut words = vec![0_u64; bytes.len() / 8];
    words.as_mut_bytes().copy_from_slice(&bytes);
    Ok(bincode::serde::encode_to_vec(&words, bincode::config::standard())?)
}
