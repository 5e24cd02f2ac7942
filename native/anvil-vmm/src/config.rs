//! What a machine is to be: the bodies of the requests, checked as far as that needs no file and no device, and their way
//! back to JSON for `GET /vm/config`.

use crate::json::{object, required, Fields, Value};

pub const MAX_VCPUS: u8 = 32;
/// MiB. What the guest's memory map, which leaves a gap below 4 GiB, was tried with.
pub const MAX_MEMORY: u64 = 1 << 20;
/// Characters of an id, as in Firecracker.
const MAX_ID: usize = 64;

#[derive(Clone, Debug, PartialEq)]
pub struct MachineConfig {
    pub vcpus: u8,
    /// MiB.
    pub memory: u64,
    pub smt: bool,
    pub track_dirty_pages: bool,
}

impl Default for MachineConfig {
    fn default() -> Self {
        MachineConfig { vcpus: 1, memory: 128, smt: false, track_dirty_pages: false }
    }
}

impl MachineConfig {
    /// The whole body of PUT; for PATCH what `self` is replaces what is absent.
    pub fn read(&self, body: Value, whole: bool) -> Result<Self, String> {
        let mut fields = Fields::of(body)?;
        if !whole && fields.is_empty() {
            return Err("Empty PATCH request.".to_string());
        }
        let vcpus = fields.number("vcpu_count", 255)?;
        let memory = fields.number("mem_size_mib", u64::MAX)?;
        let smt = fields.bool("smt")?;
        let track = fields.bool("track_dirty_pages")?;
        fields.choice("cpu_template", &["None"])?;
        fields.choice("huge_pages", &["None"])?;
        fields.finish()?;
        if whole {
            required(vcpus, "vcpu_count")?;
            required(memory, "mem_size_mib")?;
        }
        let before = if whole { MachineConfig::default() } else { self.clone() };
        let next = MachineConfig {
            vcpus: vcpus.map_or(before.vcpus, |count| count as u8),
            memory: memory.unwrap_or(before.memory),
            smt: smt.unwrap_or(before.smt),
            track_dirty_pages: track.unwrap_or(before.track_dirty_pages),
        };
        if next.vcpus == 0 || next.vcpus > MAX_VCPUS {
            return Err(format!("The vCPU number is invalid: it is from 1 to {MAX_VCPUS}."));
        }
        if next.smt && next.vcpus > 1 && next.vcpus % 2 == 1 {
            return Err("The vCPU number is invalid: with smt it is 1 or even.".to_string());
        }
        if next.memory == 0 || next.memory > MAX_MEMORY {
            return Err(format!("The memory size (MiB) is invalid: it is from 1 to {MAX_MEMORY}."));
        }
        Ok(next)
    }

    pub fn json(&self) -> Value {
        object([
            ("vcpu_count", u64::from(self.vcpus).into()),
            ("mem_size_mib", self.memory.into()),
            ("smt", self.smt.into()),
            ("track_dirty_pages", self.track_dirty_pages.into()),
            ("huge_pages", "None".into()),
        ])
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct BootSource {
    pub kernel: String,
    pub initrd: Option<String>,
    pub args: Option<String>,
}

impl BootSource {
    pub fn read(body: Value) -> Result<Self, String> {
        let mut fields = Fields::of(body)?;
        let kernel = fields.string("kernel_image_path")?;
        let initrd = fields.string("initrd_path")?;
        let args = fields.string("boot_args")?;
        fields.finish()?;
        Ok(BootSource { kernel: required(kernel, "kernel_image_path")?, initrd, args })
    }

    pub fn json(&self) -> Value {
        object([
            ("kernel_image_path", self.kernel.as_str().into()),
            ("initrd_path", self.initrd.as_deref().into()),
            ("boot_args", self.args.as_deref().into()),
        ])
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Drive {
    pub id: String,
    pub root: bool,
    pub partuuid: Option<String>,
    pub path: String,
    pub read_only: bool,
    /// "Unsafe": the guest's flushes are answered and nothing else, as Firecracker does by default.
    pub unsafe_cache: bool,
}

impl Drive {
    pub fn read(body: Value, id: &str) -> Result<Self, String> {
        let mut fields = Fields::of(body)?;
        let name = fields.string("drive_id")?;
        let root = fields.bool("is_root_device")?;
        let path = fields.string("path_on_host")?;
        let read_only = fields.bool("is_read_only")?;
        let partuuid = fields.string("partuuid")?;
        let cache = fields.choice("cache_type", &["Writeback", "Unsafe"])?;
        fields.choice("io_engine", &["Sync"])?;
        refuse(&mut fields, "rate_limiter")?;
        refuse(&mut fields, "socket")?;
        fields.finish()?;
        same_id(&required(name, "drive_id")?, id)?;
        if let Some(uuid) = &partuuid {
            // it ends up on the kernel's command line
            if uuid.is_empty()
                || uuid.len() > 64
                || !uuid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            {
                return Err("partuuid is letters, digits and \"-\"".to_string());
            }
        }
        Ok(Drive {
            id: id.to_string(),
            root: required(root, "is_root_device")?,
            partuuid,
            path: required(path, "path_on_host")?,
            read_only: read_only.unwrap_or(false),
            unsafe_cache: cache == Some(1),
        })
    }

    pub fn json(&self) -> Value {
        object([
            ("drive_id", self.id.as_str().into()),
            ("is_root_device", self.root.into()),
            ("partuuid", self.partuuid.as_deref().into()),
            ("path_on_host", self.path.as_str().into()),
            ("is_read_only", self.read_only.into()),
            ("cache_type", if self.unsafe_cache { "Unsafe" } else { "Writeback" }.into()),
            ("io_engine", "Sync".into()),
        ])
    }
}

/// The body of `PATCH /drives/{id}`: the new path, or none, which has the size of the same file read again.
pub fn read_drive_patch(body: Value, id: &str) -> Result<Option<String>, String> {
    let mut fields = Fields::of(body)?;
    let name = fields.string("drive_id")?;
    let path = fields.string("path_on_host")?;
    refuse(&mut fields, "rate_limiter")?;
    fields.finish()?;
    same_id(&required(name, "drive_id")?, id)?;
    Ok(path)
}

#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub id: String,
    pub tap: String,
    pub mac: Option<[u8; 6]>,
}

impl Network {
    pub fn read(body: Value, id: &str) -> Result<Self, String> {
        let mut fields = Fields::of(body)?;
        let name = fields.string("iface_id")?;
        let tap = fields.string("host_dev_name")?;
        let mac = fields.string("guest_mac")?;
        refuse(&mut fields, "rx_rate_limiter")?;
        refuse(&mut fields, "tx_rate_limiter")?;
        fields.finish()?;
        same_id(&required(name, "iface_id")?, id)?;
        let tap = required(tap, "host_dev_name")?;
        // IFNAMSIZ with its final zero
        if tap.is_empty() || tap.len() > 15 || tap.bytes().any(|byte| byte <= b' ' || byte == b'/' || byte == b'%') {
            return Err(format!("\"{tap}\" is no name of a network device"));
        }
        Ok(Network { id: id.to_string(), tap, mac: mac.map(|text| read_mac(&text)).transpose()? })
    }

    pub fn json(&self) -> Value {
        object([
            ("iface_id", self.id.as_str().into()),
            ("host_dev_name", self.tap.as_str().into()),
            ("guest_mac", self.mac.as_ref().map(write_mac).as_deref().into()),
        ])
    }
}

fn read_mac(text: &str) -> Result<[u8; 6], String> {
    let wrong = || format!("invalid MAC address: {text}");
    let parts: Vec<&str> = text.split(':').collect();
    let mut mac = [0; 6];
    if parts.len() != mac.len() {
        return Err(wrong());
    }
    for (byte, part) in mac.iter_mut().zip(parts) {
        if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
    }
    Ok(mac)
}

pub fn write_mac(mac: &[u8; 6]) -> String {
    mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[derive(Clone, Debug, PartialEq)]
pub struct Vsock {
    pub cid: u32,
    pub path: String,
}

impl Vsock {
    pub fn read(body: Value) -> Result<Self, String> {
        let mut fields = Fields::of(body)?;
        let cid = fields.number("guest_cid", u64::from(u32::MAX) - 1)?;
        let path = fields.string("uds_path")?;
        // deprecated upstream, and still sent
        fields.string("vsock_id")?;
        fields.finish()?;
        let cid = required(cid, "guest_cid")? as u32;
        if cid < 3 {
            return Err("guest_cid is 3 or more: the smaller ones are reserved".to_string());
        }
        let path = required(path, "uds_path")?;
        // sockaddr_un holds 108 bytes, of which the name of a guest's port takes up to eleven and the end one
        if path.is_empty() || path.len() > 96 || path.contains('\0') {
            return Err("uds_path is a path of at most 96 bytes".to_string());
        }
        Ok(Vsock { cid, path })
    }

    pub fn json(&self) -> Value {
        object([("guest_cid", u64::from(self.cid).into()), ("uds_path", self.path.as_str().into())])
    }
}

/// The body of `PUT /entropy` has nothing that is supported.
pub fn read_entropy(body: Value) -> Result<(), String> {
    let mut fields = Fields::of(body)?;
    refuse(&mut fields, "rate_limiter")?;
    fields.finish()
}

fn refuse(fields: &mut Fields, name: &str) -> Result<(), String> {
    match fields.take(name) {
        None => Ok(()),
        Some(_) => Err(format!("`{name}` is not supported")),
    }
}

fn same_id(body: &str, path: &str) -> Result<(), String> {
    if body == path {
        return Ok(());
    }
    Err(format!("The id from the path [{path}] does not match the id from the body [{body}]!"))
}

/// An id in a path: letters, digits and "_".
pub fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!(
            "API Resource IDs can only contain alphanumeric characters and underscores, at most {MAX_ID}."
        ));
    }
    Ok(())
}

/// The id of a machine: letters, digits and "-".
pub fn check_machine_id(id: &str) -> Result<(), String> {
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(format!("\"{id}\" is no id: letters, digits and \"-\", at most {MAX_ID}"));
    }
    Ok(())
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub machine: MachineConfig,
    pub boot: Option<BootSource>,
    pub drives: Vec<Drive>,
    pub networks: Vec<Network>,
    pub vsock: Option<Vsock>,
    pub entropy: bool,
}

impl Config {
    pub fn json(&self) -> Value {
        let list = |items: Vec<Value>| Value::Array(items);
        object([
            ("boot-source", self.boot.as_ref().map_or_else(|| Value::Object(Vec::new()), BootSource::json)),
            ("drives", list(self.drives.iter().map(Drive::json).collect())),
            ("machine-config", self.machine.json()),
            ("network-interfaces", list(self.networks.iter().map(Network::json).collect())),
            ("vsock", self.vsock.as_ref().map_or(Value::Null, Vsock::json)),
            ("entropy", if self.entropy { Value::Object(Vec::new()) } else { Value::Null }),
        ])
    }
}
