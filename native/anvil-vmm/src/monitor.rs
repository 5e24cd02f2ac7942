//! The loop of the requests. The guest that they make runs in this process, or in another one that is in a jail.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use kvm_ioctls::Kvm;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::api::{self, Action};
use crate::config::{Config, Drive};
use crate::devices::block::DriveFile;
use crate::devices::net::open_tap;
use crate::engine::{Command, Engine, Files, Plan};
use crate::http::{Request, Response};
use crate::jail::{self, Jail};
use crate::json::object;
use crate::keeper::{self, Jailed, Printed};
use crate::link::Link;
use crate::machine::{self, boot};
use crate::reach::Reach;
use crate::seccomp::{self, Role};
use crate::server::{turn_away, Connection, Next, Socket, MAX_CONNECTIONS};

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
    pub jail: Option<Jail>,
}

#[derive(Clone, Copy)]
enum Source {
    Api,
    Client(RawFd),
    Signals,
    /// The guest in this process has something to do.
    Engine,
    /// The guest in another process has ended; it asks for something; it has printed something.
    Jailed,
    Asking,
    Words,
}

enum Guest {
    None,
    Here(Box<Engine>),
    Jailed(Jailed),
}

pub struct Monitor {
    options: Options,
    epoll: Epoll,
    sources: BTreeMap<u64, Source>,
    next_source: u64,
    api: Socket,
    clients: BTreeMap<RawFd, (u64, Connection)>,
    consoles: Option<Socket>,
    signals: OwnedFd,
    config: Config,
    boot: Option<boot::Files>,
    drives: Vec<DriveFile>,
    taps: Vec<File>,
    vsock: Option<Socket>,
    guest: Guest,
    paused: bool,
}

impl Monitor {
    /// Opens the sockets. The error names what could not be had.
    pub fn new(options: Options) -> Result<Self, String> {
        let io = |error: io::Error| format!("cannot set up: {error}");
        let api = Socket::bind(&options.api_socket).map_err(|error| format!("{}: {error}", options.api_socket))?;
        let consoles = options
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
            consoles,
            signals: signals().map_err(io)?,
            config: Config::default(),
            boot: None,
            drives: Vec::new(),
            taps: Vec::new(),
            vsock: None,
            guest: Guest::None,
            paused: false,
            options,
        };
        monitor.watch(monitor.api.listener.as_raw_fd(), Source::Api).map_err(io)?;
        monitor.watch(monitor.signals.as_raw_fd(), Source::Signals).map_err(io)?;
        Ok(monitor)
    }

    fn watch(&mut self, fd: RawFd, source: Source) -> io::Result<u64> {
        let key = self.next_source;
        self.epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(EventSet::IN, key))?;
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
                    Source::Signals => return Ok(0),
                    Source::Engine | Source::Jailed | Source::Asking | Source::Words => {
                        if let Some(status) = self.guest_event(source)? {
                            return Ok(status);
                        }
                    }
                }
            }
        }
    }

    /// The exit status once the guest has ended.
    fn guest_event(&mut self, source: Source) -> io::Result<Option<i32>> {
        match (&mut self.guest, source) {
            (Guest::Here(engine), _) => engine.turn(0),
            (Guest::Jailed(jailed), Source::Jailed) => Ok(jailed.ended()),
            (Guest::Jailed(jailed), source) => {
                let [_, asking, words] = jailed.numbers();
                let (number, more) = match source {
                    Source::Words => (words, jailed.printed() != Printed::Never),
                    _ => (asking, jailed.asked(self.config.vsock.as_ref().map(|vsock| vsock.path.as_str()))),
                };
                if !more {
                    self.epoll.ctl(ControlOperation::Delete, number, EpollEvent::default())?;
                }
                Ok(None)
            }
            (Guest::None, _) => Ok(None),
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
            if let Ok(key) = self.watch(fd, Source::Client(fd)) {
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
        let running = !matches!(self.guest, Guest::None);
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
            Action::CtrlAltDel => self.command(Command::CtrlAltDel)?,
            Action::Pause => {
                self.command(Command::Pause)?;
                self.paused = true;
            }
            Action::Resume => {
                self.command(Command::Resume)?;
                self.paused = false;
            }
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
                let tap = open_tap(&network.tap)
                    .map_err(|error| format!("Open tap device {} failed: {error}.", network.tap))?;
                self.config.networks.push(network);
                self.taps.push(tap);
            }
            Action::SetVsock(vsock) => {
                // a socket of the same path would be in use by ourselves
                self.vsock = None;
                self.config.vsock = None;
                self.vsock = Some(Socket::bind(&vsock.path).map_err(|error| {
                    format!("Cannot create the socket of the vsock device: {}: {error}.", vsock.path)
                })?);
                self.config.vsock = Some(vsock);
            }
            Action::SetEntropy => self.config.entropy = true,
            Action::Start => self.start()?,
        }
        Ok(Response::no_content())
    }

    fn describe(&self) -> String {
        let state = match (&self.guest, self.paused) {
            (Guest::None, _) => "Not started",
            (_, false) => "Running",
            (_, true) => "Paused",
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
        let file = opened
            .map_err(|error| format!("Unable to create the block device {}: {}: {error}.", drive.id, drive.path))?;
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
        let Some(place) = self.config.drives.iter().position(|drive| drive.id == id) else {
            return Err(format!("There is no drive {id}."));
        };
        let drive = &self.config.drives[place];
        let path = path.unwrap_or_else(|| drive.path.clone());
        let (file, again) = self.drives[place]
            .replaced_by(&path, drive.read_only)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(|error| format!("Unable to patch the block device {id}: {path}: {error}."))?;
        self.command(Command::Drive(place, file))?;
        self.drives[place] = again;
        self.config.drives[place].path = path;
        Ok(())
    }

    fn command(&mut self, command: Command) -> Result<(), String> {
        match &mut self.guest {
            Guest::Here(engine) => engine.obey(command),
            Guest::Jailed(jailed) => {
                let uds = self.config.vsock.as_ref().map(|vsock| vsock.path.as_str());
                jailed.command(command, self.signals.as_raw_fd(), uds)?;
            }
            Guest::None => return Err(BEFORE_START.to_string()),
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), String> {
        if self.boot.is_none() {
            return Err("Cannot start microvm without kernel configuration.".to_string());
        }
        let kvm = machine::open_kvm()?;
        match self.options.confine.jail {
            Some(jail) => self.start_jailed(kvm, jail)?,
            None => self.start_here(&kvm)?,
        }
        // a TAP device is there as long as somebody has it
        self.taps.clear();
        self.boot = None;
        Ok(())
    }

    fn start_here(&mut self, kvm: &Kvm) -> Result<(), String> {
        let again = |error: io::Error| format!("Cannot share an open file: {error}.");
        let files = self.files().map_err(again)?.ok_or(BEFORE_START)?;
        let path = self.config.vsock.as_ref().map(|vsock| vsock.path.clone());
        let (stdio, seccomp) = (self.options.stdio, self.options.confine.seccomp);
        let reach = Reach::Path(path.unwrap_or_default());
        let mut engine = Engine::new(Plan { kvm, config: &self.config, files, reach, stdio, seccomp })?;
        self.watch(engine.as_raw_fd(), Source::Engine).map_err(|error| format!("Cannot watch a device: {error}."))?;
        if self.options.confine.seccomp {
            seccomp::enter(Role::Vmm)?;
        }
        engine.begin();
        self.guest = Guest::Here(Box::new(engine));
        Ok(())
    }

    /// The same open files once more: those here are for another try.
    fn files(&self) -> io::Result<Option<Files>> {
        let Some(boot) = &self.boot else { return Ok(None) };
        let listener = |socket: &Option<Socket>| socket.as_ref().map(|socket| socket.listener.try_clone()).transpose();
        Ok(Some(Files {
            boot: boot.try_clone()?,
            drives: self.drives.iter().map(DriveFile::try_clone).collect::<io::Result<_>>()?,
            taps: self.taps.iter().map(File::try_clone).collect::<io::Result<_>>()?,
            vsock: listener(&self.vsock)?,
            consoles: listener(&self.consoles)?,
        }))
    }

    fn start_jailed(&mut self, kvm: Kvm, jail: Jail) -> Result<(), String> {
        let io = |error: io::Error| format!("Cannot connect two processes: {error}.");
        let ((control, controlled), (asking, asks)) = (Link::pair().map_err(io)?, Link::pair().map_err(io)?);
        let files = self.files().map_err(io)?.ok_or(BEFORE_START)?;
        let null = File::options().read(true).write(true).open("/dev/null").map_err(io)?;
        let (words, prints) = jail::pipe()?;
        let process = Jail::fork()?;
        if process == 0 {
            self.live(kvm, jail, files, &null, &prints, controlled, asks);
        }
        drop((kvm, files, null, prints, controlled, asks));
        let mut jailed = Jailed::new(process, control, asking, words);
        let uds = self.config.vsock.as_ref().map(|vsock| vsock.path.as_str());
        if let Err(message) = jailed.wait(self.signals.as_raw_fd(), uds) {
            return Err(jailed.give_up(message));
        }
        for (number, source) in jailed.numbers().into_iter().zip([Source::Jailed, Source::Asking, Source::Words]) {
            self.watch(number, source).map_err(io)?;
        }
        if self.options.confine.seccomp {
            seccomp::enter(Role::Keeper)?;
        }
        self.guest = Guest::Jailed(jailed);
        Ok(())
    }

    /// The guest's process, from its beginning to its end. What the keeper had and this one has not to have is closed, not
    /// dropped: sockets would vanish.
    #[allow(clippy::too_many_arguments)]
    fn live(&self, kvm: Kvm, jail: Jail, files: Files, null: &File, prints: &File, control: Link, asks: Link) -> ! {
        let mut keep = files.numbers();
        keep.extend([0, 1, 2, kvm.as_raw_fd(), control.as_raw_fd(), asks.as_raw_fd()]);
        let (stdio, seccomp) = (self.options.stdio, self.options.confine.seccomp);
        let unused = if stdio { 0 } else { 2 };
        let entered = (0..unused)
            .try_for_each(|number| jail::replace(null, number))
            .and_then(|()| jail::replace(prints, 2))
            .and_then(|()| jail.enter(&keep));
        let made = entered.and_then(|()| {
            let plan = Plan { kvm: &kvm, config: &self.config, files, reach: Reach::Asked(asks), stdio, seccomp };
            let engine = Engine::new(plan)?;
            drop(kvm);
            if seccomp {
                seccomp::enter(Role::Jailed)?;
            }
            Ok(engine)
        });
        match made {
            Ok(mut engine) => std::process::exit(engine.serve(control)),
            Err(message) => {
                keeper::failed(&control, &message);
                std::process::exit(1)
            }
        }
    }
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
