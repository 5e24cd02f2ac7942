//! Devices of the guest. What a guest writes, into registers or memory, is untrusted: nothing here may panic, wait or
//! reach outside of the guest's memory because of it.

pub mod block;
pub mod bus;
pub mod console;
pub mod i8042;
pub mod mmio;
pub mod net;
pub mod queue;
pub mod rng;
pub mod vsock;

use std::os::fd::RawFd;

use queue::Queues;

/// What differs from one virtio device to the next; [`mmio::Mmio`] is the transport around it.
pub trait VirtioDevice: Send {
    /// Device ID (virtio 1.2, section 5).
    fn kind(&self) -> u32;

    /// Feature bits that the device offers, without those of the transport and the queues.
    fn features(&self) -> u64;

    /// The largest size of each queue.
    fn queue_sizes(&self) -> &'static [u16];

    /// Device-specific configuration space.
    fn config(&self) -> &[u8];

    /// The driver is ready: `features` are those that both sides have.
    fn activate(&mut self, _features: u64) {}

    /// The driver starts from the beginning.
    fn reset(&mut self) {}

    /// The guest made buffers available in a queue. An error says that the guest broke the rules of the ring: the device
    /// stops until the driver resets it.
    fn notified(&mut self, queues: &mut Queues, index: usize) -> Result<(), queue::Broken>;

    /// What makes [`VirtioDevice::host_event`] be called when it becomes readable.
    fn host_fd(&self) -> Option<RawFd> {
        None
    }

    fn host_event(&mut self, _queues: &mut Queues) -> Result<(), queue::Broken> {
        Ok(())
    }

    /// Another file below a drive; the message of the fault when there is none.
    fn replace_file(&mut self, _file: block::DriveFile) -> bool {
        false
    }
}
