//! The socket of the API and the connections of its clients. Nothing here waits: a client that stops in the middle keeps
//! its place among the connections and nothing else.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use crate::http::{self, Parsed, Request, Response, MAX_BODY, MAX_HEAD};

/// As in Firecracker.
pub const MAX_CONNECTIONS: usize = 10;
/// Seconds after which a connection without a word gives up its place when another client has none.
const IDLE: u64 = 30;
const READ_AT_ONCE: usize = 16 << 10;

/// Binds a socket that only this user reaches. A stale one, which nobody listens at, is replaced; one in use is not.
pub fn bind(path: &str) -> io::Result<UnixListener> {
    if let Ok(metadata) = fs::symlink_metadata(path) {
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

impl Socket {
    pub fn moved(&mut self, path: &str) {
        self.path = path.to_string();
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
