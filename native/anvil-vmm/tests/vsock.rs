//! Streams both ways between a driver of a guest and programs of the host, as in a jail: the device asks another process for
//! the program that listens.

mod common;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use anvil_vmm::devices::mmio::Mmio;
use anvil_vmm::devices::queue::{Interrupt, Memory};
use anvil_vmm::devices::vsock::Vsock;
use anvil_vmm::link::Link;
use anvil_vmm::reach::{self, Reach};
use anvil_vmm::server;
use common::Folder;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const SIZE: u16 = 16;
const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const RING: u64 = 0x4000;
const RECEIVED: u64 = 0x4_0000;
const SENT: u64 = 0x6_0000;
const ROOM: u64 = 0x1000;

const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;
const RESET: u16 = 3;
const DATA: u16 = 5;
const HEADER: usize = 44;

/// A driver with buffers of a page each: 16 to receive into, and one after the other to send.
struct Driver {
    device: Mmio,
    memory: Memory,
    received: u16,
    sent: u16,
}

impl Driver {
    fn new(vsock: Vsock) -> Self {
        let memory: Memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        let mut device = Mmio::new(Box::new(vsock), memory.clone(), Interrupt::new().unwrap()).unwrap();
        let mut set = |register: u64, value: u32| {
            device.write(register, &value.to_le_bytes());
        };
        for (register, value) in [(0x70, 1), (0x70, 3), (0x24, 1), (0x20, 1), (0x70, 11)] {
            set(register, value);
        }
        for queue in 0..3u32 {
            let base = RING * u64::from(queue);
            set(0x30, queue);
            set(0x38, u32::from(SIZE));
            for (register, place) in [(0x80, DESCRIPTORS), (0x90, AVAILABLE), (0xa0, USED)] {
                set(register, (base + place) as u32);
            }
            set(0x44, 1);
        }
        set(0x70, 15);
        let mut driver = Driver { device, memory, received: 0, sent: 0 };
        for slot in 0..SIZE {
            driver.describe(0, slot, RECEIVED + ROOM * u64::from(slot), ROOM as u32, 2);
        }
        driver.write(AVAILABLE + 2, SIZE);
        driver.device.wake();
        driver
    }

    fn write<T: vm_memory::ByteValued>(&self, at: u64, value: T) {
        self.memory.write_obj(value, GuestAddress(at)).unwrap();
    }

    fn describe(&self, queue: u64, slot: u16, at: u64, length: u32, flags: u16) {
        let base = RING * queue;
        let place = base + DESCRIPTORS + 16 * u64::from(slot);
        self.write(place, at);
        self.write(place + 8, length);
        self.write(place + 12, flags);
        self.write(base + AVAILABLE + 4 + 2 * u64::from(slot), slot);
    }

    fn send(&mut self, ports: [u32; 2], operation: u16, content: &[u8]) {
        let slot = self.sent % SIZE;
        let at = SENT + ROOM * u64::from(slot);
        self.write(at, 3u64);
        self.write(at + 8, 2u64);
        self.write(at + 16, ports);
        self.write(at + 24, content.len() as u32);
        self.write(at + 28, [1u16, operation]);
        self.write(at + 32, [0u32, 1 << 16, 0]);
        self.memory.write_slice(content, GuestAddress(at + HEADER as u64)).unwrap();
        self.describe(1, slot, at, (HEADER + content.len()) as u32, 0);
        self.sent += 1;
        self.write(RING + AVAILABLE + 2, self.sent);
        self.device.notified(1);
    }

    /// The next packet of which it is told: ports, operation, content.
    fn receive(&mut self) -> ([u32; 2], u16, Vec<u8>) {
        let number = || self.memory.read_obj::<u16>(GuestAddress(USED + 2)).unwrap();
        while number() == self.received {
            self.device.host_event();
        }
        let slot: u32 = self.memory.read_obj(GuestAddress(USED + 4 + 8 * u64::from(self.received % SIZE))).unwrap();
        self.received += 1;
        let at = RECEIVED + ROOM * u64::from(slot);
        let ports = self.memory.read_obj(GuestAddress(at + 16)).unwrap();
        let length: u32 = self.memory.read_obj(GuestAddress(at + 24)).unwrap();
        let operation = self.memory.read_obj(GuestAddress(at + 30)).unwrap();
        let mut content = vec![0; length as usize];
        self.memory.read_slice(&mut content, GuestAddress(at + HEADER as u64)).unwrap();
        (ports, operation, content)
    }
}

#[test]
fn streams_are_opened_by_both_sides() {
    let folder = Folder::new();
    let uds = folder.path("v");
    let (here, there) = Link::pair().unwrap();
    let listener = UnixListener::bind(format!("{uds}_1234")).unwrap();
    let vsock = Vsock::new(3, server::bind(&uds).unwrap(), Reach::Asked(there)).unwrap();
    let path = uds.clone();
    // the keeper, until the device is gone
    let keeper = std::thread::spawn(move || {
        while reach::answer(&here, Some(&path)) {
            std::thread::yield_now();
        }
    });
    let mut driver = Driver::new(vsock);

    // the guest to a program of the host
    driver.send([900, 1234], REQUEST, b"");
    assert_eq!(driver.receive(), ([1234, 900], RESPONSE, vec![]));
    let (mut host, _) = listener.accept().unwrap();
    driver.send([900, 1234], DATA, b"from the guest");
    let mut bytes = [0; 14];
    host.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"from the guest");
    host.write_all(b"from the host").unwrap();
    assert_eq!(driver.receive(), ([1234, 900], DATA, b"from the host".to_vec()));

    // where nobody listens
    driver.send([901, 1235], REQUEST, b"");
    assert_eq!(driver.receive(), ([1235, 901], RESET, vec![]));

    // a program of the host to the guest
    let mut host = UnixStream::connect(&uds).unwrap();
    host.write_all(b"CONNECT 52\n").unwrap();
    let (ports, operation, _) = driver.receive();
    assert_eq!((ports[1], operation), (52, REQUEST));
    driver.send([52, ports[0]], RESPONSE, b"");
    let expected = format!("OK {}\n", ports[0]);
    let mut said = vec![0; expected.len()];
    host.read_exact(&mut said).unwrap();
    assert_eq!(said, expected.as_bytes());

    drop(driver);
    keeper.join().unwrap();
}
