//! Block device (virtio 1.2, section 5.2) over a file or a block device of the host.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use libc::iovec;

use super::queue::{copy_from, copy_to, length, part, Broken, Buffers, Queues};
use super::VirtioDevice;
use crate::config::Drive;

const SECTOR: u64 = 512;
const QUEUE_SIZE: u16 = 256;
/// Segments of one request: what a chain of the queue's size holds without head and status.
const SEGMENTS: u32 = QUEUE_SIZE as u32 - 2;

const FEATURE_SEG_MAX: u64 = 1 << 2;
const FEATURE_READ_ONLY: u64 = 1 << 5;
const FEATURE_FLUSH: u64 = 1 << 9;

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;

const OK: u8 = 0;
const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;

/// An open image, locked against others for as long as it is open.
pub struct DriveFile {
    file: File,
    read_only: bool,
    sectors: u64,
}

impl DriveFile {
    pub fn open(path: &str, read_only: bool) -> io::Result<Self> {
        // without O_NONBLOCK opening a FIFO would wait for its other end
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).write(!read_only).custom_flags(flags).open(path)?;
        let kind = file.metadata()?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(io::Error::other("neither a file nor a block device"));
        }
        let drive = DriveFile { read_only, ..Self::received(file)? };
        drive.lock()?;
        Ok(drive)
    }

    /// One that another process has opened, and locked in its way.
    pub fn received(mut file: File) -> io::Result<Self> {
        let sectors = file.seek(SeekFrom::End(0))? / SECTOR;
        Ok(DriveFile { file, read_only: true, sectors })
    }

    /// Opens what takes the place of `self`, which may be the same file; when it cannot be had, `self` stays as it is.
    pub fn replaced_by(&self, path: &str, read_only: bool) -> io::Result<Self> {
        self.flock(libc::LOCK_UN)?;
        Self::open(path, read_only).inspect_err(|_| {
            // nobody can have come between but by a chance that is not worth more than this
            let _ = self.lock();
        })
    }

    fn lock(&self) -> io::Result<()> {
        self.flock(if self.read_only { libc::LOCK_SH } else { libc::LOCK_EX }).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::other("in use by another machine"),
            _ => error,
        })
    }

    fn flock(&self, how: libc::c_int) -> io::Result<()> {
        // SAFETY: a call without pointers
        match unsafe { libc::flock(self.file.as_raw_fd(), how | libc::LOCK_NB) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The same open file, and its lock, once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(DriveFile { file: self.file.try_clone()?, read_only: self.read_only, sectors: self.sectors })
    }
}

impl AsRawFd for DriveFile {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

pub struct Block {
    drive: DriveFile,
    read_only: bool,
    unsafe_cache: bool,
    id: [u8; 20],
    config: [u8; 16],
}

impl Block {
    pub fn new(config: &Drive, drive: DriveFile) -> Self {
        let mut id = [0; 20];
        let name = config.id.as_bytes();
        let length = name.len().min(id.len());
        id[..length].copy_from_slice(&name[..length]);
        let mut block =
            Block { drive, read_only: config.read_only, unsafe_cache: config.unsafe_cache, id, config: [0; 16] };
        block.describe();
        block
    }

    fn describe(&mut self) {
        self.config[..8].copy_from_slice(&self.drive.sectors.to_le_bytes());
        self.config[12..].copy_from_slice(&SEGMENTS.to_le_bytes());
    }

    /// Bytes written into the chain, its status included.
    fn request(&self, buffers: &Buffers) -> u32 {
        let writable = length(&buffers.writable);
        // without a place for the status there is no way to answer
        let Some(room) = writable.checked_sub(1) else { return 0 };
        let (status, written) = self.execute(buffers, room);
        copy_to(&part(&buffers.writable, room, 1), &[status]);
        // the status is the last byte that may be written: used.len counts from the first one
        let all = if written == room { room + 1 } else { written };
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    fn execute(&self, buffers: &Buffers, room: usize) -> (u8, usize) {
        let mut head = [0; 16];
        if copy_from(&buffers.readable, &mut head) < head.len() {
            return (IO_ERROR, 0);
        }
        let kind = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let sector = u64::from_le_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]]);
        match kind {
            IN => {
                let Some(offset) = self.place(sector, room) else { return (IO_ERROR, 0) };
                match transfer(&self.drive.file, part(&buffers.writable, 0, room), offset, libc::preadv64) {
                    Ok(()) => (OK, room),
                    Err(_) => (IO_ERROR, 0),
                }
            }
            OUT => {
                let bytes = length(&buffers.readable) - head.len();
                let Some(offset) = self.place(sector, bytes) else { return (IO_ERROR, 0) };
                if self.read_only {
                    return (IO_ERROR, 0);
                }
                match transfer(&self.drive.file, part(&buffers.readable, head.len(), bytes), offset, libc::pwritev64) {
                    Ok(()) => (OK, 0),
                    Err(_) => (IO_ERROR, 0),
                }
            }
            FLUSH if self.unsafe_cache => (OK, 0),
            FLUSH => match self.drive.file.sync_data() {
                Ok(()) => (OK, 0),
                Err(_) => (IO_ERROR, 0),
            },
            GET_ID if room >= self.id.len() => (OK, copy_to(&buffers.writable, &self.id)),
            GET_ID => (IO_ERROR, 0),
            _ => (UNSUPPORTED, 0),
        }
    }

    /// The byte at which so many bytes begin that are whole sectors and all inside of the drive.
    fn place(&self, sector: u64, bytes: usize) -> Option<i64> {
        let bytes = bytes as u64;
        if bytes % SECTOR != 0 || sector.checked_add(bytes / SECTOR)? > self.drive.sectors {
            return None;
        }
        i64::try_from(sector.checked_mul(SECTOR)?).ok()
    }
}

type Vectored = unsafe extern "C" fn(libc::c_int, *const iovec, libc::c_int, i64) -> isize;

/// All of it, however many calls that takes.
fn transfer(file: &File, mut list: Vec<iovec>, mut offset: i64, call: Vectored) -> io::Result<()> {
    while !list.is_empty() {
        let count = list.len().min(libc::UIO_MAXIOV as usize);
        // SAFETY: every part lies in the guest's memory, which stays mapped as long as the devices are there
        let done = unsafe { call(file.as_raw_fd(), list.as_ptr(), count as libc::c_int, offset) };
        match usize::try_from(done) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(done) => {
                offset += done as i64;
                list = part(&list, done, usize::MAX);
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

impl VirtioDevice for Block {
    fn kind(&self) -> u32 {
        2
    }

    fn features(&self) -> u64 {
        FEATURE_SEG_MAX | FEATURE_FLUSH | if self.read_only { FEATURE_READ_ONLY } else { 0 }
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[QUEUE_SIZE]
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn notified(&mut self, queues: &mut Queues, index: usize) -> Result<(), Broken> {
        queues.drain(index, |buffers| self.request(buffers))
    }

    fn replace_file(&mut self, file: DriveFile) -> bool {
        self.drive = file;
        self.describe();
        true
    }
}
