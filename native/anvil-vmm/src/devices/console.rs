//! The guest's serial console: what it writes is kept, up to a limit, and read by any number of clients, each at its own
//! speed. A client that is too slow loses the oldest bytes; the guest never waits for one.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use vm_superio::serial::SerialEvents;
use vmm_sys_util::eventfd::EventFd;

use super::bus::lock;

/// Bytes of output that are kept.
const KEPT: usize = 64 << 10;

pub struct Console {
    output: Mutex<Output>,
    /// Readable when there is new output, or room for input.
    pub wake: EventFd,
}

struct Output {
    bytes: VecDeque<u8>,
    /// How many bytes there were in all.
    end: u64,
    announced: bool,
}

impl Console {
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Console {
            output: Mutex::new(Output { bytes: VecDeque::new(), end: 0, announced: false }),
            wake: EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?,
        }))
    }

    fn append(&self, bytes: &[u8]) {
        let mut output = lock(&self.output);
        output.bytes.extend(bytes);
        let excess = output.bytes.len().saturating_sub(KEPT);
        output.bytes.drain(..excess);
        output.end += bytes.len() as u64;
        if !output.announced {
            output.announced = true;
            let _ = self.wake.write(1);
        }
    }

    /// What there is from a position on, at most `most` bytes, and the position after it. A position that is no longer
    /// kept is moved to the oldest byte that is.
    pub fn from(&self, position: u64, most: usize) -> (Vec<u8>, u64) {
        let mut output = lock(&self.output);
        output.announced = false;
        let start = output.end - output.bytes.len() as u64;
        let skip = position.clamp(start, output.end) - start;
        let bytes: Vec<u8> = output.bytes.iter().skip(skip as usize).take(most).copied().collect();
        let end = start + skip + bytes.len() as u64;
        (bytes, end)
    }
}

pub struct ConsoleWriter(pub Arc<Console>);

impl Write for ConsoleWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct ConsoleEvents(pub Arc<Console>);

impl SerialEvents for ConsoleEvents {
    fn buffer_read(&self) {}
    fn out_byte(&self) {}
    fn tx_lost_byte(&self) {}

    fn in_buffer_empty(&self) {
        let _ = self.0.wake.write(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_read_at_their_own_speed() {
        let console = Console::new().unwrap();
        console.append(b"hello ");
        let (first, at) = console.from(0, 100);
        console.append(b"world");
        assert_eq!(first, b"hello ");
        assert_eq!(console.from(at, 3), (b"wor".to_vec(), 9));
        assert_eq!(console.from(0, 100).0, b"hello world");
    }

    #[test]
    fn only_the_last_bytes_are_kept() {
        let console = Console::new().unwrap();
        console.append(&vec![b'a'; KEPT]);
        console.append(b"end");
        let (bytes, end) = console.from(0, usize::MAX);
        assert_eq!((bytes.len(), end), (KEPT, KEPT as u64 + 3));
        assert!(bytes.ends_with(b"aend"));
    }
}
