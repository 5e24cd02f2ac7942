//! The guest at work: its machine, the host's side of its devices, and its console. The processors have threads of their own;
//! all else is done by the thread that calls [`Engine::turn`], in the process of the requests or in a jail.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use kvm_ioctls::Kvm;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::config::{Config, Drive};
use crate::devices::block::{Block, DriveFile};
use crate::devices::bus::lock;
use crate::devices::console::Console;
use crate::devices::net::Net;
use crate::devices::rng::Rng;
use crate::devices::vsock::Vsock;
use crate::devices::VirtioDevice;
use crate::keeper;
use crate::link::Link;
use crate::machine::vcpu::Ended;
use crate::machine::{boot, Machine, Parts};
use crate::reach::Reach;

/// What the kernel is told when a boot source says nothing.
const DEFAULT_ARGS: &str = "console=ttyS0 reboot=k panic=1 nomodule pci=off i8042.noaux i8042.nomux i8042.dumbkbd";
/// Clients of the console at a time, and what is kept of what they type while the guest does not read.
const MAX_CONSOLES: usize = 4;
const MAX_TYPED: usize = 4096;

/// The open files that a guest is made of.
pub struct Files {
    pub boot: boot::Files,
    pub drives: Vec<DriveFile>,
    pub taps: Vec<File>,
    pub vsock: Option<UnixListener>,
    pub consoles: Option<UnixListener>,
}

impl Files {
    pub fn numbers(&self) -> Vec<RawFd> {
        let mut numbers = vec![self.boot.kernel.as_raw_fd()];
        numbers.extend(self.boot.initrd.iter().map(AsRawFd::as_raw_fd));
        numbers.extend(self.drives.iter().map(AsRawFd::as_raw_fd));
        numbers.extend(self.taps.iter().map(AsRawFd::as_raw_fd));
        numbers.extend([&self.vsock, &self.consoles].into_iter().flatten().map(AsRawFd::as_raw_fd));
        numbers
    }
}

pub struct Plan<'a> {
    pub kvm: &'a Kvm,
    pub config: &'a Config,
    pub files: Files,
    pub reach: Reach,
    /// The console is this process's standard input and output, too.
    pub stdio: bool,
    pub seccomp: bool,
}

pub enum Command {
    Pause,
    Resume,
    CtrlAltDel,
    /// Another file below a drive, by its place among them.
    Drive(usize, DriveFile),
}

#[derive(Clone, Copy)]
enum Source {
    Consoles,
    Console(RawFd),
    Output,
    Ended,
    Activated,
    Queue(usize),
    Device(usize),
    Control,
}

/// A client of the console: a socket, or this process's own terminal.
struct ConsoleClient {
    input: Option<RawFd>,
    output: RawFd,
    position: u64,
    blocked: bool,
    /// Closes both.
    _stream: Option<UnixStream>,
}

pub struct Engine {
    epoll: Epoll,
    sources: BTreeMap<u64, Source>,
    next_source: u64,
    consoles_socket: Option<UnixListener>,
    consoles: BTreeMap<RawFd, (u64, ConsoleClient)>,
    typed: Vec<u8>,
    console: Arc<Console>,
    ended: Arc<Ended>,
    machine: Machine,
    paused: bool,
    /// Where commands come from, when they come from another process.
    control: Option<Link>,
}

impl Engine {
    /// Makes a guest that waits for [`Engine::begin`]. The error is the message of the fault.
    pub fn new(plan: Plan<'_>) -> Result<Self, String> {
        let Plan { kvm, config, files, reach, stdio, seccomp } = plan;
        let Files { mut boot, drives, taps, vsock, consoles } = files;
        let io = |error: io::Error| format!("Cannot watch a device: {error}.");
        let mut devices: Vec<Box<dyn VirtioDevice>> = Vec::new();
        for (drive, file) in config.drives.iter().zip(drives) {
            devices.push(Box::new(Block::new(drive, file)));
        }
        for (network, tap) in config.networks.iter().zip(taps) {
            devices.push(Box::new(Net::new(tap, network.mac)));
        }
        if let (Some(vsock), Some(listener)) = (&config.vsock, vsock) {
            devices.push(Box::new(Vsock::new(vsock.cid, listener, reach).map_err(io)?));
        }
        if config.entropy {
            devices.push(Box::new(Rng));
        }
        let hosts: Vec<Option<RawFd>> = devices.iter().map(|device| device.host_fd()).collect();
        let source = config.boot.as_ref().and_then(|boot| boot.args.as_deref());
        let args = command_line(source.unwrap_or(DEFAULT_ARGS), config.drives.iter().find(|drive| drive.root));
        let (console, ended) = (Console::new().map_err(io)?, Ended::new().map_err(io)?);
        let machine = Machine::new(Parts {
            kvm,
            config: &config.machine,
            boot: &mut boot,
            args,
            devices,
            console: console.clone(),
            ended: ended.clone(),
            seccomp,
        })?;
        let mut engine = Engine {
            epoll: Epoll::new().map_err(io)?,
            sources: BTreeMap::new(),
            next_source: 0,
            consoles_socket: consoles,
            consoles: BTreeMap::new(),
            typed: Vec::new(),
            console,
            ended,
            machine,
            paused: false,
            control: None,
        };
        engine.watch_all(hosts, stdio).map_err(io)?;
        Ok(engine)
    }

    fn watch_all(&mut self, hosts: Vec<Option<RawFd>>, stdio: bool) -> io::Result<()> {
        let mut all = vec![
            (self.console.wake.as_raw_fd(), Source::Output, EventSet::IN),
            (self.ended.event.as_raw_fd(), Source::Ended, EventSet::IN),
            (self.machine.bus.activated.as_raw_fd(), Source::Activated, EventSet::IN),
        ];
        all.extend(self.consoles_socket.iter().map(|socket| (socket.as_raw_fd(), Source::Consoles, EventSet::IN)));
        for (index, notification) in self.machine.notifications.iter().enumerate() {
            all.push((notification.event.as_raw_fd(), Source::Queue(index), EventSet::IN));
        }
        for (index, host) in hosts.into_iter().enumerate() {
            if let Some(fd) = host {
                all.push((fd, Source::Device(index), EventSet::IN | EventSet::EDGE_TRIGGERED));
            }
        }
        for (fd, source, events) in all {
            self.watch(fd, source, events)?;
        }
        if stdio {
            // a file or /dev/null cannot be waited for: then nothing is typed
            let key = self.watch(0, Source::Console(0), EventSet::IN).ok();
            let input = key.map(|_| 0);
            let client = ConsoleClient { input, output: 1, position: 0, blocked: false, _stream: None };
            self.consoles.insert(0, (key.unwrap_or(u64::MAX), client));
        }
        Ok(())
    }

    /// Runs the guest for a keeper, to the end of either; the exit status. Exit with it while this is there: once the end of the
    /// link is closed the keeper waits for nothing more.
    pub fn serve(&mut self, control: Link) -> i32 {
        if let Err(error) = self.watch(control.as_raw_fd(), Source::Control, EventSet::IN) {
            keeper::failed(&control, &format!("Cannot watch the keeper: {error}."));
            return 1;
        }
        keeper::done(&control);
        self.control = Some(control);
        self.begin();
        loop {
            match self.turn(-1) {
                Ok(None) => {}
                Ok(Some(status)) => return status,
                Err(error) => {
                    eprintln!("anvil-vmm: {error}");
                    return 1;
                }
            }
        }
    }

    /// The first instruction of the guest.
    pub fn begin(&mut self) {
        self.machine.resume();
    }

    fn watch(&mut self, fd: RawFd, source: Source, events: EventSet) -> io::Result<u64> {
        let key = self.next_source;
        self.epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(events, key))?;
        self.next_source += 1;
        self.sources.insert(key, source);
        Ok(key)
    }

    /// Does what there is to do, after waiting for it as long as epoll_wait(2) would; the exit status once the guest has ended.
    pub fn turn(&mut self, timeout: i32) -> io::Result<Option<i32>> {
        let mut events = [EpollEvent::default(); 32];
        let count = match self.epoll.wait(timeout, &mut events) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        for event in &events[..count] {
            // an event of the same round may have closed it
            let Some(source) = self.sources.get(&event.data()).copied() else { continue };
            match source {
                Source::Consoles => self.accept_console(),
                Source::Console(fd) => self.console_event(fd, event.event_set()),
                Source::Output => {
                    let _ = self.console.wake.read();
                    self.feed();
                    self.print();
                }
                Source::Ended => {
                    self.print();
                    return Ok(Some(self.ended.status()));
                }
                Source::Activated => {
                    let _ = self.machine.bus.activated.read();
                    self.wake();
                }
                Source::Queue(index) => self.queue_event(index),
                Source::Device(index) if !self.paused => {
                    let again = lock(&self.machine.bus.devices[index]).host_event();
                    self.machine.notify_again(index, again);
                }
                Source::Device(_) => {}
                Source::Control => {
                    let Some(command) = self.control.as_ref().and_then(keeper::command) else { return Ok(Some(0)) };
                    self.obey(command);
                    if let Some(control) = &self.control {
                        keeper::done(control);
                    }
                }
            }
        }
        Ok(None)
    }

    fn queue_event(&mut self, index: usize) {
        let notification = &self.machine.notifications[index];
        let _ = notification.event.read();
        // after a pause every queue is looked at
        if !self.paused {
            let again = lock(&self.machine.bus.devices[notification.device]).notified(notification.queue);
            self.machine.notify_again(notification.device, again);
        }
    }

    pub fn obey(&mut self, command: Command) {
        match command {
            Command::Pause if !self.paused => {
                self.machine.pause();
                self.paused = true;
            }
            Command::Resume if self.paused => {
                self.paused = false;
                self.machine.resume();
                self.wake();
            }
            Command::Pause | Command::Resume => {}
            Command::CtrlAltDel => {
                lock(&self.machine.bus.keyboard).ctrl_alt_del();
            }
            Command::Drive(place, file) => {
                // the drives are the first devices
                if let Some(device) = self.machine.bus.devices.get(place) {
                    let mut device = lock(device);
                    if device.device().replace_file(file) {
                        device.config_changed();
                    }
                }
            }
        }
    }

    fn wake(&mut self) {
        if !self.paused {
            for (index, device) in self.machine.bus.devices.iter().enumerate() {
                let again = lock(device).wake();
                self.machine.notify_again(index, again);
            }
        }
    }

    fn accept_console(&mut self) {
        loop {
            let Some(socket) = &self.consoles_socket else { return };
            let Ok((stream, _)) = socket.accept() else { return };
            if self.consoles.len() >= MAX_CONSOLES || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let fd = stream.as_raw_fd();
            if let Ok(key) = self.watch(fd, Source::Console(fd), EventSet::IN) {
                let client =
                    ConsoleClient { input: Some(fd), output: fd, position: 0, blocked: false, _stream: Some(stream) };
                self.consoles.insert(fd, (key, client));
                self.print();
            }
        }
    }

    fn console_event(&mut self, fd: RawFd, events: EventSet) {
        if events.intersects(EventSet::IN | EventSet::HANG_UP | EventSet::ERROR) {
            self.type_from(fd);
        }
        if let (true, Some((_, client))) = (events.contains(EventSet::OUT), self.consoles.get_mut(&fd)) {
            client.blocked = false;
            self.print();
        }
    }

    /// Takes what a client has typed, as much as there is room for.
    fn type_from(&mut self, fd: RawFd) {
        let room = MAX_TYPED - self.typed.len().min(MAX_TYPED);
        if room == 0 {
            return self.watch_consoles();
        }
        let mut bytes = [0; 512];
        let wanted = room.min(bytes.len());
        // SAFETY: the buffer is valid for so many bytes
        let got = unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), wanted) };
        match got {
            1.. => {
                self.typed.extend_from_slice(&bytes[..got as usize]);
                self.feed();
                self.watch_consoles();
            }
            0 => self.close_console(fd),
            _ if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => {}
            _ => self.close_console(fd),
        }
    }

    fn close_console(&mut self, fd: RawFd) {
        let Some((key, client)) = self.consoles.remove(&fd) else { return };
        let _ = self.epoll.ctl(ControlOperation::Delete, fd, EpollEvent::default());
        self.sources.remove(&key);
        // the standard output goes on when the standard input has ended
        if client._stream.is_none() {
            self.consoles.insert(fd, (u64::MAX, ConsoleClient { input: None, ..client }));
        }
    }

    /// Gives the guest what was typed, as much as its serial port takes.
    fn feed(&mut self) {
        if self.typed.is_empty() {
            return;
        }
        let mut serial = lock(&self.machine.bus.serial);
        let room = serial.fifo_capacity().min(self.typed.len());
        if room > 0 {
            if let Ok(taken) = serial.enqueue_raw_bytes(&self.typed[..room]) {
                drop(serial);
                self.typed.drain(..taken);
                self.watch_consoles();
            }
        }
    }

    /// Sends the console's clients what they have not got yet.
    fn print(&mut self) {
        let mut gone = Vec::new();
        for (fd, (_, client)) in &mut self.consoles {
            while !client.blocked {
                // so much goes into a terminal or a pipe that can take anything
                let most = if client._stream.is_some() { 4096 } else { 256 };
                let (bytes, end) = self.console.from(client.position, most);
                if bytes.is_empty() {
                    break;
                }
                // SAFETY: the buffer is valid for its length
                let sent = unsafe { libc::write(client.output, bytes.as_ptr().cast(), bytes.len()) };
                match sent {
                    1.. => client.position = end - bytes.len() as u64 + sent as u64,
                    _ if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => client.blocked = true,
                    _ => {
                        gone.push(*fd);
                        break;
                    }
                }
            }
        }
        for fd in gone {
            if fd == 0 {
                self.consoles.remove(&fd);
            } else {
                self.close_console(fd);
            }
        }
        self.watch_consoles();
    }

    /// Waits for what each client of the console can do now.
    fn watch_consoles(&mut self) {
        let room = self.typed.len() < MAX_TYPED;
        for (fd, (key, client)) in &self.consoles {
            if *key == u64::MAX {
                continue;
            }
            let mut events = EventSet::empty();
            if room && client.input.is_some() {
                events |= EventSet::IN;
            }
            if client.blocked && client._stream.is_some() {
                events |= EventSet::OUT;
            }
            let _ = self.epoll.ctl(ControlOperation::Modify, *fd, EpollEvent::new(events, *key));
        }
    }
}

impl AsRawFd for Engine {
    /// Readable when [`Engine::turn`] has something to do.
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

/// The arguments of the kernel, with the root device; those of the devices are added by the machine.
fn command_line(args: &str, root: Option<&Drive>) -> String {
    let mut line = args.trim().to_string();
    if let Some(root) = root {
        let device = root.partuuid.as_ref().map_or("/dev/vda".to_string(), |uuid| format!("PARTUUID={uuid}"));
        let mode = if root.read_only { "ro" } else { "rw" };
        line.push_str(&format!(" root={device} {mode}"));
    }
    line
}
