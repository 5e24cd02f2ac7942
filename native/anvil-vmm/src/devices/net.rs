//! Network device (virtio 1.2, section 5.1) over a TAP device of the host.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use super::queue::{length, Broken, Queues};
use super::VirtioDevice;
use libc::{c_int, c_uint};

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

const FEATURE_CSUM: u64 = 1 << 0;
const FEATURE_GUEST_CSUM: u64 = 1 << 1;
const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_HOST_TSO4: u64 = 1 << 11;
const FEATURE_HOST_TSO6: u64 = 1 << 12;

/// Of linux/if_tun.h.
const TUNSETIFF: u64 = 0x4004_54ca;
const TUNSETOFFLOAD: u64 = 0x4004_54d0;
const TUNSETVNETHDRSZ: u64 = 0x4004_54d8;
const TUN_F_CSUM: c_uint = 1;

/// struct virtio_net_hdr_v1.
const HEADER: c_int = 12;
/// The header and the largest packet that segmentation offload makes.
const LARGEST: usize = 65_536 + HEADER as usize;

pub struct Net {
    tap: File,
    features: u64,
    mac: [u8; 6],
}

/// Attaches to a TAP device by name; it is made when it does not exist and the user may do so.
pub fn open_tap(name: &str) -> io::Result<File> {
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
    let tap = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/net/tun")?;
    // struct ifreq: the name, then a union of which the flags are the first member
    let mut request = [0u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    let flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as u16;
    request[libc::IFNAMSIZ..libc::IFNAMSIZ + 2].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the kernel reads and writes an ifreq, which is as large as the array; then an int
    unsafe {
        check(libc::ioctl(tap.as_raw_fd(), TUNSETIFF as _, request.as_mut_ptr()))?;
        check(libc::ioctl(tap.as_raw_fd(), TUNSETVNETHDRSZ as _, &HEADER))?;
    }
    Ok(tap)
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

impl Net {
    pub fn new(tap: File, mac: Option<[u8; 6]>) -> Self {
        let features = FEATURE_CSUM | FEATURE_GUEST_CSUM | FEATURE_HOST_TSO4 | FEATURE_HOST_TSO6;
        let features = features | if mac.is_some() { FEATURE_MAC } else { 0 };
        Net { tap, features, mac: mac.unwrap_or_default() }
    }

    fn receive(&mut self, queues: &mut Queues) -> Result<(), Broken> {
        while let Some(buffers) = queues.pop_or_wait(RECEIVE)? {
            let count = buffers.writable.len().min(libc::UIO_MAXIOV as usize) as c_int;
            // SAFETY: every part lies in the guest's memory
            let got = unsafe { libc::readv(self.tap.as_raw_fd(), buffers.writable.as_ptr(), count) };
            match u32::try_from(got) {
                Ok(got) => queues.push(RECEIVE, buffers.head, got)?,
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => {
                    queues.unpop(RECEIVE);
                    break;
                }
                // a chain with nothing to write to, or a device that went away
                Err(_) => {
                    queues.push(RECEIVE, buffers.head, 0)?;
                    break;
                }
            }
        }
        queues.notify(RECEIVE)
    }

    fn transmit(&mut self, queues: &mut Queues) -> Result<(), Broken> {
        let tap = self.tap.as_raw_fd();
        queues.drain(TRANSMIT, |buffers| {
            if length(&buffers.readable) <= LARGEST {
                let count = buffers.readable.len().min(libc::UIO_MAXIOV as usize) as c_int;
                // SAFETY: every part lies in the guest's memory. What the host cannot take now is lost, as on any wire.
                unsafe { libc::writev(tap, buffers.readable.as_ptr(), count) };
            }
            0
        })
    }
}

impl VirtioDevice for Net {
    fn kind(&self) -> u32 {
        1
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[256, 256]
    }

    fn config(&self) -> &[u8] {
        &self.mac
    }

    fn activate(&mut self, features: u64) {
        // the host may leave out checksums only when the guest can fill them in
        let offload = if features & FEATURE_GUEST_CSUM != 0 { TUN_F_CSUM } else { 0 };
        // SAFETY: a call without pointers; without it packets are merely complete
        unsafe { libc::ioctl(self.tap.as_raw_fd(), TUNSETOFFLOAD as _, offload) };
    }

    fn notified(&mut self, queues: &mut Queues, index: usize) -> Result<(), Broken> {
        if index == RECEIVE {
            self.receive(queues)
        } else {
            self.transmit(queues)
        }
    }

    fn host_fd(&self) -> Option<RawFd> {
        Some(self.tap.as_raw_fd())
    }

    fn host_event(&mut self, queues: &mut Queues) -> Result<(), Broken> {
        self.receive(queues)
    }
}
