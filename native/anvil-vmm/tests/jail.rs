//! What the process of a guest looks like from the host: `cargo test --features kvm`, as root, where /dev/kvm can be opened.
//! With the target x86_64-unknown-linux-musl the filters are tried, too; glibc makes threads by calls that they do not allow.

#![cfg(feature = "kvm")]

mod common;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{chown, lchown, symlink, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anvil_vmm::reach::connect;
use anvil_vmm::server::{bind, make_link};
use common::{files, Folder};

const FIRST_USER: u32 = 0x7000_0000;

struct Running {
    child: Child,
    api: String,
}

impl Running {
    fn start(folder: &Folder, options: &[&str]) -> Self {
        files(folder);
        let api = folder.path("api");
        let mut command = Command::new(env!("CARGO_BIN_EXE_anvil-vmm"));
        command.args(["--api-sock", &api, "--no-stdio"]).args(options).stdin(Stdio::null());
        if cfg!(target_env = "gnu") {
            command.arg("--no-seccomp");
        }
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        while UnixStream::connect(&api).is_err() {
            std::thread::yield_now();
        }
        Running { child, api }
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(&self.api).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn done(&self, method: &str, path: &str, body: &str) {
        let answer = self.request(method, path, body);
        assert!(answer.contains(" 204 "), "{method} {path} {body}: {answer}");
    }

    fn configure(&self, folder: &Folder, kernel: &str) {
        let at = |name: &str| folder.path(name);
        self.done("PUT", "/machine-config", r#"{"vcpu_count":2,"mem_size_mib":16}"#);
        self.done("PUT", "/boot-source", &format!(r#"{{"kernel_image_path":"{}"}}"#, at(kernel)));
        let drive = r#"{"drive_id":"root","is_root_device":true,"path_on_host":""#;
        self.done("PUT", "/drives/root", &format!(r#"{drive}{}"}}"#, at("drive")));
        self.done("PUT", "/vsock", &format!(r#"{{"guest_cid":3,"uds_path":"{}"}}"#, at("v")));
    }

    fn begin(&self) {
        self.done("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#);
    }

    /// The process numbers of the children, of which there is one at most.
    fn guest(&self) -> Option<u32> {
        let parent = format!("PPid:\t{}\n", self.child.id());
        fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            fs::read_to_string(entry.path().join("status")).ok()?.contains(&parent).then_some(number)
        })
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a child that nobody has waited for
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    fn wait(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn field(process: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).to_string()
}

fn is_there(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn a_guest_runs_as_a_user_of_its_own_in_a_root_that_holds_nothing() {
    let (one, two) = (Folder::new(), Folder::new());
    let machines = [Running::start(&one, &[]), Running::start(&two, &[])];
    for (machine, folder) in machines.iter().zip([&one, &two]) {
        machine.configure(folder, "kernel");
        assert_eq!(machine.guest(), None);
        machine.begin();
    }
    let mut users = Vec::new();
    for machine in &machines {
        let guest = machine.guest().unwrap();
        let user = format!("{}", FIRST_USER + machine.child.id());
        assert_eq!(field(guest, "Uid"), [user.as_str(); 4].join("\t"));
        assert_eq!(field(guest, "Gid"), [user.as_str(); 4].join("\t"));
        assert_eq!(field(guest, "Groups"), "");
        assert_eq!(field(guest, "NSpid"), format!("{guest}\t1"));
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(guest, set), "0000000000000000", "{set}");
        }
        assert_eq!(field(guest, "NoNewPrivs"), "1");
        assert_eq!(field(guest, "Seccomp"), if cfg!(target_env = "gnu") { "0" } else { "2" });
        assert_eq!(fs::read_dir(format!("/proc/{guest}/root")).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(format!("/proc/{guest}/mountinfo")).unwrap().lines().count(), 1);
        for space in ["pid", "net", "ipc", "mnt", "uts"] {
            let of = |process: u32| fs::read_link(format!("/proc/{process}/ns/{space}")).unwrap();
            assert_ne!(of(guest), of(machine.child.id()), "{space}");
        }
        // nothing that the process of the requests has: no folder, no connection of a client, no /dev/kvm
        for file in fs::read_dir(format!("/proc/{guest}/fd")).unwrap().flatten() {
            let target = fs::read_link(file.path()).unwrap();
            let path = target.to_str().unwrap();
            let known = ["/dev/null", "socket:", "anon_inode:", "pipe:"].iter().any(|start| path.starts_with(start));
            assert!(known || path.ends_with("/drive"), "{path}");
        }
        users.push(user);
    }
    assert_ne!(users[0], users[1]);
    // none of the files of a machine is its user's
    for entry in fs::read_dir(&one.0).unwrap().flatten() {
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&entry.metadata().unwrap()), 0);
    }
}

#[test]
fn a_drive_is_changed_and_the_guest_paused_from_outside_of_the_jail() {
    let folder = Folder::new();
    let machine = Running::start(&folder, &["--jail", "65534:65533"]);
    machine.configure(&folder, "bzimage");
    let answer = machine.request("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#);
    assert!(answer.contains(" 400 ") && answer.contains("bzImage"), "{answer}");
    assert_eq!(machine.guest(), None);
    // what failed can be tried again, with the same sockets and files
    machine.done("PUT", "/boot-source", &format!(r#"{{"kernel_image_path":"{}"}}"#, folder.path("kernel")));
    machine.begin();
    let guest = machine.guest().unwrap();
    assert_eq!(field(guest, "Uid"), "65534\t65534\t65534\t65534");
    assert_eq!(field(guest, "Gid"), "65533\t65533\t65533\t65533");
    for state in ["Paused", "Paused", "Resumed", "Resumed"] {
        machine.done("PATCH", "/vm", &format!(r#"{{"state":"{state}"}}"#));
    }
    machine.done(
        "PATCH",
        "/drives/root",
        &format!(r#"{{"drive_id":"root","path_on_host":"{}"}}"#, folder.path("drive2")),
    );
    let files: Vec<_> = fs::read_dir(format!("/proc/{guest}/fd"))
        .unwrap()
        .flatten()
        .map(|file| fs::read_link(file.path()).unwrap())
        .collect();
    assert!(files.iter().any(|file| file.ends_with("drive2")) && !files.iter().any(|file| file.ends_with("drive")));
    // the one that was let go is free for others
    let other = fs::File::open(folder.path("drive")).unwrap();
    // SAFETY: a call without pointers
    assert_eq!(unsafe { libc::flock(std::os::fd::AsRawFd::as_raw_fd(&other), libc::LOCK_EX | libc::LOCK_NB) }, 0);
}

#[test]
fn both_processes_end_together_and_their_sockets_go() {
    let folder = Folder::new();
    let mut machine = Running::start(&folder, &[]);
    machine.configure(&folder, "kernel");
    machine.begin();
    let guest = machine.guest().unwrap();
    machine.signal(libc::SIGTERM);
    let (status, said) = machine.wait();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    assert!(!is_there(guest));
    for name in ["api", "api.console", "v"] {
        assert!(!Path::new(&folder.path(name)).exists(), "{name}");
    }

    // a guest's process that dies takes the machine with it
    let mut machine = Running::start(&folder, &[]);
    machine.configure(&folder, "kernel");
    machine.begin();
    // SAFETY: a process of the machine
    assert_eq!(unsafe { libc::kill(machine.guest().unwrap() as i32, libc::SIGKILL) }, 0);
    let (status, said) = machine.wait();
    assert_eq!((status.code(), said.as_str()), (Some(1), "anvil-vmm: signal 9 ended the guest's process\n"));
    assert!(!Path::new(&folder.path("api")).exists());

    // whoever kills the machine kills the guest
    let mut machine = Running::start(&folder, &[]);
    machine.configure(&folder, "kernel");
    machine.begin();
    let guest = machine.guest().unwrap();
    machine.signal(libc::SIGKILL);
    machine.wait();
    while is_there(guest) {
        std::thread::yield_now();
    }
}

#[test]
fn the_status_is_the_guests_own() {
    let folder = Folder::new();
    // in the place of the one that waits for ever: mov al, 0xfe; out 0x64, al; hlt
    let code = [0xb0, 0xfe, 0xe6, 0x64, 0xf4];
    let mut machine = Running::start(&folder, &[]);
    let mut kernel = fs::read(folder.path("kernel")).unwrap();
    kernel.truncate(120);
    kernel.extend(code);
    kernel[96..104].copy_from_slice(&(code.len() as u64).to_le_bytes());
    fs::write(folder.path("resets"), kernel).unwrap();
    machine.configure(&folder, "resets");
    machine.begin();
    let (status, said) = machine.wait();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn without_a_jail_there_is_one_process() {
    let folder = Folder::new();
    let machine = Running::start(&folder, &["--no-jail"]);
    machine.configure(&folder, "kernel");
    machine.begin();
    assert_eq!(machine.guest(), None);
    assert_eq!(field(machine.child.id(), "Uid"), "0\t0\t0\t0");
    let api = folder.path("api2");
    let both = Command::new(env!("CARGO_BIN_EXE_anvil-vmm"))
        .args(["--api-sock", &api, "--no-jail", "--jail", "1:1"])
        .output()
        .unwrap();
    assert_eq!(both.status.code(), Some(153));
}

#[test]
fn what_others_own_is_not_replaced_by_a_socket_but_by_the_link() {
    let folder = Folder::new();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o1777)).unwrap();
    let (path, target, kept) = (folder.path("s"), folder.path("target"), folder.path("kept"));
    fs::write(&kept, "kept").unwrap();
    let makers: [fn(&str, &str); 4] = [
        |path, _| drop(UnixListener::bind(path).unwrap()),
        |path, _| fs::write(path, "").unwrap(),
        |path, kept| symlink(kept, path).unwrap(),
        |path, _| {
            fs::create_dir(path).unwrap();
            fs::write(format!("{path}/file"), "").unwrap();
        },
    ];
    for (index, maker) in makers.into_iter().enumerate() {
        maker(&path, &kept);
        lchown(&path, Some(70), Some(70)).unwrap();
        assert!(bind(&path).unwrap_err().to_string().contains("belongs to user 70"), "{index}");
        make_link(&path, &target).unwrap();
        make_link(&path, &target).unwrap();
        assert_eq!(fs::read_link(&path).unwrap().to_str().unwrap(), target, "{index}");
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
        fs::remove_file(&path).unwrap();
    }
    chown(&folder.0, Some(70), Some(70)).unwrap();
    assert!(bind(&path).unwrap_err().to_string().contains("folder of user 70"));
}

#[test]
fn where_anybody_may_make_names_a_guest_reaches_only_listeners_of_root() {
    let folder = Folder::new();
    let listener = folder.path("v_52");
    let _listener = UnixListener::bind(&listener).unwrap();
    for (mode, owner, well) in [(0o755, 0, true), (0o755, 70, true), (0o1777, 70, false), (0o1777, 0, true)] {
        lchown(&listener, Some(owner), Some(owner)).unwrap();
        fs::set_permissions(&folder.0, Permissions::from_mode(mode)).unwrap();
        assert_eq!(connect(&folder.path("v"), 52).is_ok(), well, "{mode:o} {owner}");
    }
}
