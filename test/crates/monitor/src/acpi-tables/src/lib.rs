//! A table in the guest's memory.
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use zerocopy::{Immutable, IntoBytes};

#[derive(Debug, Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
pub struct Header {
    pub signature: [u8; 4],
    pub length: u32,
}

#[derive(Debug, displaydoc::Display, thiserror::Error)]
pub enum TableError {
    /// the guest has no memory there
    Memory,
}

pub fn write(memory: &GuestMemoryMmap, at: GuestAddress, header: &Header) -> Result<(), TableError> {
    memory.write_slice(header.as_bytes(), at).map_err(|_| TableError::Memory)
}
