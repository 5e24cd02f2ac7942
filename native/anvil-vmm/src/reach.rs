//! How a connection of the guest reaches a program of the host, which listens at `<uds_path>_<port>`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::link::Link;
use crate::server;

pub enum Reach {
    /// This process connects.
    Path(String),
    /// Another process does, and hands the connection over: see [`answer`].
    Asked(Link),
}

/// Of the other process: a connection comes with it; there is none.
const CONNECTED: u8 = b'C';
const NOBODY: u8 = b'N';

impl Reach {
    pub fn connect(&self, port: u32) -> io::Result<UnixStream> {
        match self {
            Reach::Path(uds) => connect(uds, port),
            Reach::Asked(link) => {
                link.send(&port.to_le_bytes(), None)?;
                match link.receive_file(&mut [0; 1])? {
                    (1, Some(file)) => Ok(UnixStream::from(file)),
                    _ => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
        }
    }
}

/// Answers what [`Reach::Asked`] asks, as much as waits now; false when nobody will ask again. Whoever asks can name a port and
/// nothing else.
pub fn answer(link: &Link, uds: Option<&str>) -> bool {
    let mut bytes = [0; 4];
    // so many at once; the rest waits until others had their turn
    for _ in 0..64 {
        match link.receive(&mut bytes) {
            Ok(length) if length == bytes.len() => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            _ => return false,
        }
        let stream = uds.and_then(|uds| connect(uds, u32::from_le_bytes(bytes)).ok());
        let word = if stream.is_some() { CONNECTED } else { NOBODY };
        // one that does not read its answers gets none
        let _ = link.send(&[word], stream.as_ref().map(AsRawFd::as_raw_fd));
    }
    true
}

/// Connects without ever waiting: a listener whose queue is full is as good as none. Symbolic links are not followed, and
/// where anybody may make a socket only those of root and of this user are taken: another one is not what was meant.
pub fn connect(uds: &str, port: u32) -> io::Result<UnixStream> {
    let path = server::c_string(&format!("{uds}_{port}"))?;
    // SAFETY: strings end with a zero; each structure is as long as its size says; descriptors are new
    unsafe {
        let place = libc::open(path.as_ptr(), libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC);
        if place < 0 {
            return Err(io::Error::last_os_error());
        }
        let place = OwnedFd::from_raw_fd(place);
        let mut status: libc::stat = std::mem::zeroed();
        if libc::fstat(place.as_raw_fd(), &raw mut status) != 0 {
            return Err(io::Error::last_os_error());
        }
        if status.st_mode & libc::S_IFMT != libc::S_IFSOCK {
            return Err(io::Error::other("is no socket"));
        }
        if !server::is_trusted(status.st_uid) && server::is_shared(uds)? {
            return Err(io::Error::other(format!("belongs to user {}", status.st_uid)));
        }
        // the socket that was looked at, whatever has its name by now
        let address = server::address(&format!("/proc/self/fd/{}", place.as_raw_fd()))?;
        let fd = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = OwnedFd::from_raw_fd(fd);
        let size = std::mem::size_of_val(&address) as libc::socklen_t;
        if libc::connect(fd.as_raw_fd(), (&raw const address).cast(), size) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(UnixStream::from(fd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    fn folder(name: &str) -> String {
        let folder = std::env::temp_dir().join(format!("anvil-vmm-reach-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder.to_str().unwrap().to_string()
    }

    #[test]
    fn a_listener_is_reached_by_its_port_and_nothing_else_is() {
        let folder = folder("ports");
        let uds = format!("{folder}/v");
        let listener = UnixListener::bind(format!("{uds}_52")).unwrap();
        connect(&uds, 52).unwrap().write_all(b"called").unwrap();
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "called");
        assert_eq!(connect(&uds, 53).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(format!("{uds}_54"), "").unwrap();
        std::os::unix::fs::symlink(format!("{uds}_52"), format!("{uds}_55")).unwrap();
        assert!(connect(&uds, 54).is_err() && connect(&uds, 55).is_err());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_process_is_asked_for_a_port() {
        let folder = folder("asked");
        let uds = format!("{folder}/v");
        let listener = UnixListener::bind(format!("{uds}_52")).unwrap();
        let (here, there) = Link::pair().unwrap();
        let reach = Reach::Asked(there);
        let asking = std::thread::spawn(move || {
            reach.connect(52).unwrap().write_all(b"called").unwrap();
            assert!(reach.connect(53).is_err());
            reach
        });
        let mut text = String::new();
        while !asking.is_finished() {
            answer(&here, Some(&uds));
        }
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "called");
        drop(here);
        // nobody answers any more
        assert!(asking.join().unwrap().connect(52).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
