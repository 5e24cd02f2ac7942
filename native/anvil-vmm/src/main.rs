//! The command line of the monitor.

use std::process::exit;

use anvil_vmm::config::check_machine_id;
use anvil_vmm::jail::Jail;
use anvil_vmm::monitor::{flush, read_config, Confine, Monitor, Options};
use anvil_vmm::seccomp::{self, Role};
use anvil_vmm::server::make_link;

const HELP: &str = "\
usage: anvil-vmm [options]

Runs one guest on KVM. Configure it with requests on a unix socket (Firecracker's API) or with a configuration file.

  --api-sock <path>      the socket of the API (default: /tmp/anvil.sock; of root: /run/anvil-vmm.sock, to which that leads)
  --id <id>              what the machine is called: letters, digits and \"-\"
  --config-file <path>   a machine in JSON, as GET /vm/config shows it; it is started at once
  --console-sock <path>  the socket of the serial console (default: that of the API with \".console\" after it)
  --no-stdio             the serial console is not standard input and output as well
  --no-seccomp           no filter of system calls
  --jail <uid>:<gid>     the user of the process in which the guest runs (default: one that no other machine has)
  --no-jail              the guest runs in this process, as this user
  --version              print the version
  --help                 print this

Started by root, a guest runs in a process of its own, in a jail: an unprivileged user, an empty root, no network.

exit status: 0 the guest ended, or a signal did; 1 the guest could not go on; 148 a system call that no filter allows;
152 the configuration is wrong; 153 wrong usage, or a socket that cannot be had
";

const CONFIGURATION: i32 = 152;
const USAGE: i32 = 153;

fn fail(status: i32, message: &str) -> ! {
    eprintln!("anvil-vmm: {message}");
    exit(status)
}

/// Where clients of Firecracker's API look when nothing is said. Anybody may make a name in /tmp, so root's socket is elsewhere.
const KNOWN_SOCKET: &str = "/tmp/anvil.sock";
const ROOT_SOCKET: &str = "/run/anvil-vmm.sock";

/// The default socket, with the known names leading to it.
fn default_socket() -> Result<String, String> {
    // SAFETY: a call without pointers
    if unsafe { libc::geteuid() } != 0 {
        return Ok(KNOWN_SOCKET.to_string());
    }
    for ending in ["", ".console"] {
        let (known, socket) = (format!("{KNOWN_SOCKET}{ending}"), format!("{ROOT_SOCKET}{ending}"));
        make_link(&known, &socket).map_err(|error| format!("{known}: {error}; --api-sock names another socket"))?;
    }
    Ok(ROOT_SOCKET.to_string())
}

fn main() {
    let mut id = "anonymous-instance".to_string();
    let (mut config, mut api_socket, mut console_socket, mut jail) = (None, None, None, None);
    let (mut stdio, mut seccomp, mut jailed) = (true, true, true);
    let mut arguments = std::env::args_os().skip(1).map(|text| {
        text.into_string().unwrap_or_else(|text| fail(USAGE, &format!("not UTF-8: {}", text.to_string_lossy())))
    });
    while let Some(argument) = arguments.next() {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) => (name.to_string(), Some(value.to_string())),
            None => (argument, None),
        };
        let mut value = || {
            let value = attached.clone().or_else(|| arguments.next());
            value.unwrap_or_else(|| fail(USAGE, &format!("{name} needs a value; --help shows the options")))
        };
        match name.as_str() {
            "--api-sock" => api_socket = Some(value()),
            "--id" => id = value(),
            "--config-file" => config = Some(value()),
            "--console-sock" => console_socket = Some(value()),
            "--jail" => jail = Some(value()),
            "--no-stdio" => stdio = false,
            "--no-seccomp" => seccomp = false,
            "--no-jail" => jailed = false,
            "--version" => {
                println!("anvil-vmm {}", env!("CARGO_PKG_VERSION"));
                return;
            }
            "--help" => {
                print!("{HELP}");
                return;
            }
            _ => fail(USAGE, &format!("unknown option {name}; --help shows the options")),
        }
    }
    if let Err(message) = check_machine_id(&id) {
        fail(USAGE, &message);
    }
    let jail = match jail.map(|text: String| Jail::parse(&text).unwrap_or_else(|message| fail(USAGE, &message))) {
        Some(_) if !jailed => fail(USAGE, "--jail and --no-jail do not go together"),
        None if jailed => Jail::own(),
        jail => jail,
    };
    let api_socket =
        api_socket.map_or_else(default_socket, |path: String| Ok(path)).unwrap_or_else(|message| fail(USAGE, &message));
    if seccomp {
        let role = if jail.is_some() { Role::StartJail } else { Role::Start };
        seccomp::prepare().and_then(|()| seccomp::enter(role)).unwrap_or_else(|message| fail(1, &message));
    }
    let text = config.map(|path: String| read_config(&path).unwrap_or_else(|message| fail(CONFIGURATION, &message)));
    let console_socket = Some(console_socket.unwrap_or_else(|| format!("{api_socket}.console")));
    let confine = Confine { seccomp, jail };
    let options = Options { id, api_socket, console_socket, stdio, confine };
    let mut monitor = Monitor::new(options).unwrap_or_else(|message| fail(USAGE, &message));
    let status = match text.map_or(Ok(()), |text| monitor.configure(&text)) {
        Err(message) => {
            drop(monitor);
            fail(CONFIGURATION, &message)
        }
        Ok(()) => monitor.run(),
    };
    drop(monitor);
    flush();
    match status {
        Ok(status) => exit(status),
        Err(error) => fail(1, &error.to_string()),
    }
}
