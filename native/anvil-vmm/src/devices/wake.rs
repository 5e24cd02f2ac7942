//! A device's way to have its turn again after the others had theirs.

use std::io;
use std::os::fd::AsRawFd;

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

pub struct Wake(EventFd);

impl Wake {
    pub const KEY: u64 = u64::MAX;

    /// An event of the device's own epoll, under [`Wake::KEY`].
    pub fn new(epoll: &Epoll) -> io::Result<Self> {
        let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        epoll.ctl(ControlOperation::Add, event.as_raw_fd(), EpollEvent::new(EventSet::IN, Self::KEY))?;
        Ok(Wake(event))
    }

    pub fn later(&self) {
        let _ = self.0.write(1);
    }

    pub fn heard(&self) {
        let _ = self.0.read();
    }
}
