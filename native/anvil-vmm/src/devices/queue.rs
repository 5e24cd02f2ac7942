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
        Ok(Arc::new(Interrupt {
            status: AtomicU32::new(0),
            line: EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?,
        }))
    }

    pub fn raise(&self, reason: u32) {
        self.status.fetch_or(reason, Ordering::SeqCst);
        // a counter that is full is a line that is raised already
        let _ = self.line.write(1);
    }
}

/// What a queue may take in one turn, so that a busy guest, or one that never stops, does not keep the rest of the monitor
/// waiting: a chain counts one, well-formed or not, and so does each [`PIECE`] of its buffers.
pub const TURN: usize = 512;
const PIECE: usize = 128 << 10;

pub struct Queues {
    pub memory: Memory,
    pub queues: Vec<Queue>,
    pub interrupt: Arc<Interrupt>,
    /// What is left of the turn, for each queue.
    left: Vec<usize>,
    /// A bit for each queue whose turn ended before it was empty.
    unfinished: u32,
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
        Ok(Queues { memory, queues, interrupt, left: vec![TURN; sizes.len()], unfinished: 0 })
    }

    /// Every queue may take a whole turn again.
    pub fn begin_turn(&mut self) {
        self.left.fill(TURN);
        self.unfinished = 0;
    }

    /// A bit for each queue that has to be looked at again, although the guest will not say so.
    pub fn unfinished(&self) -> u32 {
        self.unfinished
    }

    fn is_unfinished(&self, index: usize) -> bool {
        self.unfinished & (1 << index) != 0
    }

    /// The next chain of a queue, `None` when there is none, or the turn is over. A chain that is not well-formed is given
    /// back to the guest as used with no byte, and passed over.
    pub fn pop(&mut self, index: usize) -> Result<Option<Buffers>, Broken> {
        let Queues { memory, queues, left, unfinished, .. } = self;
        let (queue, left) = queues.get_mut(index).zip(left.get_mut(index)).ok_or(Broken)?;
        if !queue.ready() {
            return Ok(None);
        }
        loop {
            if *left == 0 {
                *unfinished |= 1 << index;
                return Ok(None);
            }
            let Some(chain) = queue.iter(&*memory)?.next() else { return Ok(None) };
            let head = chain.head_index();
            *left -= 1;
            match buffers(memory, chain, queue.size()) {
                Some(buffers) => {
                    *left = left.saturating_sub((length(&buffers.readable) + length(&buffers.writable)) / PIECE);
                    return Ok(Some(buffers));
                }
                None => queue.add_used(memory, head, 0)?,
            }
        }
    }

    /// As `pop`; when there is none, the guest is asked to say so once there is.
    pub fn pop_or_wait(&mut self, index: usize) -> Result<Option<Buffers>, Broken> {
        if let Some(buffers) = self.pop(index)? {
            return Ok(Some(buffers));
        }
        if self.is_unfinished(index) {
            return Ok(None);
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
        loop {
            while let Some(buffers) = self.pop(index)? {
                let written = each(&buffers);
                self.push(index, buffers.head, written)?;
            }
            self.notify(index)?;
            let unfinished = self.is_unfinished(index);
            let queue = self.queues.get_mut(index).ok_or(Broken)?;
            if unfinished || !queue.ready() || !queue.enable_notification(&self.memory)? {
                return Ok(());
            }
        }
    }
}

/// `None` for a chain that is broken: a loop, a buffer outside of the memory, readable after writable, nothing at all, or
/// more descriptors than the queue has, which no driver may make (virtio 1.2, 2.7.5.3.1): an indirect table has room for 65 535.
fn buffers(memory: &Memory, chain: DescriptorChain<&Memory>, most: u16) -> Option<Buffers> {
    let head = chain.head_index();
    let mut found = Buffers { head, readable: Vec::new(), writable: Vec::new() };
    let mut total: u32 = 0;
    let mut ended = false;
    for (number, descriptor) in chain.enumerate() {
        if number >= usize::from(most) {
            return None;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u16 = 1024;
    const DESCRIPTORS: u64 = 0;
    const AVAILABLE: u64 = 0x8000;
    const USED: u64 = 0xa000;
    const TABLE: u64 = 0x1_0000;

    /// A queue whose ring is full of chains that all begin at descriptor 0.
    fn full() -> Queues {
        let memory: Memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        let mut queues = Queues::new(memory, &[SIZE], Interrupt::new().unwrap()).unwrap();
        let queue = &mut queues.queues[0];
        queue.set_size(SIZE);
        queue.set_desc_table_address(Some(DESCRIPTORS as u32), None);
        queue.set_avail_ring_address(Some(AVAILABLE as u32), None);
        queue.set_used_ring_address(Some(USED as u32), None);
        queue.set_ready(true);
        assert!(queue.is_valid(&queues.memory));
        queues.memory.write_obj(SIZE, GuestAddress(AVAILABLE + 2)).unwrap();
        queues
    }

    fn describe(queues: &Queues, at: u64, address: u64, length: u32, flags: u16, next: u16) {
        queues.memory.write_obj(address, GuestAddress(at)).unwrap();
        queues.memory.write_obj(length, GuestAddress(at + 8)).unwrap();
        queues.memory.write_obj(flags, GuestAddress(at + 12)).unwrap();
        queues.memory.write_obj(next, GuestAddress(at + 14)).unwrap();
    }

    fn used(queues: &Queues) -> u16 {
        queues.memory.read_obj(GuestAddress(USED + 2)).unwrap()
    }

    #[test]
    fn malformed_chains_are_counted_and_their_queue_has_another_turn() {
        let mut queues = full();
        // a buffer outside of the memory
        describe(&queues, DESCRIPTORS, 1 << 40, 16, 0, 0);
        for turn in 1..=2 {
            queues.begin_turn();
            assert!(queues.pop(0).unwrap().is_none());
            assert_eq!((usize::from(used(&queues)), queues.unfinished()), (turn * TURN, 1));
        }
        queues.begin_turn();
        assert!(queues.pop_or_wait(0).unwrap().is_none());
        assert_eq!(queues.unfinished(), 0);
    }

    #[test]
    fn chains_with_content_are_counted_and_none_is_lost() {
        let mut queues = full();
        describe(&queues, DESCRIPTORS, TABLE, 16, 0, 0);
        let mut done = 0;
        for turn in 1..=2 {
            queues.begin_turn();
            queues
                .drain(0, |_| {
                    done += 1;
                    0
                })
                .unwrap();
            assert_eq!((done, queues.unfinished()), (turn * TURN, 1));
        }
        queues.begin_turn();
        queues.drain(0, |_| 0).unwrap();
        assert_eq!((usize::from(used(&queues)), queues.unfinished()), (2 * TURN, 0));
    }

    #[test]
    fn large_buffers_end_a_turn_earlier() {
        let mut queues = full();
        describe(&queues, DESCRIPTORS, TABLE, 4 * PIECE as u32, 0, 0);
        let mut done = 0;
        queues
            .drain(0, |_| {
                done += 1;
                0
            })
            .unwrap();
        assert_eq!((done, queues.unfinished()), (TURN.div_ceil(5), 1));
    }

    #[test]
    fn a_chain_is_not_longer_than_its_queue() {
        for (descriptors, well) in [(SIZE, true), (SIZE + 1, false)] {
            let mut queues = full();
            // indirect
            describe(&queues, DESCRIPTORS, TABLE, 16 * u32::from(descriptors), 4, 0);
            for number in 0..descriptors {
                let more = u16::from(number + 1 < descriptors);
                describe(&queues, TABLE + 16 * u64::from(number), 0xc000, 1, more, number + 1);
            }
            let popped = queues.pop(0).unwrap();
            assert_eq!(popped.is_some_and(|buffers| buffers.readable.len() == usize::from(SIZE)), well);
        }
    }
}
