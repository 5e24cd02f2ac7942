//! Two processes: the one that the requests reach keeps its rights and opens files; the guest runs in the other one, in a jail
//! ([`crate::jail`]). They speak over two [`Link`]s. By the first one the keeper gives commands, of which one carries an open
//! file, and the guest's process says that it is done. By the second one that process asks for the program of the host that
//! listens for the guest at a port, which the keeper connects to ([`crate::reach`]).
//!
//! A guest may have taken over its process. So the keeper never waits for it without hearing signals, takes no file and no
//! path from it, and of an answer of it only the first byte means something; the rest, at most, is shown. What that process
//! prints comes through a pipe, and so much of it is passed on, without control characters.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use libc::pid_t;

use crate::devices::block::DriveFile;
use crate::engine::Command;
use crate::link::Link;
use crate::reach;

const PAUSE: u8 = b'P';
const RESUME: u8 = b'R';
const CTRL_ALT_DEL: u8 = b'K';
const DRIVE: u8 = b'D';

const DONE: u8 = b'd';
const FAILED: u8 = b'f';
const MOST: usize = 1024;

const ENDED: &str = "The guest has ended.";

/// The guest's process, as its keeper sees it. When this goes, that goes too.
pub struct Jailed {
    process: pid_t,
    control: Link,
    asking: Link,
    /// What it prints, and how much of that was passed on.
    words: File,
    passed_on: usize,
    status: Option<i32>,
}

/// What is to be expected of the pipe.
#[derive(Debug, PartialEq, Eq)]
pub enum Printed {
    More,
    NotNow,
    Never,
}

/// Bytes of what the guest's process prints that are passed on: its own sentences are few.
const MOST_WORDS: usize = 16 << 10;

impl Jailed {
    /// The keeper's ends of both links, and of the pipe, from which reading does not wait.
    pub fn new(process: pid_t, control: Link, asking: Link, words: File) -> Self {
        Jailed { process, control, asking, words, passed_on: 0, status: None }
    }

    /// What becomes readable when the guest has ended, when it asks for a program of the host, and when it has printed.
    pub fn numbers(&self) -> [RawFd; 3] {
        [self.control.as_raw_fd(), self.asking.as_raw_fd(), self.words.as_raw_fd()]
    }

    /// Passes on a part of what was printed.
    pub fn printed(&mut self) -> Printed {
        let mut bytes = [0; 1024];
        match self.words.read(&mut bytes) {
            Ok(0) => Printed::Never,
            Ok(length) => {
                let length = length.min(MOST_WORDS - self.passed_on);
                self.passed_on += length;
                for byte in &mut bytes[..length] {
                    // nothing that a terminal could take for a command; our own sentences are ASCII
                    if *byte != b'\n' && !(b' '..=b'~').contains(byte) {
                        *byte = b'?';
                    }
                }
                let _ = io::stderr().write_all(&bytes[..length]);
                Printed::More
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Printed::NotNow,
            Err(_) => Printed::Never,
        }
    }

    /// Gives a command and waits until it is done. `signals` ends the waiting when it becomes readable, and the guest.
    pub fn command(&mut self, command: Command, signals: RawFd, uds: Option<&str>) -> Result<(), String> {
        let (word, file) = match &command {
            Command::Pause => ([PAUSE, 0], None),
            Command::Resume => ([RESUME, 0], None),
            Command::CtrlAltDel => ([CTRL_ALT_DEL, 0], None),
            Command::Drive(place, file) => ([DRIVE, u8::try_from(*place).unwrap_or(u8::MAX)], Some(file.as_raw_fd())),
        };
        self.control.send(&word, file).map_err(|_| ENDED.to_string())?;
        self.wait(signals, uds)
    }

    /// Waits for the answer to a command, or to the start; meanwhile the guest's process may ask.
    pub fn wait(&mut self, signals: RawFd, uds: Option<&str>) -> Result<(), String> {
        let mut wanted = [self.control.as_raw_fd(), self.asking.as_raw_fd(), signals, self.words.as_raw_fd()]
            .map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        loop {
            // SAFETY: as many as it says
            let ready = unsafe { libc::poll(wanted.as_mut_ptr(), wanted.len() as libc::nfds_t, -1) };
            if ready < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return Err(format!("Cannot wait for the guest: {}.", io::Error::last_os_error()));
            }
            if ready <= 0 {
                continue;
            }
            if wanted[2].revents != 0 {
                self.end();
                return Err("The machine was told to end.".to_string());
            }
            if wanted[1].revents != 0 && !reach::answer(&self.asking, uds) {
                wanted[1].fd = -1;
            }
            if wanted[3].revents != 0 && self.printed() == Printed::Never {
                wanted[3].fd = -1;
            }
            if wanted[0].revents != 0 {
                let mut bytes = [0; MOST];
                let length = self.control.receive(&mut bytes).unwrap_or(0);
                return match bytes[..length].split_first() {
                    Some((&DONE, _)) => Ok(()),
                    Some((_, text)) => Err(String::from_utf8_lossy(text).into_owned()),
                    None => Err(ENDED.to_string()),
                };
            }
        }
    }

    /// The control is readable although nothing was asked: the exit status when that is its end.
    pub fn ended(&mut self) -> Option<i32> {
        match self.control.receive(&mut [0; MOST]) {
            Ok(0) => Some(self.reap()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(self.reap()),
            _ => None,
        }
    }

    /// After a start that failed: the message, or what is known of a process that ended without one.
    pub fn give_up(mut self, message: String) -> String {
        if message == ENDED {
            format!("The guest's process ended as it started, with status {}.", self.reap())
        } else {
            message
        }
    }

    /// Connects to what the guest's process asks for; false when it will not ask again.
    pub fn asked(&self, uds: Option<&str>) -> bool {
        reach::answer(&self.asking, uds)
    }

    /// The exit status of a process that has ended, or given up its end of a link.
    fn reap(&mut self) -> i32 {
        let status = self.end();
        // its last words: nobody has the other end any more
        while self.printed() == Printed::More {}
        if libc::WIFSIGNALED(status) {
            eprintln!("anvil-vmm: signal {} ended the guest's process", libc::WTERMSIG(status));
            return 1;
        }
        libc::WEXITSTATUS(status)
    }

    /// Ends the process unless it has ended by itself; its status, as of waitpid(2).
    fn end(&mut self) -> i32 {
        if let Some(status) = self.status {
            return status;
        }
        let mut status = 0;
        // SAFETY: a child that nobody has waited for; room for a number
        unsafe {
            // one that is on its way out keeps its own status
            libc::kill(self.process, libc::SIGKILL);
            while libc::waitpid(self.process, &raw mut status, 0) < 0 {
                if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                    break;
                }
            }
        }
        *self.status.insert(status)
    }
}

impl Drop for Jailed {
    fn drop(&mut self) {
        self.end();
    }
}

// In the guest's process

/// The command that waits; `None` at the end, and for what no keeper says.
pub fn command(control: &Link) -> Option<Command> {
    let mut word = [0; 2];
    let (length, file) = control.receive_file(&mut word).ok()?;
    match (length, word, file) {
        (2, [PAUSE, _], None) => Some(Command::Pause),
        (2, [RESUME, _], None) => Some(Command::Resume),
        (2, [CTRL_ALT_DEL, _], None) => Some(Command::CtrlAltDel),
        (2, [DRIVE, place], Some(file)) => {
            Some(Command::Drive(usize::from(place), DriveFile::received(File::from(file)).ok()?))
        }
        _ => None,
    }
}

pub fn done(control: &Link) {
    let _ = control.send(&[DONE], None);
}

pub fn failed(control: &Link, message: &str) {
    let mut bytes = vec![FAILED];
    bytes.extend(message.bytes().take(MOST - 1));
    let _ = control.send(&bytes, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// A keeper whose guest is a child that does what it is told to, by the other ends of the links.
    fn keeper(child: impl FnOnce(&Link, &Link)) -> (Jailed, UnixStream, UnixStream) {
        let (control, theirs) = Link::pair().unwrap();
        let (asking, asks) = Link::pair().unwrap();
        let (signals, raise) = UnixStream::pair().unwrap();
        let (words, prints) = UnixStream::pair().unwrap();
        words.set_nonblocking(true).unwrap();
        // SAFETY: the child calls what is safe after a fork of many threads, and leaves
        let process = unsafe { libc::fork() };
        assert!(process >= 0);
        if process == 0 {
            drop((control, asking));
            let _ = (&prints).write_all(b"printed by \x1b[31mthe guest's process\n");
            child(&theirs, &asks);
            // SAFETY: a call without pointers
            unsafe { libc::_exit(7) };
        }
        (Jailed::new(process, control, asking, File::from(std::os::fd::OwnedFd::from(words))), signals, raise)
    }

    #[test]
    fn commands_are_answered_and_the_status_is_the_guests() {
        let (mut jailed, signals, _raise) = keeper(|control, _asks| {
            done(control);
            if matches!(command(control), Some(Command::Pause)) {
                done(control);
            }
            if matches!(command(control), Some(Command::CtrlAltDel)) {
                failed(control, "no\u{1b}keyboard");
            }
        });
        let signals = signals.as_raw_fd();
        jailed.wait(signals, None).unwrap();
        jailed.command(Command::Pause, signals, None).unwrap();
        assert_eq!(jailed.command(Command::CtrlAltDel, signals, None).unwrap_err(), "no\u{1b}keyboard");
        assert_eq!(jailed.command(Command::Resume, signals, None).unwrap_err(), ENDED);
        assert_eq!(jailed.ended(), Some(7));
    }

    #[test]
    fn a_guest_that_never_answers_is_ended_by_a_signal() {
        let (mut jailed, signals, raise) = keeper(|control, asks| {
            // more than anybody would read, then silence
            while asks.send(&[0; 8], None).is_ok() {}
            let _ = control.receive_file(&mut [0; 1]);
            let _ = control.receive_file(&mut [0; 1]);
        });
        (&raise).write_all(b"x").unwrap();
        assert!(jailed.command(Command::Pause, signals.as_raw_fd(), None).is_err());
        assert_eq!(jailed.ended(), Some(1));
    }
}
