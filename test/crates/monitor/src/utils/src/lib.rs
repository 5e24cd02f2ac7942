//! What the other packages share.
use derive_more::From;
use displaydoc::Display;

#[derive(Debug, Display, From, thiserror::Error)]
pub enum UtilsError {
    /// the system says {0}
    System(std::io::Error),
}

/// An event that can be waited for.
pub fn event() -> Result<vmm_sys_util::eventfd::EventFd, UtilsError> {
    Ok(vmm_sys_util::eventfd::EventFd::new(libc::EFD_NONBLOCK)?)
}
