//! Entropy device (virtio 1.2, section 5.4): random numbers of the host's kernel.

use super::queue::{copy_to, length, Broken, Queues};
use super::VirtioDevice;

/// Bytes for one request; a guest that asks for more gets less.
const MOST: usize = 4096;

pub struct Rng;

impl VirtioDevice for Rng {
    fn kind(&self) -> u32 {
        4
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[64]
    }

    fn config(&self) -> &[u8] {
        &[]
    }

    fn notified(&mut self, queues: &mut Queues, index: usize) -> Result<(), Broken> {
        queues.drain(index, |buffers| {
            let mut random = [0; MOST];
            let wanted = length(&buffers.writable).min(MOST);
            // SAFETY: the buffer is valid for `wanted` bytes
            let got = unsafe { libc::getrandom(random.as_mut_ptr().cast(), wanted, 0) };
            match usize::try_from(got) {
                Ok(got) => copy_to(&buffers.writable, &random[..got]) as u32,
                Err(_) => 0,
            }
        })
    }
}
