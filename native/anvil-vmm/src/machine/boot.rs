//! Loads a kernel, and describes the machine to it: by the PVH protocol (Xen's start_info) when the kernel has its note,
//! else by the 64-bit boot protocol of Linux (Documentation/arch/x86/boot.rst).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use super::{elf, mptable, write};
use crate::devices::queue::Memory;

const GDT: u64 = 0x500;
const IDT: u64 = 0x520;
const START_INFO: u64 = 0x6000;
const MODULES: u64 = 0x6040;
const MEMORY_MAP: u64 = 0x6100;
const ZERO_PAGE: u64 = 0x7000;
const STACK: u64 = 0x8ff0;
const PAGE_TABLES: u64 = 0x9000;
const CMDLINE: u64 = 0x2_0000;
const HIGH_MEMORY: u64 = 0x10_0000;

/// COMMAND_LINE_SIZE of Linux on x86, with the final zero.
pub const MAX_CMDLINE: usize = 2048;

const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;

/// Open files of the boot source.
pub struct Files {
    pub kernel: File,
    pub initrd: Option<File>,
}

impl Files {
    pub fn open(kernel: &str, initrd: Option<&str>) -> Result<Self, String> {
        let kernel = open(kernel).map_err(|error| format!("The kernel file cannot be opened: {error}."))?;
        let initrd =
            initrd.map(open).transpose().map_err(|error| format!("The initrd file cannot be opened: {error}."))?;
        Ok(Files { kernel, initrd })
    }

    /// The same open files.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Files { kernel: self.kernel.try_clone()?, initrd: self.initrd.as_ref().map(File::try_clone).transpose()? })
    }
}

fn open(path: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

/// How the first processor begins.
pub enum Entry {
    /// Protected mode without paging; EBX is the address of start_info.
    Pvh(u64),
    /// Long mode; RSI is the address of the zero page.
    Linux64(u64),
}

pub fn load(memory: &Memory, files: &mut Files, cmdline: &str) -> Result<Entry, String> {
    let kernel = &mut files.kernel;
    refuse_other_formats(kernel)?;
    let loaded = elf::load(memory, kernel, HIGH_MEMORY)?;
    let initrd = match &mut files.initrd {
        None => None,
        Some(file) => Some(load_initrd(memory, file, loaded.end)?),
    };
    if cmdline.len() >= MAX_CMDLINE {
        return Err(format!("The command line of the kernel is longer than {} bytes.", MAX_CMDLINE - 1));
    }
    if cmdline.contains('\0') {
        return Err("The command line of the kernel holds a zero byte.".to_string());
    }
    write(memory, CMDLINE, &[cmdline.as_bytes(), &[0]].concat())?;
    match loaded.pvh {
        Some(entry) => {
            describe_pvh(memory, initrd)?;
            Ok(Entry::Pvh(entry))
        }
        None => {
            describe_linux(memory, initrd, cmdline.len())?;
            Ok(Entry::Linux64(loaded.entry))
        }
    }
}

/// The formats that are given most often by mistake get a sentence of their own.
fn refuse_other_formats(kernel: &mut File) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("The kernel file cannot be read: {error}.");
    let mut head = [0; 0x206];
    kernel.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let mut filled = 0;
    while filled < head.len() {
        match kernel.read(&mut head[filled..]).map_err(unreadable)? {
            0 => break,
            got => filled += got,
        }
    }
    if head[0x202..] == *b"HdrS" {
        return Err("The kernel is a bzImage: an uncompressed vmlinux (ELF) is needed.".to_string());
    }
    kernel.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    Ok(())
}

/// As high as possible below 4 GiB: start and bytes.
fn load_initrd(memory: &Memory, file: &mut File, kernel_end: u64) -> Result<(u64, u64), String> {
    let unreadable = |error: io::Error| format!("The initrd file cannot be read: {error}.");
    let size = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let low = memory.iter().next().map_or(0, |region| region.len());
    let start = low.checked_sub(size).map(|start| start & !0xfff);
    let start =
        start.filter(|start| *start >= kernel_end).ok_or("The initrd does not fit into the memory of the guest.")?;
    memory
        .read_exact_volatile_from(GuestAddress(start), file, size as usize)
        .map_err(|error| format!("The initrd file cannot be read: {error}."))?;
    Ok((start, size))
}

/// Start, bytes and kind of each range.
fn memory_map(memory: &Memory) -> Vec<(u64, u64, u32)> {
    let mut map =
        vec![(0, mptable::ADDRESS, E820_RAM), (mptable::ADDRESS, HIGH_MEMORY - mptable::ADDRESS, E820_RESERVED)];
    for region in memory.iter() {
        let (start, size) = (region.start_addr().0, region.len());
        if start == 0 {
            map.push((HIGH_MEMORY, size.saturating_sub(HIGH_MEMORY), E820_RAM));
        } else {
            map.push((start, size, E820_RAM));
        }
    }
    map
}

/// struct hvm_start_info, version 1 (xen/include/public/arch-x86/hvm/start_info.h).
fn describe_pvh(memory: &Memory, initrd: Option<(u64, u64)>) -> Result<(), String> {
    let map = memory_map(memory);
    let mut info = Vec::new();
    for word in [0x336e_c578u32, 1, 0, u32::from(initrd.is_some())] {
        info.extend(word.to_le_bytes());
    }
    for long in [if initrd.is_some() { MODULES } else { 0 }, CMDLINE, 0, MEMORY_MAP] {
        info.extend(long.to_le_bytes());
    }
    info.extend((map.len() as u32).to_le_bytes());
    info.extend([0; 4]);
    write(memory, START_INFO, &info)?;
    if let Some((start, size)) = initrd {
        let module: Vec<u8> = [start, size, 0, 0].iter().flat_map(|long| long.to_le_bytes()).collect();
        write(memory, MODULES, &module)?;
    }
    let mut table = Vec::new();
    for (start, size, kind) in map {
        table.extend(start.to_le_bytes());
        table.extend(size.to_le_bytes());
        table.extend(kind.to_le_bytes());
        table.extend([0; 4]);
    }
    write(memory, MEMORY_MAP, &table)
}

/// struct boot_params (arch/x86/include/uapi/asm/bootparam.h), and page tables for the first GiB.
fn describe_linux(memory: &Memory, initrd: Option<(u64, u64)>, cmdline: usize) -> Result<(), String> {
    let mut page = [0u8; 4096];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1fe, &0xaa55u16.to_le_bytes());
    put(0x202, b"HdrS");
    // a boot loader without an id of its own
    put(0x210, &[0xff]);
    if let Some((start, size)) = initrd {
        put(0x218, &(start as u32).to_le_bytes());
        put(0x21c, &(size as u32).to_le_bytes());
    }
    put(0x228, &(CMDLINE as u32).to_le_bytes());
    put(0x230, &0x0100_0000u32.to_le_bytes());
    put(0x238, &(cmdline as u32).to_le_bytes());
    let map = memory_map(memory);
    put(0x1e8, &[map.len() as u8]);
    for (index, (start, size, kind)) in map.into_iter().enumerate() {
        let at = 0x2d0 + index * 20;
        put(at, &start.to_le_bytes());
        put(at + 8, &size.to_le_bytes());
        put(at + 16, &kind.to_le_bytes());
    }
    write(memory, ZERO_PAGE, &page)?;

    // one entry of each upper level, and 512 pages of 2 MiB
    let table = |entry: u64| (entry | 3).to_le_bytes();
    write(memory, PAGE_TABLES, &table(PAGE_TABLES + 0x1000))?;
    write(memory, PAGE_TABLES + 0x1000, &table(PAGE_TABLES + 0x2000))?;
    let pages: Vec<u8> = (0..512u64).flat_map(|page| ((page << 21) | 0x83).to_le_bytes()).collect();
    write(memory, PAGE_TABLES + 0x2000, &pages)
}

const CODE_32: u64 = 0x00cf_9b00_0000_ffff;
const CODE_64: u64 = 0x00af_9b00_0000_ffff;
const DATA: u64 = 0x00cf_9300_0000_ffff;
const TSS: u64 = 0x0000_8b00_0000_0067;

/// A segment from its descriptor (Intel SDM, volume 3, 3.4.5), at a place in the table.
fn segment(descriptor: u64, index: u16) -> kvm_segment {
    let bit = |at: u32| ((descriptor >> at) & 1) as u8;
    let limit = ((descriptor & 0xffff) | ((descriptor >> 32) & 0xf_0000)) as u32;
    kvm_segment {
        base: 0,
        limit: if bit(55) == 1 { (limit << 12) | 0xfff } else { limit },
        selector: index * 8,
        type_: ((descriptor >> 40) & 0xf) as u8,
        s: bit(44),
        dpl: 0,
        present: bit(47),
        avl: 0,
        l: bit(53),
        db: bit(54),
        g: bit(55),
        ..Default::default()
    }
}

/// The descriptor table that the segments of both entries are in.
pub fn write_tables(memory: &Memory, entry: &Entry) -> Result<(), String> {
    let code = if matches!(entry, Entry::Pvh(_)) { CODE_32 } else { CODE_64 };
    let table: Vec<u8> = [0, code, DATA, TSS].iter().flat_map(|descriptor: &u64| descriptor.to_le_bytes()).collect();
    write(memory, GDT, &table)?;
    write(memory, IDT, &[0; 8])
}

/// Registers of the first processor.
pub fn registers(entry: &Entry, sregs: &mut kvm_sregs) -> kvm_regs {
    let code = if matches!(entry, Entry::Pvh(_)) { CODE_32 } else { CODE_64 };
    sregs.gdt.base = GDT;
    sregs.gdt.limit = 4 * 8 - 1;
    sregs.idt.base = IDT;
    sregs.idt.limit = 7;
    sregs.cs = segment(code, 1);
    let data = segment(DATA, 2);
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = segment(TSS, 3);
    let mut regs = kvm_regs { rflags: 2, ..Default::default() };
    match entry {
        Entry::Pvh(at) => {
            // protected mode, extension type
            sregs.cr0 = 0x11;
            sregs.cr4 = 0;
            regs.rip = *at;
            regs.rbx = START_INFO;
        }
        Entry::Linux64(at) => {
            sregs.cr3 = PAGE_TABLES;
            sregs.cr4 |= 0x20;
            sregs.cr0 |= 0x8000_0001;
            // long mode, enabled and active
            sregs.efer |= 0x500;
            regs.rip = *at;
            regs.rsi = ZERO_PAGE;
            regs.rsp = STACK;
            regs.rbp = STACK;
        }
    }
    regs
}
