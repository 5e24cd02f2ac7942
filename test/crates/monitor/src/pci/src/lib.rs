//! The address of a device.
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub bus: u8,
    pub device: u8,
}

#[derive(Debug, displaydoc::Display, thiserror::Error)]
pub enum AddressError {
    /// there is no device {0}
    Device(u8),
}

impl Address {
    pub fn new(bus: u8, device: u8) -> Result<Self, AddressError> {
        log::debug!("The address of a device is made");
        if device < 32 { Ok(Self { bus, device }) } else { Err(AddressError::Device(device)) }
    }
}

/// Bytes of a page, from the C library.
pub fn page() -> usize {
    // SAFETY: asks for a constant of the system
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}
