//! A guest that breaks every rule: descriptor chains, rings, addresses, lengths and registers at random, at each device.
//! Nothing may panic, nothing may wait, and nothing outside of the guest's memory may be touched: it lies between pages
//! that nobody may reach.
//!
//! `ANVIL_HOSTILE_CASES` has it try more than the usual number.

mod common;

use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use anvil_vmm::config::Drive;
use anvil_vmm::devices::block::{Block, DriveFile};
use anvil_vmm::devices::mmio::Mmio;
use anvil_vmm::devices::net::Net;
use anvil_vmm::devices::queue::{Interrupt, Memory};
use anvil_vmm::devices::rng::Rng;
use anvil_vmm::devices::vsock::Vsock;
use anvil_vmm::devices::VirtioDevice;
use anvil_vmm::reach::Reach;
use common::{Folder, Random};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, GuestRegionMmap};

const CASES: u64 = 100_000;
const MEMORY: u64 = 1 << 20;
/// A second piece, with a hole between the two.
const HIGH: u64 = 4 << 20;
const GUARD: usize = 1 << 20;

/// A region of the guest with pages around it that are nobody's.
fn region(start: u64) -> GuestRegionMmap {
    let size = MEMORY as usize;
    // SAFETY: new mappings, which stay for the rest of the process
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let all = libc::mmap(std::ptr::null_mut(), size + 2 * GUARD, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(all, libc::MAP_FAILED);
        let inner = all.cast::<u8>().add(GUARD);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        assert_eq!(libc::mprotect(inner.cast(), size, access), 0);
        let mapping =
            MmapRegionBuilder::new(size).with_raw_mmap_pointer(inner).with_mmap_prot(access).with_mmap_flags(flags);
        GuestRegionMmap::new(mapping.build().unwrap(), GuestAddress(start)).unwrap()
    }
}

struct Subject {
    name: &'static str,
    device: Mmio,
    queues: usize,
    /// Programs of the host that speak with it.
    host: Vec<UnixStream>,
    interrupt: Arc<Interrupt>,
    /// How often it used a buffer of the guest, and how often it gave up on it.
    answered: u64,
    stopped: u64,
}

fn subjects(memory: &Memory, folder: &Folder) -> Vec<Subject> {
    let drive = Drive {
        id: "root".into(),
        root: true,
        partuuid: None,
        path: folder.path("drive"),
        read_only: false,
        unsafe_cache: true,
    };
    File::create(&drive.path).unwrap().write_all(&[7; 64 << 10]).unwrap();
    // in the place of a TAP device: a socket whose messages are packets
    let mut pair = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK;
    // SAFETY: room for two descriptors
    assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) }, 0);
    // SAFETY: both are new
    let (tap, wire) = unsafe { (File::from_raw_fd(pair[0]), UnixStream::from_raw_fd(pair[1])) };
    let listener = anvil_vmm::server::bind(&folder.path("v")).unwrap();
    let vsock = Vsock::new(3, listener, Reach::Path(folder.path("v"))).unwrap();
    let devices: Vec<(&'static str, Box<dyn VirtioDevice>, Vec<UnixStream>)> = vec![
        ("block", Box::new(Block::new(&drive, DriveFile::open(&drive.path, false).unwrap())), Vec::new()),
        ("net", Box::new(Net::new(tap, Some([6, 0, 0, 0, 0, 1]))), vec![wire]),
        ("rng", Box::new(Rng), Vec::new()),
        ("vsock", Box::new(vsock), Vec::new()),
    ];
    devices
        .into_iter()
        .map(|(name, device, host)| {
            let interrupt = Interrupt::new().unwrap();
            let queues = device.queue_sizes().len();
            Subject {
                name,
                device: Mmio::new(device, memory.clone(), interrupt.clone()).unwrap(),
                queues,
                host,
                interrupt,
                answered: 0,
                stopped: 0,
            }
        })
        .collect()
}

/// An address that is likely to be near an edge.
fn address(random: &mut Random) -> u64 {
    let edges = [0, MEMORY, HIGH, HIGH + MEMORY, u64::MAX, 1 << 32, u64::from(u32::MAX), 1 << 63];
    match random.below(4) {
        0 => random.of(&edges).wrapping_add(random.below(64)).wrapping_sub(32),
        1 => HIGH + random.below(MEMORY),
        2 if random.one_in(8) => random.next(),
        _ => random.below(MEMORY),
    }
}

fn length(random: &mut Random) -> u32 {
    let edges = [0, 1, 11, 12, 16, 44, 512, 513, 4096, 65536, MEMORY as u32, u32::MAX, u32::MAX - 1, 1 << 31];
    match random.below(3) {
        0 => random.of(&edges),
        1 => random.below(2048) as u32,
        _ => 512 * random.below(16) as u32,
    }
}

fn set(subject: &mut Subject, register: u64, value: u32) {
    subject.device.write(register, &value.to_le_bytes());
}

const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x4000;
const USED: u64 = 0x6000;
const RING: u64 = 0x8000;

/// Brings a device to life as a driver does, here and there in another way.
fn start(random: &mut Random, memory: &Memory, subject: &mut Subject) {
    set(subject, 0x70, 0);
    set(subject, 0x70, 1);
    set(subject, 0x70, 3);
    let wild = random.one_in(16);
    for page in 0..2 {
        set(subject, 0x24, page);
        // all that is offered; indirect descriptors and event indexes in half of the cases
        let common = if page == 1 { 1 } else { (random.next() as u32) & (3 << 28) };
        set(subject, 0x20, if wild { random.next() as u32 } else { common });
    }
    set(subject, 0x70, 11);
    for queue in 0..subject.queues as u32 {
        let base = u64::from(queue) * RING;
        // the rings begin empty
        for ring in [AVAILABLE, USED] {
            let _ = memory.write_obj(0u32, GuestAddress(base + ring));
        }
        set(subject, 0x30, queue);
        set(
            subject,
            0x38,
            if random.one_in(16) { random.of(&[0, 1, 2, 3, 64, 256, 257, 65536, u32::MAX]) } else { 16 },
        );
        for (register, place) in [(0x80, DESCRIPTORS), (0x90, AVAILABLE), (0xa0, USED)] {
            let at = if random.one_in(32) { address(random) } else { base + place };
            set(subject, register, at as u32);
            set(subject, register + 4, (at >> 32) as u32);
        }
        set(subject, 0x44, if random.one_in(16) { random.of(&[0, 2]) } else { 1 });
    }
    set(subject, 0x70, if random.one_in(16) { random.of(&[4, 128, u32::MAX]) } else { 15 });
}

fn descriptor(random: &mut Random, memory: &Memory, at: u64) {
    let flags = random.of(&[0u16, 1, 1, 1, 2, 3, 3, 4, 5, 7]);
    let next = if random.one_in(16) { random.next() as u16 } else { random.below(20) as u16 };
    let place = address(random);
    let size = length(random);
    let _ = memory.write_obj(place, GuestAddress(at));
    let _ = memory.write_obj(size, GuestAddress(at + 8));
    let _ = memory.write_obj(flags, GuestAddress(at + 12));
    let _ = memory.write_obj(next, GuestAddress(at + 14));
}

/// A request that is nearly right, so that it gets further than the first check.
fn content(random: &mut Random, memory: &Memory, name: &str, at: u64) {
    match name {
        "block" => {
            let kind: u32 = random.of(&[0, 0, 1, 1, 4, 8, 11, 13, u32::MAX]);
            let sector: u64 = random.of(&[0, 1, 127, 128, 1 << 40, u64::MAX, u64::MAX / 512]);
            let _ = memory.write_obj(kind, GuestAddress(at));
            let _ = memory.write_obj(sector, GuestAddress(at + 8));
        }
        "vsock" => {
            let cids: [u64; 2] = [random.of(&[3, 3, 3, 3, 2, 0, u64::MAX]), random.of(&[2, 2, 2, 2, 3, 1, u64::MAX])];
            let ports: [u32; 2] = [random.below(4) as u32, random.of(&[0, 1, 1 << 30, (1 << 30) + 1, u32::MAX])];
            let size = length(random);
            let kinds: [u16; 2] = [random.of(&[1, 1, 1, 1, 2, 0]), random.below(9) as u16];
            let rest: [u32; 3] = [random.below(5) as u32, random.of(&[0, 4096, u32::MAX]), random.next() as u32];
            let _ = memory.write_obj(cids, GuestAddress(at));
            let _ = memory.write_obj(ports, GuestAddress(at + 16));
            let _ = memory.write_obj(size, GuestAddress(at + 24));
            let _ = memory.write_obj(kinds, GuestAddress(at + 28));
            let _ = memory.write_obj(rest, GuestAddress(at + 32));
        }
        _ => {}
    }
}

/// A chain of the right form with content, whose parts are now and then wrong.
fn decent_chain(random: &mut Random, memory: &Memory, name: &str, base: u64) {
    let head = 0x4_0000 + random.below(0x1000);
    content(random, memory, name, head);
    let parts: [(u64, u32, u16); 3] = match name {
        "block" => [
            (head, 16, 1),
            (address(random), length(random), random.of(&[1, 3])),
            (0x5_0000, random.of(&[0, 1, 1, 1, 20]), 2),
        ],
        _ => [
            (head, random.of(&[44, 44, 12, 43, 4096]), random.of(&[1, 3])),
            (address(random), length(random), random.of(&[1, 3])),
            (0x5_0000, 4096, random.of(&[0, 2])),
        ],
    };
    for (index, (place, size, flags)) in parts.into_iter().enumerate() {
        let at = GuestAddress(base + DESCRIPTORS + 16 * index as u64);
        let _ = memory.write_obj(place, at);
        let _ = memory.write_obj(size, GuestAddress(at.0 + 8));
        let _ = memory.write_obj(flags, GuestAddress(at.0 + 12));
        let _ = memory.write_obj(index as u16 + 1, GuestAddress(at.0 + 14));
    }
}

fn case(random: &mut Random, memory: &Memory, subject: &mut Subject, folder: &Folder) {
    if random.one_in(32) {
        start(random, memory, subject);
    }
    let queue = random.below(subject.queues as u64 + 1);
    let base = queue.min(subject.queues as u64 - 1) * RING;
    for index in 0..20 {
        descriptor(random, memory, base + DESCRIPTORS + 16 * index);
    }
    if random.one_in(2) {
        decent_chain(random, memory, subject.name, base);
    }
    // a table of indirect descriptors where some of those above may point to
    for index in 0..4 {
        descriptor(random, memory, 16 * index);
    }
    let before: u16 = memory.read_obj(GuestAddress(base + AVAILABLE + 2)).unwrap();
    for slot in 0..16 {
        let head = if random.one_in(16) { random.next() as u16 } else { random.of(&[0, 0, 0, 1, 5, 15]) };
        let _ = memory.write_obj(head, GuestAddress(base + AVAILABLE + 4 + 2 * slot));
    }
    let step =
        if random.one_in(16) { random.of(&[0u16, 16, 17, 300, 0x8000, u16::MAX]) } else { random.of(&[1u16, 1, 2]) };
    let _ = memory.write_obj(before.wrapping_add(step), GuestAddress(base + AVAILABLE + 2));
    let used = GuestAddress(base + USED + 2);
    let used_before: u16 = memory.read_obj(used).unwrap();
    match random.below(8) {
        0 => _ = subject.device.host_event(),
        1 => _ = subject.device.wake(),
        2 => {
            let register =
                random.of(&[0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x64, 0x70, 0x80, 0xa4, 0xb0, 0x100, 0xffc]);
            let size = random.of(&[0usize, 1, 2, 4, 4, 4, 8]);
            let value = random.next().to_le_bytes();
            subject.device.write(register, &value[..size]);
        }
        3 => {
            let mut bytes = [0; 8];
            let size = random.of(&[0usize, 1, 2, 4, 8]);
            subject.device.read(random.below(0x1000), &mut bytes[..size]);
        }
        4 => match subject.name {
            "vsock" => {
                if let Ok(mut stream) = UnixStream::connect(folder.path("v")) {
                    let _ = stream.write_all(random.of::<&[u8]>(&[
                        b"CONNECT 1\n",
                        b"CONNECT 1\nhello",
                        b"CONN",
                        b"\n",
                        b"CONNECT 99999999999999\n",
                    ]));
                    stream.set_nonblocking(true).unwrap();
                    subject.host.push(stream);
                }
                if subject.host.len() > 16 {
                    subject.host.remove(0);
                }
            }
            "net" => {
                let packet = [0x55; 1514];
                let _ = subject.host[0].write(&packet[..random.below(1515) as usize]);
            }
            _ => {}
        },
        _ => {}
    }
    subject.device.notified(queue as usize);
    let _ = subject.interrupt.line.read();
    let mut status = [0; 4];
    subject.device.read(0x70, &mut status);
    // DEVICE_NEEDS_RESET
    if status[0] & 64 != 0 {
        subject.stopped += 1;
        start(random, memory, subject);
    } else if memory.read_obj::<u16>(used).unwrap() != used_before {
        subject.answered += 1;
    }
    if subject.name == "net" {
        let mut packet = [0u8; 70000];
        while std::io::Read::read(&mut subject.host[0], &mut packet).is_ok_and(|got| got > 0) {}
    }
}

#[test]
fn no_guest_breaks_the_monitor() {
    let folder = Folder::new();
    let memory: Memory = GuestMemoryMmap::from_regions(vec![region(0), region(HIGH)]).unwrap();
    let mut subjects = subjects(&memory, &folder);
    let cases = std::env::var("ANVIL_HOSTILE_CASES").map_or(CASES, |text| text.parse().unwrap());
    let mut random = Random(0xbad);
    for subject in &mut subjects {
        start(&mut random, &memory, subject);
    }
    for _ in 0..cases {
        let index = random.below(subjects.len() as u64) as usize;
        case(&mut random, &memory, &mut subjects[index], &folder);
    }
    for Subject { name, answered, stopped, .. } in &subjects {
        println!("{name}: answered {answered}, stopped {stopped}");
        assert!(
            *answered > cases / 50 && *stopped > 0,
            "{name}: answered {answered}, stopped {stopped}: the cases are too wild"
        );
    }
    // whatever happened, a driver that starts from the beginning finds a device that works
    for subject in &mut subjects {
        set(subject, 0x70, 0);
        let mut status = [1; 4];
        subject.device.read(0x70, &mut status);
        assert_eq!(status, [0; 4], "{}", subject.name);
    }
}
