//! A pair of sockets between two processes of the monitor: messages, of which one may carry an open file.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_void, cmsghdr, iovec, msghdr};

pub struct Link(OwnedFd);

/// Room for the control message with one descriptor, aligned as its header is.
#[repr(C)]
struct Ancillary {
    header: cmsghdr,
    file: RawFd,
}

impl Link {
    pub fn pair() -> io::Result<(Self, Self)> {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors; both are new
        unsafe {
            if libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok((Link(OwnedFd::from_raw_fd(ends[0])), Link(OwnedFd::from_raw_fd(ends[1]))))
        }
    }

    /// Sends a message. It never waits: when the other side does not read, that is an error.
    pub fn send(&self, bytes: &[u8], file: Option<RawFd>) -> io::Result<()> {
        let mut part = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: plain data; every pointer is to something that outlives the call
        let sent = unsafe {
            let mut ancillary: Ancillary = zeroed();
            let mut message: msghdr = zeroed();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            if let Some(file) = file {
                ancillary.header.cmsg_level = libc::SOL_SOCKET;
                ancillary.header.cmsg_type = libc::SCM_RIGHTS;
                ancillary.header.cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
                ancillary.file = file;
                message.msg_control = (&raw mut ancillary).cast::<c_void>();
                message.msg_controllen = size_of::<Ancillary>() as _;
            }
            libc::sendmsg(self.0.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// The length of the next message, 0 at the end; never waits. Files that came with it are not taken.
    pub fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer is valid for its length
        let got = unsafe { libc::recv(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT) };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }

    /// Waits for the next message; its length, 0 at the end, and the file that came with it.
    pub fn receive_file(&self, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
        let mut part = iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        loop {
            // SAFETY: plain data; every pointer is to something that outlives the call; the descriptor is new
            unsafe {
                let mut ancillary: Ancillary = zeroed();
                let mut message: msghdr = zeroed();
                message.msg_iov = &raw mut part;
                message.msg_iovlen = 1;
                message.msg_control = (&raw mut ancillary).cast::<c_void>();
                message.msg_controllen = size_of::<Ancillary>() as _;
                let got = libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC);
                let Ok(got) = usize::try_from(got) else {
                    let error = io::Error::last_os_error();
                    if error.kind() == io::ErrorKind::Interrupted {
                        continue;
                    }
                    return Err(error);
                };
                let came = message.msg_controllen as usize >= libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize
                    && ancillary.header.cmsg_level == libc::SOL_SOCKET
                    && ancillary.header.cmsg_type == libc::SCM_RIGHTS;
                return Ok((got, came.then(|| OwnedFd::from_raw_fd(ancillary.file))));
            }
        }
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn messages_keep_their_bounds_and_carry_a_file() {
        let (here, there) = Link::pair().unwrap();
        let (mut reader, writer) = UnixStream::pair().unwrap();
        here.send(b"one", None).unwrap();
        here.send(b"two", Some(writer.as_raw_fd())).unwrap();
        drop(writer);
        let mut bytes = [0; 16];
        assert_eq!(there.receive(&mut bytes).unwrap(), 3);
        let (length, file) = there.receive_file(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"two");
        File::from(file.unwrap()).write_all(b"through it").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through it");
        drop(here);
        assert_eq!(there.receive(&mut bytes).unwrap(), 0);
        assert!(there.receive_file(&mut bytes).is_ok_and(|(length, file)| length == 0 && file.is_none()));
    }

    #[test]
    fn nothing_waits_for_a_side_that_does_not_read_and_its_files_are_not_taken() {
        let (here, there) = Link::pair().unwrap();
        let mut bytes = [0; 16];
        assert_eq!(there.receive(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let (mut reader, writer) = UnixStream::pair().unwrap();
        here.send(b"x", Some(writer.as_raw_fd())).unwrap();
        drop(writer);
        assert_eq!(there.receive(&mut bytes).unwrap(), 1);
        // the end, so nobody has the other end of the pipe any more
        assert_eq!(reader.read(&mut bytes).unwrap(), 0);
        let error = (0..100_000).find_map(|_| here.send(b"x", None).err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
