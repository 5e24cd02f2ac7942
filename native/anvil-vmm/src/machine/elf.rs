//! An uncompressed kernel: a 64-bit ELF file (System V ABI, "ELF-64 Object File Format") with its segments at physical
//! addresses, and Xen's note with the entry of the PVH protocol.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use vm_memory::{Bytes, GuestAddress};

use crate::devices::queue::Memory;

const LOAD: u32 = 1;
const NOTE: u32 = 4;
const MACHINE_X86_64: u16 = 62;
/// XEN_ELFNOTE_PHYS32_ENTRY.
const PHYS32_ENTRY: u32 = 18;
const PROGRAM_HEADER: usize = 56;
/// A kernel has five; a note segment is some hundred bytes.
const MAX_SEGMENTS: u16 = 64;
const MAX_NOTE: u64 = 64 << 10;

#[derive(Debug, PartialEq)]
pub struct Loaded {
    /// The ELF entry: 64-bit code.
    pub entry: u64,
    /// 32-bit code, when the kernel has the note.
    pub pvh: Option<u64>,
    /// The first byte after the kernel.
    pub end: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Puts the segments of a kernel into the guest's memory, none below `lowest`. The error is the message of a fault.
pub fn load(memory: &Memory, file: &mut File, lowest: u64) -> Result<Loaded, String> {
    let cut = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "The kernel is cut off.".to_string(),
        _ => format!("The kernel file cannot be read: {error}."),
    };
    let mut head = [0; 64];
    let not_elf = || "The kernel is not an ELF file: an uncompressed vmlinux is needed.".to_string();
    read_at(file, 0, &mut head).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            not_elf()
        } else {
            cut(error)
        }
    })?;
    if head[..4] != *b"\x7fELF" {
        return Err(not_elf());
    }
    // 64 bits, little-endian
    if head[4..6] != [2, 1] || u16_at(&head, 18) != MACHINE_X86_64 || u16_at(&head, 54) as usize != PROGRAM_HEADER {
        return Err("The kernel is not one for x86-64.".to_string());
    }
    let (entry, start, count) = (u64_at(&head, 24), u64_at(&head, 32), u16_at(&head, 56));
    if count > MAX_SEGMENTS {
        return Err(format!("The kernel has more than {MAX_SEGMENTS} segments."));
    }
    let mut headers = vec![0; usize::from(count) * PROGRAM_HEADER];
    read_at(file, start, &mut headers).map_err(cut)?;

    let mut loaded = Loaded { entry, pvh: None, end: 0 };
    for header in headers.chunks_exact(PROGRAM_HEADER) {
        let (kind, offset, address) = (u32_at(header, 0), u64_at(header, 8), u64_at(header, 24));
        let (in_file, in_memory) = (u64_at(header, 32), u64_at(header, 40));
        if kind == NOTE && in_file <= MAX_NOTE {
            let mut notes = vec![0; in_file as usize];
            read_at(file, offset, &mut notes).map_err(cut)?;
            loaded.pvh = loaded.pvh.or(pvh_entry(&notes));
        }
        if kind != LOAD || in_memory == 0 {
            continue;
        }
        if address < lowest || in_file > in_memory {
            return Err("The kernel has a segment where none may be.".to_string());
        }
        let end = address.checked_add(in_memory).ok_or("The kernel has a segment where none may be.")?;
        loaded.end = loaded.end.max(end);
        let size = usize::try_from(in_memory).map_err(|_| "The kernel is too large.")?;
        if !memory_holds(memory, address, size) {
            return Err("The kernel does not fit into the memory of the guest.".to_string());
        }
        if in_file > 0 {
            file_to_memory(memory, file, offset, address, in_file as usize).map_err(cut)?;
        }
    }
    if loaded.end == 0 {
        return Err("The kernel has no segment that is loaded.".to_string());
    }
    Ok(loaded)
}

fn read_at(file: &mut File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

fn memory_holds(memory: &Memory, address: u64, size: usize) -> bool {
    use vm_memory::{GuestMemory, Permissions};
    memory.check_range(GuestAddress(address), size, Permissions::Write)
}

fn file_to_memory(memory: &Memory, file: &mut File, offset: u64, address: u64, size: usize) -> io::Result<()> {
    // a segment that the file does not have to its end would leave zeros where code should be
    if file.metadata()?.len() < offset.saturating_add(size as u64) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.seek(SeekFrom::Start(offset))?;
    memory.read_exact_volatile_from(GuestAddress(address), file, size).map_err(io::Error::other)
}

/// Notes: lengths of name and content, type, then both, each filled up to four bytes.
fn pvh_entry(mut notes: &[u8]) -> Option<u64> {
    let padded = |length: u32| Some((usize::try_from(length).ok()?.checked_add(3)?) & !3);
    while notes.len() >= 12 {
        let (name, content, kind) = (u32_at(notes, 0), u32_at(notes, 4), u32_at(notes, 8));
        let name_end = 12usize.checked_add(padded(name)?)?;
        let end = name_end.checked_add(padded(content)?)?;
        let (name_bytes, value) =
            (notes.get(12..12 + name as usize)?, notes.get(name_end..name_end + content as usize)?);
        if kind == PHYS32_ENTRY && name_bytes == b"Xen\0" && value.len() >= 4 {
            return Some(u64::from(u32_at(value, 0)));
        }
        notes = notes.get(end..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::machine::allocate;

    const PLACE: u64 = 0x10_0000;

    fn header(kind: u32, offset: u64, address: u64, in_file: u64, in_memory: u64) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend([0; 4]);
        for long in [offset, address, address, in_file, in_memory, 4096] {
            bytes.extend(long.to_le_bytes());
        }
        bytes
    }

    fn kernel(headers: &[Vec<u8>], rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[18] = MACHINE_X86_64 as u8;
        bytes[24..32].copy_from_slice(&(PLACE + 8).to_le_bytes());
        bytes[32] = 64;
        bytes[54] = PROGRAM_HEADER as u8;
        bytes[56] = headers.len() as u8;
        bytes.extend(headers.concat());
        bytes.resize(512, 0);
        bytes.extend(rest);
        bytes
    }

    fn try_load(bytes: &[u8]) -> Result<Loaded, String> {
        // SAFETY: the name is a valid string
        let fd = unsafe { libc::memfd_create(c"kernel".as_ptr(), 0) };
        // SAFETY: the descriptor is new
        let mut file: File = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
        file.write_all(bytes).unwrap();
        load(&allocate(4 << 20).unwrap(), &mut file, PLACE)
    }

    #[test]
    fn segments_and_the_note_are_found() {
        let mut note = Vec::new();
        for word in [4u32, 4, PHYS32_ENTRY] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"Xen\0");
        note.extend(0x10_0010u32.to_le_bytes());
        let size = note.len() as u64;
        let bytes = kernel(&[header(LOAD, 512, PLACE, 16, 4096), header(NOTE, 512, 0, size, size)], &note);
        assert_eq!(try_load(&bytes), Ok(Loaded { entry: PLACE + 8, pvh: Some(0x10_0010), end: PLACE + 4096 }));
    }

    #[test]
    fn a_kernel_that_is_wrong_is_refused() {
        let ends = |bytes: &[u8], why: &str| {
            let error = try_load(bytes).expect_err(why);
            assert!(error.contains(why), "{error}");
        };
        ends(b"", "not an ELF file");
        ends(&[0; 4096], "not an ELF file");
        ends(&kernel(&[], &[]), "no segment");
        ends(&kernel(&[header(LOAD, 512, 0, 16, 16)], &[0; 16]), "where none may be");
        ends(&kernel(&[header(LOAD, 512, PLACE, 17, 16)], &[0; 16]), "where none may be");
        ends(&kernel(&[header(LOAD, 512, u64::MAX - 4, 8, 8)], &[0; 16]), "where none may be");
        ends(&kernel(&[header(LOAD, 512, PLACE, 16, 4 << 20)], &[0; 16]), "does not fit");
        ends(&kernel(&[header(LOAD, 512, PLACE, 16, u64::MAX >> 1)], &[0; 16]), "does not fit");
        ends(&kernel(&[header(LOAD, 512, PLACE, 32, 32)], &[0; 16]), "cut off");
        ends(&kernel(&[header(NOTE, 1 << 60, 0, 32, 32)], &[0; 16]), "cut off");
        let mut other = kernel(&[], &[]);
        other[18] = 3;
        ends(&other, "not one for x86-64");
    }

    #[test]
    fn notes_of_any_length_end() {
        for lengths in [[u32::MAX, 0], [0, u32::MAX], [u32::MAX, u32::MAX], [1, 1], [3, 4]] {
            let mut note: Vec<u8> = lengths.iter().flat_map(|word| word.to_le_bytes()).collect();
            note.extend(PHYS32_ENTRY.to_le_bytes());
            note.extend([0; 8]);
            assert_eq!(pvh_entry(&note), None);
        }
    }
}
