//! The socket of the API and the connections of its clients. Nothing here waits: a client that stops in the middle keeps
//! its place among the connections and nothing else.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{symlink, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use crate::http::{self, Parsed, Request, Response, MAX_BODY, MAX_HEAD};

/// As in Firecracker.
pub const MAX_CONNECTIONS: usize = 10;
/// Seconds after which a connection without a word gives up its place when another client has none.
const IDLE: u64 = 30;
const READ_AT_ONCE: usize = 16 << 10;

pub fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The address of a socket by its path.
pub fn address(path: &str) -> io::Result<libc::sockaddr_un> {
    // SAFETY: plain data
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    if path.len() >= address.sun_path.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in address.sun_path.iter_mut().zip(path.bytes()) {
        *place = byte as libc::c_char;
    }
    Ok(address)
}

/// Root and this user: others do not decide what is at a path of ours.
pub fn is_trusted(user: u32) -> bool {
    // SAFETY: a call without pointers
    user == 0 || user == unsafe { libc::geteuid() }
}

fn folder_of(path: &str) -> io::Result<fs::Metadata> {
    fs::metadata(match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => ".",
    })
}

/// Whether the path is in a folder in which anybody may make names, as in /tmp.
pub fn is_shared(path: &str) -> io::Result<bool> {
    Ok(folder_of(path)?.mode() & 0o002 != 0)
}

/// A socket in a folder where others may put something else in its place would be theirs at any time.
fn check_folder(path: &str) -> io::Result<()> {
    let folder = folder_of(path)?;
    if !is_trusted(folder.uid()) {
        return Err(io::Error::other(format!("is in a folder of user {}", folder.uid())));
    }
    // sticky: each name is its owner's
    if folder.mode() & 0o1002 == 0o002 {
        return Err(io::Error::other("is in a folder that anybody may change"));
    }
    Ok(())
}

/// Binds a socket that only this user reaches. A stale one, which nobody listens at, is replaced; one in use is not.
pub fn bind(path: &str) -> io::Result<UnixListener> {
    check_folder(path)?;
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if !is_trusted(metadata.uid()) {
            return Err(io::Error::other(format!("is there and belongs to user {}", metadata.uid())));
        }
        if !metadata.file_type().is_socket() {
            return Err(io::Error::other("is there and no socket"));
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => return Err(io::Error::other("is in use by another process")),
            Err(error) => return Err(error),
        }
    }
    // SAFETY: a call without pointers, while there is only one thread
    let mask = unsafe { libc::umask(0o177) };
    let listener = UnixListener::bind(path);
    // SAFETY: as above
    unsafe { libc::umask(mask) };
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Makes `path` a link to a socket elsewhere, and keeps it: where anybody may make names, nobody but root can take this one
/// any more. What others have put there is moved aside or removed, never followed; what is root's is left alone unless it is
/// such a link already, or a socket that nobody listens at.
pub fn make_link(path: &str, socket: &str) -> io::Result<()> {
    // somebody may put something there again and again
    for _ in 0..1000 {
        match symlink(socket, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result,
        }
        let Ok(metadata) = fs::symlink_metadata(path) else { continue };
        if is_trusted(metadata.uid()) {
            if metadata.file_type().is_symlink() {
                if fs::read_link(path).is_ok_and(|target| target.as_os_str() == socket) {
                    return Ok(());
                }
                return Err(io::Error::other("is there and leads elsewhere"));
            }
            if !metadata.file_type().is_socket() {
                return Err(io::Error::other("is there and no socket"));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(io::Error::other("is in use by another process"));
            }
        }
        // neither of the two follows a link; a folder can only be moved, and over an empty folder at most
        if fs::remove_file(path).is_err() {
            let mut random = [0; 8];
            // SAFETY: the buffer is valid for its length
            unsafe { libc::getrandom(random.as_mut_ptr().cast(), random.len(), 0) };
            let _ = fs::rename(path, format!("{path}.{:016x}", u64::from_ne_bytes(random)));
        }
    }
    Err(io::Error::other("is taken by others again and again"))
}

/// A socket that vanishes with its owner.
pub struct Socket {
    pub listener: UnixListener,
    path: String,
}

impl Socket {
    pub fn bind(path: &str) -> io::Result<Self> {
        Ok(Socket { listener: bind(path)?, path: path.to_string() })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

pub struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// No further request: closed as soon as the output is gone.
    closing: bool,
    /// `100 Continue` was sent for the request that is coming.
    continued: bool,
    active: Instant,
}

/// What became of a connection after an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for more of the client's bytes.
    Read,
    /// Wait until the client takes more of the answer.
    Write,
    Close,
}

impl Connection {
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            closing: false,
            continued: false,
            active: Instant::now(),
        })
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn is_idle(&self) -> bool {
        self.active.elapsed().as_secs() >= IDLE
    }

    /// Reads what is there, has each complete request answered, and sends what the client takes.
    pub fn work(&mut self, answer: &mut dyn FnMut(&Request) -> Response) -> Next {
        self.active = Instant::now();
        if !self.send() {
            return Next::Close;
        }
        if self.output.is_empty() && !self.closing {
            match self.receive() {
                Ok(true) => {}
                Ok(false) => self.closing = true,
                Err(_) => return Next::Close,
            }
            self.answer_all(answer);
            if !self.send() {
                return Next::Close;
            }
        }
        match (self.output.is_empty(), self.closing) {
            (false, _) => Next::Write,
            (true, true) => Next::Close,
            (true, false) => Next::Read,
        }
    }

    /// False at the end of what the client sends.
    fn receive(&mut self) -> io::Result<bool> {
        let mut chunk = [0; READ_AT_ONCE];
        // what is more stays in the socket until these were answered
        while self.input.len() < MAX_HEAD + MAX_BODY {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(got) => self.input.extend_from_slice(&chunk[..got]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn answer_all(&mut self, answer: &mut dyn FnMut(&Request) -> Response) {
        loop {
            match http::parse(&self.input) {
                Ok(Parsed::Complete(request, used)) => {
                    self.input.drain(..used);
                    self.continued = false;
                    let response = answer(&request);
                    self.output.extend(response.bytes(request.close));
                    if request.close {
                        self.closing = true;
                        return;
                    }
                }
                Ok(Parsed::Incomplete { expects }) => {
                    if expects && !self.continued {
                        self.continued = true;
                        self.output.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    return;
                }
                Err(message) => {
                    self.output.extend(Response::fault(&message).bytes(true));
                    self.input.clear();
                    self.closing = true;
                    return;
                }
            }
        }
    }

    /// False when the client is gone.
    fn send(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return false,
                Ok(sent) => drop(self.output.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// Tells a client for whom there is no place, and hangs up.
pub fn turn_away(stream: UnixStream) {
    let _ = stream.set_nonblocking(true);
    let message = format!("Too many open connections: at most {MAX_CONNECTIONS}.");
    let _ = (&stream).write_all(&Response::fault_with(503, &message).bytes(true));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn folder(name: &str) -> String {
        let folder = std::env::temp_dir().join(format!("anvil-vmm-server-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder.to_str().unwrap().to_string()
    }

    #[test]
    fn a_socket_is_bound_where_nobody_else_can_take_its_place() {
        let folder = folder("bind");
        let path = format!("{folder}/s");
        for (mode, well) in [(0o755, true), (0o777, false), (0o1777, true)] {
            fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            let _ = fs::remove_file(&path);
            assert_eq!(bind(&path).is_ok(), well, "{mode:o}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_ours_is_not_replaced_by_the_link() {
        let folder = folder("ours");
        let (path, target) = (format!("{folder}/s"), format!("{folder}/target"));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(make_link(&path, &target).unwrap_err().to_string().contains("in use"));
        drop(listener);
        make_link(&path, &target).unwrap();
        assert!(make_link(&path, "/elsewhere").is_err());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(make_link(&path, &target).unwrap_err().to_string().contains("no socket"));
        fs::remove_dir_all(folder).unwrap();
    }
}
