//! The machine: memory, processors, interrupt controllers, and what runs them.

pub mod boot;
pub mod cpuid;
pub mod elf;
pub mod mptable;
pub mod vcpu;

use std::io;
use std::sync::{Arc, Mutex};

use kvm_bindings::{kvm_clock_data, kvm_pit_config, kvm_userspace_memory_region, KVM_PIT_SPEAKER_DUMMY};
use kvm_ioctls::{Cap, IoEventAddress, Kvm, VmFd};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;

use crate::config::MachineConfig;
use crate::devices::bus::{Bus, Line, FIRST_LINE, KEYBOARD_LINE, MAX_DEVICES, MMIO_BASE, SERIAL_LINE};
use crate::devices::console::Console;
use crate::devices::mmio::{Mmio, NOTIFY, WINDOW};
use crate::devices::queue::{Interrupt, Memory};
use crate::devices::VirtioDevice;
use vcpu::{Crew, Ended, Setting};

/// Memory below 4 GiB ends here; what is more begins at 4 GiB.
const LOW_END: u64 = MMIO_BASE;
const HIGH_START: u64 = 1 << 32;
/// Three pages for Intel's virtual 8086 mode, and one for its identity map, where the guest has no memory.
const TSS_ADDRESS: usize = 0xfffb_d000;
const IDENTITY_MAP_ADDRESS: u64 = 0xfffb_c000;

/// A queue of a device: what the kernel signals when the guest notifies the device.
pub struct Notification {
    pub device: usize,
    pub queue: usize,
    pub event: EventFd,
}

pub struct Machine {
    // the order in which they go: processors first, memory last
    crew: Crew,
    pub bus: Arc<Bus>,
    pub notifications: Vec<Notification>,
    vm: VmFd,
    clock: Option<kvm_clock_data>,
    _memory: Memory,
}

/// Opens KVM, with a sentence for each way in which it is missing.
pub fn open_kvm() -> Result<Kvm, String> {
    let kvm = Kvm::new().map_err(|error| match error.errno() {
        libc::ENOENT => "/dev/kvm does not exist: the kernel has no KVM, or its module is not loaded".to_string(),
        libc::EACCES | libc::EPERM => "/dev/kvm may not be opened by this user".to_string(),
        libc::ENODEV | libc::ENXIO => {
            "/dev/kvm is there, but this processor offers no virtualization, or the firmware turned it off".to_string()
        }
        libc::EBUSY => "/dev/kvm is in use by another hypervisor".to_string(),
        _ => format!("/dev/kvm cannot be opened: {error}"),
    })?;
    let version = kvm.get_api_version();
    if version != 12 {
        return Err(format!("KVM has version {version} of its API, not 12"));
    }
    for (capability, name) in [
        (Cap::Irqchip, "interrupt controllers"),
        (Cap::Pit2, "a timer"),
        (Cap::Ioeventfd, "ioeventfd"),
        (Cap::Irqfd, "irqfd"),
        (Cap::UserMemory, "user memory"),
        (Cap::ImmediateExit, "immediate exits"),
        (Cap::ExtCpuid, "CPUID"),
    ] {
        if !kvm.check_extension(capability) {
            return Err(format!("KVM of this kernel lacks {name}"));
        }
    }
    Ok(kvm)
}

/// Ranges of the guest's memory: start and bytes.
pub fn layout(bytes: u64) -> Vec<(u64, u64)> {
    match bytes.checked_sub(LOW_END) {
        None | Some(0) => vec![(0, bytes)],
        Some(rest) => vec![(0, LOW_END), (HIGH_START, rest)],
    }
}

pub fn allocate(bytes: u64) -> Result<Memory, String> {
    let ranges: Vec<(GuestAddress, usize)> =
        layout(bytes).into_iter().map(|(start, size)| (GuestAddress(start), size as usize)).collect();
    let memory = GuestMemoryMmap::from_ranges(&ranges)
        .map_err(|error| format!("Cannot allocate the memory of the guest: {error}"))?;
    for region in memory.iter() {
        // a guest that begins touches most of what it has: fewer faults, and shorter walks of two tables in each other.
        // SAFETY: a mapping of ours, of which no byte changes; refused by a kernel without huge pages
        unsafe { libc::madvise(region.as_ptr().cast(), region.len() as usize, libc::MADV_HUGEPAGE) };
    }
    Ok(memory)
}

/// What a machine is made of; all files are open already.
pub struct Parts<'a> {
    pub kvm: &'a Kvm,
    pub config: &'a MachineConfig,
    pub boot: &'a mut boot::Files,
    pub args: String,
    pub devices: Vec<Box<dyn VirtioDevice>>,
    pub console: Arc<Console>,
    pub ended: Arc<Ended>,
    pub seccomp: bool,
}

impl Machine {
    /// Makes a machine whose processors wait for [`Machine::resume`]. The error is the message of the fault.
    pub fn new(parts: Parts<'_>) -> Result<Self, String> {
        let Parts { kvm, config, boot, args, devices, console, ended, seccomp } = parts;
        let step = |what: &'static str| move |error: kvm_ioctls::Error| format!("{what}: {error}");
        let io = |error: io::Error| format!("Cannot create an event: {error}");
        if devices.len() > MAX_DEVICES {
            return Err(format!("A machine has at most {MAX_DEVICES} devices."));
        }
        let memory = allocate(config.memory << 20)?;
        let vm = kvm.create_vm().map_err(step("Cannot create a virtual machine"))?;
        for (slot, region) in memory.iter().enumerate() {
            let region = kvm_userspace_memory_region {
                slot: slot as u32,
                guest_phys_addr: region.start_addr().0,
                memory_size: region.len(),
                userspace_addr: region.as_ptr() as u64,
                flags: 0,
            };
            // SAFETY: the region stays mapped until the machine is gone: `_memory` is dropped after `vm`
            unsafe { vm.set_user_memory_region(region) }.map_err(step("Cannot give the guest its memory"))?;
        }
        vm.set_tss_address(TSS_ADDRESS).map_err(step("Cannot set the TSS address"))?;
        vm.set_identity_map_address(IDENTITY_MAP_ADDRESS).map_err(step("Cannot set the identity map"))?;
        vm.create_irq_chip().map_err(step("Cannot create the interrupt controllers"))?;
        let pit = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
        vm.create_pit2(pit).map_err(step("Cannot create the timer"))?;

        let event = || EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(io);
        let mut cmdline = args;
        let mut mmio = Vec::new();
        let mut notifications = Vec::new();
        for (index, device) in devices.into_iter().enumerate() {
            let interrupt = Interrupt::new().map_err(io)?;
            let line = FIRST_LINE + index as u32;
            let base = MMIO_BASE + index as u64 * WINDOW;
            vm.register_irqfd(&interrupt.line, line).map_err(step("Cannot connect an interrupt"))?;
            let device = Mmio::new(device, memory.clone(), interrupt)
                .map_err(|error| format!("Cannot create a queue: {error}"))?;
            for queue in 0..device.queue_count() {
                let event = event()?;
                vm.register_ioevent(&event, &IoEventAddress::Mmio(base + NOTIFY), queue as u32)
                    .map_err(step("Cannot connect a queue"))?;
                notifications.push(Notification { device: index, queue, event });
            }
            mmio.push(Mutex::new(device));
            cmdline.push_str(&format!(" virtio_mmio.device=4K@{base:#x}:{line}"));
        }
        let (serial, keyboard) = (event()?, event()?);
        vm.register_irqfd(&serial, SERIAL_LINE).map_err(step("Cannot connect the serial port"))?;
        vm.register_irqfd(&keyboard, KEYBOARD_LINE).map_err(step("Cannot connect the keyboard"))?;
        let bus = Arc::new(Bus::new(Line(serial), keyboard, event()?, console, mmio));

        let entry = boot::load(&memory, boot, &cmdline)?;
        mptable::write(&memory, config.vcpus)?;
        let crew =
            Crew::new(Setting { kvm, vm: &vm, config, memory: &memory, entry: &entry, bus: &bus, ended, seccomp })?;
        Ok(Machine { crew, bus, notifications, vm, clock: None, _memory: memory })
    }

    /// Stops the processors between two instructions, and the guest's clock with them.
    pub fn pause(&mut self) {
        self.crew.pause();
        self.clock = self.vm.get_clock().ok();
    }

    /// Has queues of a device looked at again, by a bit for each, after everything else that waits now.
    pub fn notify_again(&self, device: usize, queues: u32) {
        for notification in self.notifications.iter().filter(|notification| notification.device == device) {
            if queues & (1 << notification.queue) != 0 {
                let _ = notification.event.write(1);
            }
        }
    }

    pub fn resume(&mut self) {
        if let Some(clock) = self.clock.take() {
            let clock = kvm_clock_data { clock: clock.clock, ..Default::default() };
            // without it the guest's clock jumps over the pause
            let _ = self.vm.set_clock(&clock);
        }
        self.crew.resume();
    }
}

/// The address of a structure in low memory that the guest reads before it has an allocator.
pub fn write(memory: &Memory, at: u64, bytes: &[u8]) -> Result<(), String> {
    use vm_memory::Bytes;
    memory.write_slice(bytes, GuestAddress(at)).map_err(|_| "The memory of the guest is too small.".to_string())
}
