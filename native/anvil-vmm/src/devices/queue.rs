//! The queues of one device, with the guest's memory and the interrupt that goes with them.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

use libc::{c_void, iovec};
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};
use vmm_sys_util::eventfd::EventFd;

pub type Memory = GuestMemoryMmap<()>;

/// The guest broke the rules of a ring.
#[derive(Debug)]
pub struct Broken;

impl From<virtio_queue::Error> for Broken {
    fn from(_: virtio_queue::Error) -> Self {
        Broken
    }
}

/// Interrupt status (virtio 1.2, 4.2.2): a buffer was used; the configuration changed.
pub const USED_BUFFER: u32 = 1;
pub const CONFIG_CHANGED: u32 = 2;

/// The line of a device to the guest.
pub struct Interrupt {
    pub status: AtomicU32,
    pub line: EventFd,
}

impl Interrupt {
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Interrupt { status: AtomicU32::new(0), line: EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)? }))
    }

    pub fn raise(&self, reason: u32) {
        self.status.fetch_or(reason, Ordering::SeqCst);
        // a counter that is full is a line that is raised already
        let _ = self.line.write(1);
    }
}

pub struct Queues {
    pub memory: Memory,
    pub queues: Vec<Queue>,
    pub interrupt: Arc<Interrupt>,
}

/// Where the buffers of a chain are in this process: what the device may read, then what it may write. Checked against
/// the guest's memory; the guest's other processors may change their content at any time, but not where they are.
pub struct Buffers {
    pub head: u16,
    pub readable: Vec<iovec>,
    pub writable: Vec<iovec>,
}

impl Queues {
    pub fn new(memory: Memory, sizes: &[u16], interrupt: Arc<Interrupt>) -> Result<Self, virtio_queue::Error> {
        let queues = sizes.iter().map(|size| Queue::new(*size)).collect::<Result<_, _>>()?;
        Ok(Queues { memory, queues, interrupt })
    }

    /// The next chain of a queue, `None` when there is none. A chain that is not well-formed is given back to the guest as
    /// used with no byte, and passed over.
    pub fn pop(&mut self, index: usize) -> Result<Option<Buffers>, Broken> {
        let Queues { memory, queues, .. } = self;
        let queue = queues.get_mut(index).ok_or(Broken)?;
        if !queue.ready() {
            return Ok(None);
        }
        loop {
            let Some(chain) = queue.iter(&*memory)?.next() else { return Ok(None) };
            let head = chain.head_index();
            match buffers(memory, chain) {
                Some(buffers) => return Ok(Some(buffers)),
                None => queue.add_used(memory, head, 0)?,
            }
        }
    }

    /// As `pop`; when there is none, the guest is asked to say so once there is.
    pub fn pop_or_wait(&mut self, index: usize) -> Result<Option<Buffers>, Broken> {
        if let Some(buffers) = self.pop(index)? {
            return Ok(Some(buffers));
        }
        let queue = self.queues.get_mut(index).ok_or(Broken)?;
        if queue.ready() && queue.enable_notification(&self.memory)? {
            return self.pop(index);
        }
        Ok(None)
    }

    /// Gives a chain back as it was: the next `pop` finds it again.
    pub fn unpop(&mut self, index: usize) {
        if let Some(queue) = self.queues.get_mut(index) {
            queue.go_to_previous_position();
        }
    }

    /// The device is done with a chain into which it wrote `written` bytes.
    pub fn push(&mut self, index: usize, head: u16, written: u32) -> Result<(), Broken> {
        let queue = self.queues.get_mut(index).ok_or(Broken)?;
        Ok(queue.add_used(&self.memory, head, written)?)
    }

    /// Interrupts the guest when it wants that for what was used since the last time.
    pub fn notify(&mut self, index: usize) -> Result<(), Broken> {
        let queue = self.queues.get_mut(index).ok_or(Broken)?;
        if queue.ready() && queue.needs_notification(&self.memory)? {
            self.interrupt.raise(USED_BUFFER);
        }
        Ok(())
    }

    /// Has `each` work on every available chain; its result is the number of bytes written.
    pub fn drain(&mut self, index: usize, mut each: impl FnMut(&Buffers) -> u32) -> Result<(), Broken> {
        // as many as the ring holds and then once more: a guest that never stops must not keep the others waiting
        let mut budget = 2 * self.queues.get(index).ok_or(Broken)?.size() as usize;
        loop {
            while let Some(buffers) = self.pop(index)? {
                let written = each(&buffers);
                self.push(index, buffers.head, written)?;
                budget = budget.saturating_sub(1);
                if budget == 0 {
                    break;
                }
            }
            self.notify(index)?;
            let queue = self.queues.get_mut(index).ok_or(Broken)?;
            if !queue.ready() || budget == 0 || !queue.enable_notification(&self.memory)? {
                return Ok(());
            }
        }
    }
}

/// `None` for a chain that is broken: a loop, a buffer outside of the memory, readable after writable, nothing at all.
fn buffers(memory: &Memory, chain: DescriptorChain<&Memory>) -> Option<Buffers> {
    let head = chain.head_index();
    let mut found = Buffers { head, readable: Vec::new(), writable: Vec::new() };
    let mut total: u32 = 0;
    let mut ended = false;
    for descriptor in chain {
        // virtio 1.2, 2.7.4.2: no chain is longer than 4 GiB
        total = total.checked_add(descriptor.len())?;
        let (list, permission) = match descriptor.is_write_only() {
            true => (&mut found.writable, Permissions::Write),
            false if found.writable.is_empty() => (&mut found.readable, Permissions::Read),
            false => return None,
        };
        let slices = memory.get_slices(descriptor.addr(), descriptor.len() as usize, permission);
        for slice in slices.ok()? {
            let slice = slice.ok()?;
            let base = slice.ptr_guard_mut().as_ptr().cast::<c_void>();
            list.push(iovec { iov_base: base, iov_len: slice.len() });
        }
        ended = !descriptor.has_next();
    }
    // the iterator ends without a word at what it cannot follow
    (ended && total > 0).then_some(found)
}

pub fn length(list: &[iovec]) -> usize {
    list.iter().map(|part| part.iov_len).sum()
}

/// The part of a list from `start` on, at most `bytes` long.
pub fn part(list: &[iovec], mut start: usize, mut bytes: usize) -> Vec<iovec> {
    let mut found = Vec::with_capacity(list.len());
    for part in list {
        if start >= part.iov_len {
            start -= part.iov_len;
            continue;
        }
        let length = (part.iov_len - start).min(bytes);
        if length > 0 {
            // SAFETY: start is less than the length of this part
            found.push(iovec { iov_base: unsafe { part.iov_base.cast::<u8>().add(start) }.cast(), iov_len: length });
        }
        bytes -= length;
        start = 0;
    }
    found
}

/// Copies from the guest; the number of bytes, fewer than asked for when the list is shorter.
pub fn copy_from(list: &[iovec], to: &mut [u8]) -> usize {
    let mut done = 0;
    for part in list {
        let length = part.iov_len.min(to.len() - done);
        // SAFETY: both ranges are valid for `length` bytes, the former by the check in `buffers`, and do not overlap:
        // guest memory is a mapping of its own. The guest may write meanwhile: any byte is a valid byte.
        unsafe { std::ptr::copy_nonoverlapping(part.iov_base.cast::<u8>(), to.as_mut_ptr().add(done), length) };
        done += length;
    }
    done
}

/// Copies to the guest; the number of bytes.
pub fn copy_to(list: &[iovec], from: &[u8]) -> usize {
    let mut done = 0;
    for part in list {
        let length = part.iov_len.min(from.len() - done);
        // SAFETY: as above
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr().add(done), part.iov_base.cast::<u8>(), length) };
        done += length;
    }
    done
}

/// Reads a little-endian number from the guest's memory; `None` outside of it.
pub fn read_u32(memory: &Memory, at: u64) -> Option<u32> {
    memory.read_obj(GuestAddress(at)).ok()
}
