//! What the tests share: a monitor in a folder of its own, and numbers that are random and the same each time.
#![allow(dead_code)]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anvil_vmm::http::{Method, Request, Response};
use anvil_vmm::monitor::{Confine, Monitor, Options};

/// A folder that vanishes.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("anvil-vmm-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn monitor(folder: &Folder) -> Monitor {
    let options = Options {
        id: "test".into(),
        api_socket: folder.path("api"),
        console_socket: None,
        stdio: false,
        confine: Confine { seccomp: false, jail: None },
    };
    Monitor::new(options).unwrap()
}

/// An ELF kernel of one segment: a processor that waits for ever.
pub fn kernel() -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64 + 56, 0);
    file[18] = 62;
    file[24..32].copy_from_slice(&0x10_0000u64.to_le_bytes());
    file[32] = 64;
    file[54] = 56;
    file[56] = 1;
    file[64] = 1;
    for (at, value) in [(72, 120u64), (88, 0x10_0000), (96, 4), (104, 4096)] {
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    // cli; hlt; jmp back
    file.extend([0xfa, 0xf4, 0xeb, 0xfd]);
    file
}

pub fn files(folder: &Folder) {
    let mut bzimage = vec![0; 1 << 20];
    bzimage[0x202..0x206].copy_from_slice(b"HdrS");
    for (name, bytes) in
        [("kernel", kernel()), ("bzimage", bzimage), ("drive", vec![0; 1 << 20]), ("drive2", vec![0; 1 << 20])]
    {
        fs::write(folder.path(name), bytes).unwrap();
    }
}

pub fn request(method: &str, path: &str, body: &str) -> Request {
    let method = match method {
        "GET" => Method::Get,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        _ => panic!("{method}"),
    };
    Request { method, path: path.into(), body: body.into(), close: false }
}

/// Makes the requests of a table; the number of rows.
pub fn follow(monitor: &mut Monitor, table: &str, folder: &Folder) -> usize {
    let table = table.replace("{tmp}", folder.0.to_str().unwrap());
    let mut rows = 0;
    for (index, line) in table.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parts: Vec<&str> = line.split(" |").map(str::trim).collect();
        let [call, body, status, holds] = parts[..] else { panic!("line {}: {line}", index + 1) };
        let (method, path) = call.split_once(' ').unwrap();
        let Response { status: got, body: answer } = monitor.answer(&request(method, path, body));
        let answer = answer.unwrap_or_default();
        assert_eq!(got.to_string(), status, "line {}: {line}: {answer}", index + 1);
        assert!(answer.contains(holds), "line {}: {line}: {answer}", index + 1);
        assert_eq!(answer.is_empty(), got == 204, "line {}", index + 1);
        if got == 400 {
            assert!(
                answer.starts_with("{\"fault_message\":\"") && answer.ends_with("\"}"),
                "line {}: {answer}",
                index + 1
            );
        }
        rows += 1;
    }
    rows
}

/// xorshift64* (S. Vigna, 2016).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
