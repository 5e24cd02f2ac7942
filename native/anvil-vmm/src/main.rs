//! The command line of the monitor.

use std::process::exit;

use anvil_vmm::config::check_machine_id;
use anvil_vmm::jail::Jail;
use anvil_vmm::monitor::{flush, read_config, Confine, Monitor, Options};
use anvil_vmm::seccomp::{self, Role};

const HELP: &str = "\
usage: anvil-vmm [options]

Runs one guest on KVM. What it is made of is said by requests to a unix socket, or by a file.

  --api-sock <path>      the socket of the API (default: /tmp/anvil.sock)
  --id <id>              what the machine is called: letters, digits and \"-\"
  --config-file <path>   a machine in JSON, as GET /vm/config shows it; it is started at once
  --console-sock <path>  the socket of the serial console (default: that of the API with \".console\" after it)
  --no-stdio             the serial console is not standard input and output as well
  --no-seccomp           no filter of system calls
  --jail <uid>:<gid>     when the guest starts, become this user, in an empty root
  --version              print the version
  --help                 print this

exit status: 0 the guest ended, or a signal did; 1 the guest could not go on; 148 a system call that no filter allows;
152 the configuration is wrong; 153 wrong usage, or a socket that cannot be had
";

const CONFIGURATION: i32 = 152;
const USAGE: i32 = 153;

fn fail(status: i32, message: &str) -> ! {
    eprintln!("anvil-vmm: {message}");
    exit(status)
}

fn main() {
    let mut id = "anonymous-instance".to_string();
    let mut api_socket = "/tmp/anvil.sock".to_string();
    let (mut config, mut console_socket, mut jail) = (None, None, None);
    let (mut stdio, mut seccomp) = (true, true);
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
            "--api-sock" => api_socket = value(),
            "--id" => id = value(),
            "--config-file" => config = Some(value()),
            "--console-sock" => console_socket = Some(value()),
            "--jail" => jail = Some(value()),
            "--no-stdio" => stdio = false,
            "--no-seccomp" => seccomp = false,
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
    let jail = jail.map(|text: String| Jail::parse(&text).unwrap_or_else(|message| fail(USAGE, &message)));
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
