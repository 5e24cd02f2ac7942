//! Socket device (virtio 1.2, section 5.10): streams between programs of the guest and unix sockets of the host.
//!
//! - A program of the host connects to `uds_path`, sends `CONNECT <port>\n`, and gets `OK <its own port>\n` when a program of
//!   the guest listens there.
//! - A program of the guest connects to CID 2 and a port, and reaches the socket `<uds_path>_<port>`.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::queue::{copy_from, copy_to, length, part, Broken, Buffers, Queues};
use super::VirtioDevice;
use crate::reach::Reach;

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

const HOST_CID: u64 = 2;
const HEADER: usize = 44;
const STREAM: u16 = 1;

const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;
const RESET: u16 = 3;
const SHUTDOWN: u16 = 4;
const DATA: u16 = 5;
const CREDIT_UPDATE: u16 = 6;
const CREDIT_REQUEST: u16 = 7;

/// Flags of SHUTDOWN: the sender receives no more; sends no more.
const NO_RECEIVE: u32 = 1;
const NO_SEND: u32 = 2;

/// Bytes that a connection keeps for a host that does not read.
const ROOM: u32 = 64 << 10;
/// Bytes of one packet to the guest.
const PACKET: usize = 64 << 10;
const MAX_CONNECTIONS: usize = 1023;
/// Programs of the host that have not said yet where they want to.
const MAX_GREETING: usize = 64;
/// Answers that the guest has not taken yet; when there are more, nothing is read from it until it takes some.
const MAX_ANSWERS: usize = 256;
/// The longest greeting: `CONNECT 4294967295\n`.
const GREETING: usize = 20;
const FIRST_PORT: u32 = 1 << 30;
const LISTENER: u64 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ports {
    host: u32,
    guest: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Header {
    source: u64,
    target: u64,
    source_port: u32,
    target_port: u32,
    length: u32,
    kind: u16,
    operation: u16,
    flags: u32,
    room: u32,
    forwarded: u32,
}

impl Header {
    fn read(bytes: &[u8; HEADER]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        Header {
            source: long(0),
            target: long(8),
            source_port: word(16),
            target_port: word(20),
            length: word(24),
            kind: half(28),
            operation: half(30),
            flags: word(32),
            room: word(36),
            forwarded: word(40),
        }
    }

    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.source.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.target.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.source_port.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.target_port.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes[28..30].copy_from_slice(&self.kind.to_le_bytes());
        bytes[30..32].copy_from_slice(&self.operation.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.flags.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.room.to_le_bytes());
        bytes[40..].copy_from_slice(&self.forwarded.to_le_bytes());
        bytes
    }
}

struct Connection {
    key: u64,
    stream: UnixStream,
    /// The guest has accepted, or asked for it.
    open: bool,
    /// What the guest has room for, and how much of what we sent it has passed on.
    guest_room: u32,
    guest_forwarded: u32,
    /// Bytes sent to the guest, and passed on from it, modulo 2^32 as the protocol has them.
    sent: u32,
    forwarded: u32,
    told: u32,
    /// From the guest, for a host that does not take it yet.
    waiting: VecDeque<u8>,
    readable: bool,
    /// Neither side of the host is there any more.
    gone: bool,
    /// What each side has said with SHUTDOWN.
    we_shut: u32,
    guest_shut: u32,
    asked_for_credit: bool,
    /// It is in `ready`.
    queued: bool,
}

impl Connection {
    fn credit(&self) -> u32 {
        self.guest_room.saturating_sub(self.sent.wrapping_sub(self.guest_forwarded))
    }

    /// Sends the host what is waiting for it; false when it takes nothing any more.
    fn flush(&mut self) -> bool {
        while !self.waiting.is_empty() {
            let (first, _) = self.waiting.as_slices();
            match self.stream.write(first) {
                Ok(0) => return false,
                Ok(taken) => {
                    self.waiting.drain(..taken);
                    self.forwarded = self.forwarded.wrapping_add(taken as u32);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if self.guest_shut & NO_SEND != 0 {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        true
    }

    /// True when it has something for the guest, or may have.
    fn has_something(&self) -> bool {
        self.open && self.readable && self.we_shut & NO_SEND == 0
    }
}

pub struct Vsock {
    cid: u64,
    config: [u8; 8],
    listener: UnixListener,
    reach: Reach,
    epoll: Epoll,
    connections: BTreeMap<Ports, Connection>,
    /// By their key in the epoll.
    ports: BTreeMap<u64, Ports>,
    greeting: BTreeMap<u64, UnixStream>,
    answers: VecDeque<Header>,
    /// Those that may have something for the guest, in their turn.
    ready: VecDeque<Ports>,
    next_key: u64,
    next_port: u32,
}

impl Vsock {
    /// The listener does not block.
    pub fn new(cid: u32, listener: UnixListener, reach: Reach) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.ctl(
            ControlOperation::Add,
            listener.as_raw_fd(),
            EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, LISTENER),
        )?;
        Ok(Vsock {
            cid: u64::from(cid),
            config: u64::from(cid).to_le_bytes(),
            listener,
            reach,
            epoll,
            connections: BTreeMap::new(),
            ports: BTreeMap::new(),
            greeting: BTreeMap::new(),
            answers: VecDeque::new(),
            ready: VecDeque::new(),
            next_key: LISTENER + 1,
            next_port: FIRST_PORT,
        })
    }

    fn watch(&mut self, fd: RawFd) -> io::Result<u64> {
        let key = self.next_key;
        let events = EventSet::IN | EventSet::OUT | EventSet::READ_HANG_UP | EventSet::EDGE_TRIGGERED;
        self.epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(events, key))?;
        self.next_key += 1;
        Ok(key)
    }

    fn header(&self, ports: Ports, operation: u16) -> Header {
        let connection = self.connections.get(&ports);
        Header {
            source: HOST_CID,
            target: self.cid,
            source_port: ports.host,
            target_port: ports.guest,
            kind: STREAM,
            operation,
            room: ROOM,
            forwarded: connection.map_or(0, |connection| connection.forwarded),
            ..Header::default()
        }
    }

    fn answer(&mut self, ports: Ports, operation: u16) {
        let header = self.header(ports, operation);
        self.answers.push_back(header);
    }

    /// Gives it a turn; once, however often it asks.
    fn enqueue(&mut self, ports: Ports) {
        if let Some(connection) = self.connections.get_mut(&ports) {
            if !connection.queued {
                connection.queued = true;
                self.ready.push_back(ports);
            }
        }
    }

    fn close(&mut self, ports: Ports, reset: bool) {
        if let Some(connection) = self.connections.remove(&ports) {
            self.ports.remove(&connection.key);
            if connection.queued {
                self.ready.retain(|queued| *queued != ports);
            }
        }
        if reset {
            self.answer(ports, RESET);
        }
    }

    fn insert(&mut self, ports: Ports, key: u64, stream: UnixStream, from: Option<&Header>) {
        let connection = Connection {
            key,
            stream,
            open: from.is_some(),
            guest_room: from.map_or(0, |header| header.room),
            guest_forwarded: from.map_or(0, |header| header.forwarded),
            sent: 0,
            forwarded: 0,
            told: 0,
            waiting: VecDeque::new(),
            readable: true,
            gone: false,
            we_shut: 0,
            guest_shut: 0,
            asked_for_credit: false,
            queued: false,
        };
        self.ports.insert(key, ports);
        self.connections.insert(ports, connection);
        self.enqueue(ports);
    }

    // From the guest

    fn transmit(&mut self, queues: &mut Queues) -> Result<(), Broken> {
        while self.answers.len() < MAX_ANSWERS {
            let Some(buffers) = queues.pop_or_wait(TRANSMIT)? else { break };
            self.packet(&buffers);
            queues.push(TRANSMIT, buffers.head, 0)?;
        }
        queues.notify(TRANSMIT)
    }

    fn packet(&mut self, buffers: &Buffers) {
        let mut bytes = [0; HEADER];
        if copy_from(&buffers.readable, &mut bytes) < HEADER {
            return;
        }
        let header = Header::read(&bytes);
        let ports = Ports { host: header.target_port, guest: header.source_port };
        if header.source != self.cid {
            return;
        }
        if header.target != HOST_CID || header.kind != STREAM {
            if header.operation != RESET {
                // the answer comes from where the guest wanted to
                let reset = Header { source: header.target, kind: header.kind, ..self.header(ports, RESET) };
                self.answers.push_back(reset);
            }
            return;
        }
        if header.operation == REQUEST {
            return self.request(ports, &header);
        }
        let Some(connection) = self.connections.get_mut(&ports) else {
            if header.operation != RESET {
                self.answer(ports, RESET);
            }
            return;
        };
        connection.guest_room = header.room;
        connection.guest_forwarded = header.forwarded;
        let open = connection.open;
        let more = connection.guest_shut & NO_SEND == 0;
        if connection.credit() > 0 {
            connection.asked_for_credit = false;
            if connection.has_something() {
                self.enqueue(ports);
            }
        }
        match header.operation {
            RESPONSE if !open => self.accepted(ports),
            RESET => self.close(ports, false),
            DATA if open && more => self.data(ports, &header, buffers),
            SHUTDOWN if open => {
                if let Some(connection) = self.connections.get_mut(&ports) {
                    connection.guest_shut |= header.flags & (NO_RECEIVE | NO_SEND);
                }
                self.settle(ports);
            }
            CREDIT_UPDATE if open => {}
            CREDIT_REQUEST if open => self.answer(ports, CREDIT_UPDATE),
            _ => self.close(ports, true),
        }
    }

    /// A program of the guest has taken a connection of the host's.
    fn accepted(&mut self, ports: Ports) {
        let Some(connection) = self.connections.get_mut(&ports) else { return };
        connection.open = true;
        // a new socket takes so few bytes at once
        match connection.stream.write_all(format!("OK {}\n", ports.host).as_bytes()) {
            Ok(()) => self.enqueue(ports),
            Err(_) => self.close(ports, true),
        }
    }

    fn request(&mut self, ports: Ports, header: &Header) {
        if self.connections.contains_key(&ports) || self.connections.len() >= MAX_CONNECTIONS {
            return self.close(ports, true);
        }
        let watched = self.reach.connect(ports.host).and_then(|stream| Ok((self.watch(stream.as_raw_fd())?, stream)));
        match watched {
            Ok((key, stream)) => {
                self.insert(ports, key, stream, Some(header));
                self.answer(ports, RESPONSE);
            }
            Err(_) => self.answer(ports, RESET),
        }
    }

    fn data(&mut self, ports: Ports, header: &Header, buffers: &Buffers) {
        let Some(connection) = self.connections.get_mut(&ports) else { return };
        let bytes = header.length as usize;
        // more than the guest had credit for, or than there is
        if connection.waiting.len() + bytes > ROOM as usize || length(&buffers.readable) - HEADER < bytes {
            return self.close(ports, true);
        }
        let mut content = vec![0; bytes];
        copy_from(&part(&buffers.readable, HEADER, bytes), &mut content);
        connection.waiting.extend(content);
        self.settle(ports);
    }

    /// Sends the host what it takes; then says so to the guest, or ends what has ended.
    fn settle(&mut self, ports: Ports) {
        let Some(connection) = self.connections.get_mut(&ports) else { return };
        if !connection.flush() {
            return self.close(ports, true);
        }
        if connection.guest_shut == NO_RECEIVE | NO_SEND && connection.waiting.is_empty() {
            return self.close(ports, true);
        }
        if connection.forwarded.wrapping_sub(connection.told) >= ROOM / 2 {
            connection.told = connection.forwarded;
            self.answer(ports, CREDIT_UPDATE);
        }
    }

    // From the host

    fn poll(&mut self) {
        let mut events = [EpollEvent::default(); 32];
        loop {
            let count = self.epoll.wait(0, &mut events).unwrap_or(0);
            for event in &events[..count] {
                self.event(event.data(), event.event_set());
            }
            if count < events.len() {
                return;
            }
        }
    }

    fn event(&mut self, key: u64, events: EventSet) {
        if key == LISTENER {
            return self.accept();
        }
        if self.greeting.contains_key(&key) {
            return self.greet(key);
        }
        let Some(ports) = self.ports.get(&key).copied() else { return };
        if let Some(connection) = self.connections.get_mut(&ports) {
            connection.gone |= events.intersects(EventSet::HANG_UP | EventSet::ERROR);
            if events.intersects(EventSet::IN | EventSet::READ_HANG_UP | EventSet::HANG_UP | EventSet::ERROR) {
                connection.readable = true;
                self.enqueue(ports);
            }
        }
        if events.contains(EventSet::OUT) {
            self.settle(ports);
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let full = self.greeting.len() >= MAX_GREETING || self.connections.len() >= MAX_CONNECTIONS;
            if full || stream.set_nonblocking(true).is_err() {
                continue;
            }
            if let Ok(key) = self.watch(stream.as_raw_fd()) {
                self.greeting.insert(key, stream);
                self.greet(key);
            }
        }
    }

    /// Reads `CONNECT <port>\n` once all of it is there, and not a byte of what follows.
    fn greet(&mut self, key: u64) {
        let Some(stream) = self.greeting.get_mut(&key) else { return };
        let mut bytes = [0; GREETING];
        // SAFETY: the buffer is valid for its length
        let got = unsafe { libc::recv(stream.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_PEEK) };
        let there = match usize::try_from(got) {
            Ok(0) => None,
            Ok(got) => Some(&bytes[..got]),
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => None,
        };
        let line = there.and_then(|there| there.iter().position(|byte| *byte == b'\n'));
        let port = match (there, line) {
            (Some(there), None) if there.len() < GREETING => return,
            (Some(there), Some(end)) => port(&there[..end]),
            _ => None,
        };
        let Some(mut stream) = self.greeting.remove(&key) else { return };
        let (Some(guest), Some(end)) = (port, line) else { return };
        if stream.read_exact(&mut bytes[..=end]).is_err() {
            return;
        }
        let ports = Ports { host: self.free_port(), guest };
        self.insert(ports, key, stream, None);
        self.answer(ports, REQUEST);
    }

    fn free_port(&mut self) -> u32 {
        // there are a million times more ports than connections
        loop {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            if !self.connections.keys().any(|ports| ports.host == port) {
                return port;
            }
        }
    }

    /// Gives the guest answers and data, as much as it has buffers for.
    fn deliver(&mut self, queues: &mut Queues) -> Result<(), Broken> {
        while !self.answers.is_empty() || !self.ready.is_empty() {
            let Some(buffers) = queues.pop_or_wait(RECEIVE)? else { break };
            if length(&buffers.writable) < HEADER {
                queues.push(RECEIVE, buffers.head, 0)?;
                continue;
            }
            match self.next_packet(&buffers) {
                Some(bytes) => queues.push(RECEIVE, buffers.head, bytes as u32)?,
                None => {
                    queues.unpop(RECEIVE);
                    break;
                }
            }
        }
        queues.notify(RECEIVE)
    }

    fn next_packet(&mut self, buffers: &Buffers) -> Option<usize> {
        if let Some(header) = self.answers.pop_front() {
            return Some(copy_to(&buffers.writable, &header.bytes()));
        }
        while let Some(ports) = self.ready.pop_front() {
            let mut header = self.header(ports, DATA);
            let Some(connection) = self.connections.get_mut(&ports) else { continue };
            connection.queued = false;
            if !connection.has_something() {
                continue;
            }
            let credit = connection.credit() as usize;
            if credit == 0 {
                if connection.asked_for_credit {
                    continue;
                }
                connection.asked_for_credit = true;
                header.operation = CREDIT_REQUEST;
                connection.told = connection.forwarded;
                return Some(copy_to(&buffers.writable, &header.bytes()));
            }
            let target = part(&buffers.writable, HEADER, credit.min(PACKET));
            if target.is_empty() {
                // a buffer without room for a byte: the guest gets its header, which carries news of our room
                header.operation = CREDIT_UPDATE;
                self.enqueue(ports);
                return Some(copy_to(&buffers.writable, &header.bytes()));
            }
            let count = target.len().min(libc::UIO_MAXIOV as usize) as libc::c_int;
            // SAFETY: every part lies in the guest's memory
            let got = unsafe { libc::readv(connection.stream.as_raw_fd(), target.as_ptr(), count) };
            connection.told = connection.forwarded;
            match usize::try_from(got) {
                Ok(0) => {
                    connection.we_shut = if connection.gone { NO_RECEIVE | NO_SEND } else { NO_SEND };
                    header.operation = SHUTDOWN;
                    header.flags = connection.we_shut;
                    return Some(copy_to(&buffers.writable, &header.bytes()));
                }
                Ok(got) => {
                    connection.sent = connection.sent.wrapping_add(got as u32);
                    header.length = got as u32;
                    copy_to(&buffers.writable, &header.bytes());
                    self.enqueue(ports);
                    return Some(HEADER + got);
                }
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => connection.readable = false,
                Err(_) => {
                    self.close(ports, false);
                    header.operation = RESET;
                    return Some(copy_to(&buffers.writable, &header.bytes()));
                }
            }
        }
        None
    }
}

/// The port in `CONNECT <port>`.
fn port(line: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("CONNECT ")?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl VirtioDevice for Vsock {
    fn kind(&self) -> u32 {
        19
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[256, 256, 16]
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn reset(&mut self) {
        self.connections.clear();
        self.ports.clear();
        self.greeting.clear();
        self.answers.clear();
        self.ready.clear();
    }

    fn notified(&mut self, queues: &mut Queues, index: usize) -> Result<(), Broken> {
        // the third queue is for events, of which there are none: the machine is never moved
        if index <= TRANSMIT {
            self.transmit(queues)?;
            self.deliver(queues)?;
            // answers that have left make room for more from the guest
            self.transmit(queues)?;
            self.deliver(queues)?;
        }
        Ok(())
    }

    fn host_fd(&self) -> Option<RawFd> {
        Some(self.epoll.as_raw_fd())
    }

    fn host_event(&mut self, queues: &mut Queues) -> Result<(), Broken> {
        self.poll();
        self.notified(queues, RECEIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_names_a_port() {
        assert_eq!(port(b"CONNECT 52"), Some(52));
        assert_eq!(port(b"CONNECT 4294967295"), Some(u32::MAX));
        for wrong in
            ["", "CONNECT", "CONNECT ", "CONNECT -1", "CONNECT +1", "CONNECT 4294967296", "connect 1", "CONNECT 1 2"]
        {
            assert_eq!(port(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn headers_are_read_as_they_are_written() {
        let bytes: [u8; HEADER] = std::array::from_fn(|index| index as u8);
        assert_eq!(Header::read(&bytes).bytes(), bytes);
    }
}
