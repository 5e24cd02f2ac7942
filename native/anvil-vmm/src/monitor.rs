//! The one loop: requests, the console, and the host's side of the devices. The processors have threads of their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::api::{self, Action};
use crate::config::{Config, Drive};
use crate::devices::block::{Block, DriveFile};
use crate::devices::bus::lock;
use crate::devices::console::Console;
use crate::devices::net::{open_tap, Net};
use crate::devices::rng::Rng;
use crate::devices::vsock::Vsock;
use crate::devices::VirtioDevice;
use crate::http::{Request, Response};
use crate::json::object;
use crate::machine::vcpu::Ended;
use crate::machine::{self, boot, Machine, Parts};
use crate::seccomp;
use crate::server::{turn_away, Connection, Next, Socket, MAX_CONNECTIONS};

/// What the kernel is told when a boot source says nothing.
const DEFAULT_ARGS: &str = "console=ttyS0 reboot=k panic=1 nomodule pci=off i8042.noaux i8042.nomux i8042.dumbkbd";
/// Clients of the console at a time, and what is kept of what they type while the guest does not read.
const MAX_CONSOLES: usize = 4;
const MAX_TYPED: usize = 4096;

const AFTER_START: &str = "The requested operation is not supported after starting the microVM.";
const BEFORE_START: &str = "The requested operation is not supported before starting the microVM.";

pub struct Options {
    pub id: String,
    pub api_socket: String,
    pub console_socket: Option<String>,
    /// The console is this process's standard input and output, too.
    pub stdio: bool,
    /// How processes of this kind are confined once the guest starts.
    pub confine: Confine,
}

pub struct Confine {
    pub seccomp: bool,
    pub jail: Option<crate::jail::Jail>,
}

#[derive(Clone, Copy)]
enum Source {
    Api,
    Client(RawFd),
    Consoles,
    Console(RawFd),
    Output,
    Ended,
    Signals,
    Activated,
    Queue(usize),
    Device(usize),
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

pub struct Monitor {
    options: Options,
    epoll: Epoll,
    sources: BTreeMap<u64, Source>,
    next_source: u64,
    api: Socket,
    clients: BTreeMap<RawFd, (u64, Connection)>,
    consoles_socket: Option<Socket>,
    consoles: BTreeMap<RawFd, (u64, ConsoleClient)>,
    typed: Vec<u8>,
    console: Arc<Console>,
    signals: OwnedFd,
    ended: Arc<Ended>,
    config: Config,
    boot: Option<boot::Files>,
    drives: Vec<DriveFile>,
    taps: Vec<File>,
    vsock: Option<Vsock>,
    machine: Option<Machine>,
    paused: bool,
}

impl Monitor {
    /// Opens the sockets. The error names what could not be had.
    pub fn new(options: Options) -> Result<Self, String> {
        let io = |error: io::Error| format!("cannot set up: {error}");
        let api = Socket::bind(&options.api_socket).map_err(|error| format!("{}: {error}", options.api_socket))?;
        let consoles_socket = options
            .console_socket
            .as_ref()
            .map(|path| Socket::bind(path).map_err(|error| format!("{path}: {error}")))
            .transpose()?;
        let mut monitor = Monitor {
            epoll: Epoll::new().map_err(io)?,
            sources: BTreeMap::new(),
            next_source: 0,
            api,
            clients: BTreeMap::new(),
            consoles_socket,
            consoles: BTreeMap::new(),
            typed: Vec::new(),
            console: Console::new().map_err(io)?,
            signals: signals().map_err(io)?,
            ended: Ended::new().map_err(io)?,
            config: Config::default(),
            boot: None,
            drives: Vec::new(),
            taps: Vec::new(),
            vsock: None,
            machine: None,
            paused: false,
            options,
        };
        let fixed = [
            (monitor.api.listener.as_raw_fd(), Source::Api),
            (monitor.console.wake.as_raw_fd(), Source::Output),
            (monitor.ended.event.as_raw_fd(), Source::Ended),
            (monitor.signals.as_raw_fd(), Source::Signals),
        ];
        for (fd, source) in fixed {
            monitor.watch(fd, source, EventSet::IN).map_err(io)?;
        }
        if let Some(socket) = &monitor.consoles_socket {
            let fd = socket.listener.as_raw_fd();
            monitor.watch(fd, Source::Consoles, EventSet::IN).map_err(io)?;
        }
        if monitor.options.stdio {
            // a file or /dev/null cannot be waited for: then nothing is typed
            let key = monitor.watch(0, Source::Console(0), EventSet::IN).ok();
            let input = key.map(|_| 0);
            let client = ConsoleClient { input, output: 1, position: 0, blocked: false, _stream: None };
            monitor.consoles.insert(0, (key.unwrap_or(u64::MAX), client));
        }
        Ok(monitor)
    }

    fn watch(&mut self, fd: RawFd, source: Source, events: EventSet) -> io::Result<u64> {
        let key = self.next_source;
        self.epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(events, key))?;
        self.next_source += 1;
        self.sources.insert(key, source);
        Ok(key)
    }

    /// Makes the requests of a configuration file.
    pub fn configure(&mut self, text: &[u8]) -> Result<(), String> {
        for action in api::config_file(text)? {
            self.act(action)?;
        }
        Ok(())
    }

    /// Serves until the guest has ended or a signal says so; the exit status.
    pub fn run(&mut self) -> io::Result<i32> {
        let mut events = [EpollEvent::default(); 32];
        loop {
            let count = match self.epoll.wait(-1, &mut events) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for event in &events[..count] {
                // an event of the same round may have closed it
                let Some(source) = self.sources.get(&event.data()).copied() else { continue };
                match source {
                    Source::Api => self.accept_client(),
                    Source::Client(fd) => self.serve(fd),
                    Source::Consoles => self.accept_console(),
                    Source::Console(fd) => self.console_event(fd, event.event_set()),
                    Source::Output => {
                        let _ = self.console.wake.read();
                        self.feed();
                        self.print();
                    }
                    Source::Ended => {
                        self.print();
                        return Ok(self.ended.status());
                    }
                    Source::Signals => return Ok(0),
                    Source::Activated => {
                        if let Some(machine) = &self.machine {
                            let _ = machine.bus.activated.read();
                        }
                        self.wake();
                    }
                    Source::Queue(index) => self.queue_event(index),
                    Source::Device(index) => {
                        if let (Some(machine), false) = (&self.machine, self.paused) {
                            let again = lock(&machine.bus.devices[index]).host_event();
                            machine.notify_again(index, again);
                        }
                    }
                }
            }
        }
    }

    fn queue_event(&mut self, index: usize) {
        let Some(machine) = &self.machine else { return };
        let notification = &machine.notifications[index];
        let _ = notification.event.read();
        // after a pause every queue is looked at
        if !self.paused {
            let again = lock(&machine.bus.devices[notification.device]).notified(notification.queue);
            machine.notify_again(notification.device, again);
        }
    }

    fn accept_client(&mut self) {
        while let Ok((stream, _)) = self.api.listener.accept() {
            if self.clients.len() >= MAX_CONNECTIONS {
                let idle = self.clients.iter().find(|(_, (_, client))| client.is_idle()).map(|(fd, _)| *fd);
                match idle {
                    Some(fd) => self.close_client(fd),
                    None => {
                        turn_away(stream);
                        continue;
                    }
                }
            }
            let Ok(client) = Connection::new(stream) else { continue };
            let fd = client.fd();
            if let Ok(key) = self.watch(fd, Source::Client(fd), EventSet::IN) {
                self.clients.insert(fd, (key, client));
            }
        }
    }

    fn close_client(&mut self, fd: RawFd) {
        if let Some((key, _)) = self.clients.remove(&fd) {
            self.sources.remove(&key);
        }
    }

    fn serve(&mut self, fd: RawFd) {
        let Some((key, mut client)) = self.clients.remove(&fd) else { return };
        let next = client.work(&mut |request| self.answer(request));
        let events = match next {
            Next::Read => EventSet::IN,
            Next::Write => EventSet::OUT,
            Next::Close => {
                self.sources.remove(&key);
                return;
            }
        };
        let _ = self.epoll.ctl(ControlOperation::Modify, fd, EpollEvent::new(events, key));
        self.clients.insert(fd, (key, client));
    }

    /// Answers one request.
    pub fn answer(&mut self, request: &Request) -> Response {
        match api::route(request).and_then(|action| self.act(action)) {
            Ok(response) => response,
            Err(message) => Response::fault(&message),
        }
    }

    fn act(&mut self, action: Action) -> Result<Response, String> {
        let running = self.machine.is_some();
        match action {
            Action::Describe => return Ok(Response::ok(self.describe())),
            Action::Version => {
                let version = object([("firecracker_version", env!("CARGO_PKG_VERSION").into())]);
                return Ok(Response::ok(version.to_string()));
            }
            Action::FullConfig => return Ok(Response::ok(self.config.json().to_string())),
            Action::GetMachine => return Ok(Response::ok(self.config.machine.json().to_string())),
            Action::CtrlAltDel | Action::Pause | Action::Resume | Action::PatchDrive(..) if !running => {
                return Err(BEFORE_START.to_string())
            }
            Action::CtrlAltDel => {
                if let Some(machine) = &self.machine {
                    lock(&machine.bus.keyboard).ctrl_alt_del();
                }
            }
            Action::Pause => self.pause(),
            Action::Resume => self.resume(),
            Action::PatchDrive(id, path) => self.patch_drive(&id, path)?,
            _ if running => return Err(AFTER_START.to_string()),
            Action::SetMachine(body, whole) => self.config.machine = self.config.machine.read(body, whole)?,
            Action::SetBoot(source) => {
                self.boot = Some(boot::Files::open(&source.kernel, source.initrd.as_deref())?);
                self.config.boot = Some(source);
            }
            Action::SetDrive(drive) => self.set_drive(drive)?,
            Action::SetNetwork(network) => {
                let others = || self.config.networks.iter().filter(|other| other.id != network.id);
                if network.mac.is_some() && others().any(|other| other.mac == network.mac) {
                    let mac = network.mac.as_ref().map(crate::config::write_mac).unwrap_or_default();
                    return Err(format!("The MAC address is already in use: {mac}."));
                }
                if others().any(|other| other.tap == network.tap) {
                    return Err(format!("The TAP device is already in use: {}.", network.tap));
                }
                let place = self.config.networks.iter().position(|other| other.id == network.id);
                if let Some(place) = place {
                    // a TAP device has one owner: the old one lets go first
                    self.config.networks.remove(place);
                    self.taps.remove(place);
                }
                let tap = open_tap(&network.tap).map_err(|error| format!("Open tap device {} failed: {error}.", network.tap))?;
                self.config.networks.push(network);
                self.taps.push(tap);
            }
            Action::SetVsock(vsock) => {
                // a socket of the same path would be in use by ourselves
                self.vsock = None;
                self.config.vsock = None;
                self.vsock = Some(
                    Vsock::new(vsock.cid, &vsock.path)
                        .map_err(|error| format!("Cannot create the socket of the vsock device: {}: {error}.", vsock.path))?,
                );
                self.config.vsock = Some(vsock);
            }
            Action::SetEntropy => self.config.entropy = true,
            Action::Start => {
                let started = self.start();
                if started.is_err() {
                    self.recover();
                }
                started?;
            }
        }
        Ok(Response::no_content())
    }

    fn describe(&self) -> String {
        let state = match (&self.machine, self.paused) {
            (None, _) => "Not started",
            (Some(_), false) => "Running",
            (Some(_), true) => "Paused",
        };
        object([
            ("id", self.options.id.as_str().into()),
            ("state", state.into()),
            ("vmm_version", env!("CARGO_PKG_VERSION").into()),
            ("app_name", "anvil-vmm".into()),
        ])
        .to_string()
    }

    fn set_drive(&mut self, drive: Drive) -> Result<(), String> {
        let mut others = self.config.drives.iter().filter(|other| other.id != drive.id);
        if drive.root && others.any(|other| other.root) {
            return Err("A root block device already exists!".to_string());
        }
        let place = self.config.drives.iter().position(|other| other.id == drive.id);
        let opened = match place {
            Some(place) => self.drives[place].replaced_by(&drive.path, drive.read_only),
            None => DriveFile::open(&drive.path, drive.read_only),
        };
        let file = opened.map_err(|error| format!("Unable to create the block device {}: {}: {error}.", drive.id, drive.path))?;
        if let Some(place) = place {
            self.config.drives.remove(place);
            self.drives.remove(place);
        }
        // the root device is the first one: the guest calls it /dev/vda
        let at = if drive.root { 0 } else { place.unwrap_or(self.drives.len()).min(self.drives.len()) };
        self.config.drives.insert(at, drive);
        self.drives.insert(at, file);
        Ok(())
    }

    fn patch_drive(&mut self, id: &str, path: Option<String>) -> Result<(), String> {
        let (Some(machine), Some(place)) = (&self.machine, self.config.drives.iter().position(|drive| drive.id == id)) else {
            return Err(format!("There is no drive {id}."));
        };
        let drive = &mut self.config.drives[place];
        let path = path.unwrap_or_else(|| drive.path.clone());
        let file = self.drives[place]
            .replaced_by(&path, drive.read_only)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(|error| format!("Unable to patch the block device {id}: {path}: {error}."))?;
        let mut device = lock(&machine.bus.devices[place]);
        if device.device().replace_file(file.0) {
            device.config_changed();
            self.drives[place] = file.1;
            drive.path = path;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), String> {
        let Some(boot) = &mut self.boot else {
            return Err("Cannot start microvm without kernel configuration.".to_string());
        };
        let kvm = machine::open_kvm()?;
        // all that is needed is open; the processors' threads, which come next, are born in it
        if let Some(jail) = &self.options.confine.jail {
            let sockets = jail.enter(self.config.vsock.as_ref().map(|vsock| vsock.path.as_str()))?;
            if let (Some(vsock), Some(path)) = (&mut self.vsock, sockets) {
                vsock.moved(path);
            }
            self.options.confine.jail = None;
        }
        // the files are handed over: what fails from here on fails before anything of the guest ran, and they come back
        let mut devices: Vec<Box<dyn VirtioDevice>> = Vec::new();
        let mut again = Vec::new();
        for (drive, file) in self.config.drives.iter().zip(&self.drives) {
            let file = file.try_clone().map_err(|error| format!("{}: {error}.", drive.path))?;
            devices.push(Box::new(Block::new(drive, file)));
        }
        for (network, tap) in self.config.networks.iter().zip(&self.taps) {
            let tap = tap.try_clone().map_err(|error| format!("{}: {error}.", network.tap))?;
            devices.push(Box::new(Net::new(tap, network.mac)));
        }
        if let Some(vsock) = self.vsock.take() {
            devices.push(Box::new(vsock));
        }
        if self.config.entropy {
            devices.push(Box::new(Rng));
        }
        let hosts: Vec<Option<RawFd>> = devices.iter().map(|device| device.host_fd()).collect();
        let source = self.config.boot.as_ref().and_then(|boot| boot.args.as_deref());
        let args = command_line(source.unwrap_or(DEFAULT_ARGS), self.config.drives.iter().find(|drive| drive.root));
        let machine = Machine::new(Parts {
            kvm: &kvm,
            config: &self.config.machine,
            boot,
            args,
            devices,
            console: self.console.clone(),
            ended: self.ended.clone(),
            seccomp: self.options.confine.seccomp,
        })?;
        again.push((machine.bus.activated.as_raw_fd(), Source::Activated, EventSet::IN));
        for (index, notification) in machine.notifications.iter().enumerate() {
            again.push((notification.event.as_raw_fd(), Source::Queue(index), EventSet::IN));
        }
        for (index, host) in hosts.into_iter().enumerate() {
            if let Some(fd) = host {
                again.push((fd, Source::Device(index), EventSet::IN | EventSet::EDGE_TRIGGERED));
            }
        }
        for (fd, source, events) in again {
            self.watch(fd, source, events).map_err(|error| format!("Cannot watch a device: {error}."))?;
        }
        self.machine = Some(machine);
        self.taps.clear();
        self.boot = None;
        if self.options.confine.seccomp {
            seccomp::enter(seccomp::Role::Vmm)?;
        }
        if let Some(machine) = &mut self.machine {
            machine.resume();
        }
        Ok(())
    }

    /// After a start that failed: what was handed over is made again.
    fn recover(&mut self) {
        if let (None, Some(config)) = (&self.vsock, &self.config.vsock) {
            self.vsock = Vsock::new(config.cid, &config.path).ok();
            if self.vsock.is_none() {
                self.config.vsock = None;
            }
        }
    }

    fn pause(&mut self) {
        if let (Some(machine), false) = (&mut self.machine, self.paused) {
            machine.pause();
            self.paused = true;
        }
    }

    fn resume(&mut self) {
        if let (Some(machine), true) = (&mut self.machine, self.paused) {
            self.paused = false;
            machine.resume();
            self.wake();
        }
    }

    fn wake(&mut self) {
        if let (Some(machine), false) = (&self.machine, self.paused) {
            for (index, device) in machine.bus.devices.iter().enumerate() {
                let again = lock(device).wake();
                machine.notify_again(index, again);
            }
        }
    }

    fn accept_console(&mut self) {
        loop {
            let Some(socket) = &self.consoles_socket else { return };
            let Ok((stream, _)) = socket.listener.accept() else { return };
            if self.consoles.len() >= MAX_CONSOLES || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let fd = stream.as_raw_fd();
            if let Ok(key) = self.watch(fd, Source::Console(fd), EventSet::IN) {
                let client = ConsoleClient { input: Some(fd), output: fd, position: 0, blocked: false, _stream: Some(stream) };
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
        let Some(machine) = &self.machine else { return };
        if self.typed.is_empty() {
            return;
        }
        let mut serial = lock(&machine.bus.serial);
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

/// SIGINT, SIGTERM and SIGHUP as something to wait for.
fn signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before it is used; the descriptor is new and nobody else's
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::sigaddset(&mut set, signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Reads a whole configuration file, which has the limit of a body.
pub fn read_config(path: &str) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let limit = crate::http::MAX_BODY as u64;
    file.take(limit + 1).read_to_end(&mut text).map_err(|error| format!("{path}: {error}"))?;
    if text.len() as u64 > limit {
        return Err(format!("{path}: longer than {limit} bytes"));
    }
    Ok(text)
}

/// Ends the output of this process before it leaves.
pub fn flush() {
    let _ = io::stdout().flush();
}
