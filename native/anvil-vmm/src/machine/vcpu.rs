//! The processors of the guest: a thread each.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use kvm_bindings::{kvm_device_attr, kvm_fpu, kvm_msr_entry, Msrs, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET};
use kvm_ioctls::{Cap, Kvm, VcpuExit, VcpuFd, VmFd};
use vmm_sys_util::eventfd::EventFd;

use super::{boot, cpuid};
use crate::config::MachineConfig;
use crate::devices::bus::{lock, Bus};
use crate::devices::i8042::Wish;
use crate::devices::queue::Memory;
use crate::seccomp;

/// Why the guest no longer runs.
pub struct Ended {
    /// Readable once it does not.
    pub event: EventFd,
    status: AtomicI32,
}

impl Ended {
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Ended { event: EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?, status: AtomicI32::new(0) }))
    }

    pub fn status(&self) -> i32 {
        self.status.load(Ordering::SeqCst)
    }

    fn set(&self, status: i32) {
        self.status.store(status, Ordering::SeqCst);
        let _ = self.event.write(1);
    }
}

/// The guest cannot go on: exit status of the monitor.
const BROKEN: i32 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Pause,
    Run,
    Leave,
}

struct Control {
    /// With the number of the pause, so that a thread that slept through a short run is counted in the next pause too.
    want: Mutex<(Want, u64)>,
    changed: Condvar,
    /// How many threads have stopped; `stopped` is signalled at each.
    waiting: Mutex<usize>,
    stopped: Condvar,
    /// Cycles of the host's counter that the guest must not see.
    lost: Mutex<u64>,
    quick: AtomicU8,
    alive: AtomicUsize,
}

struct Member {
    /// Gives the processor back, so that its kvm_run is there until the thread was joined.
    thread: JoinHandle<VcpuFd>,
    /// `immediate_exit` of this processor's kvm_run.
    leave: Flag,
}

/// A byte in memory that is shared with the kernel; valid until the thread with the processor was joined.
#[derive(Clone, Copy)]
struct Flag(*mut u8);

// SAFETY: accessed atomically only
unsafe impl Send for Flag {}
unsafe impl Sync for Flag {}

impl Flag {
    fn set(self, value: u8) {
        // SAFETY: see the type; the kernel reads it as one byte
        unsafe { AtomicU8::from_ptr(self.0) }.store(value, Ordering::SeqCst);
    }
}

/// What the processors are made for.
pub struct Setting<'a> {
    pub kvm: &'a Kvm,
    pub vm: &'a VmFd,
    pub config: &'a MachineConfig,
    pub memory: &'a Memory,
    pub entry: &'a boot::Entry,
    pub bus: &'a Arc<Bus>,
    pub ended: Arc<Ended>,
    pub seccomp: bool,
}

pub struct Crew {
    members: Vec<Member>,
    control: Arc<Control>,
    paused_at: Option<u64>,
}

fn kick_signal() -> libc::c_int {
    libc::SIGRTMIN()
}

extern "C" fn nothing(_: libc::c_int) {}

fn cycles() -> u64 {
    // SAFETY: every processor with KVM has it
    unsafe { std::arch::x86_64::_rdtsc() }
}

impl Crew {
    /// Makes the processors and their threads, which wait.
    pub fn new(setting: Setting<'_>) -> Result<Self, String> {
        let Setting { kvm, vm, config, memory, entry, bus, ended, seccomp } = setting;
        let step = |what: &'static str| move |error: kvm_ioctls::Error| format!("{what}: {error}");
        boot::write_tables(memory, entry)?;
        // SAFETY: the handler does nothing; the signal only ends KVM_RUN
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
            if libc::sigaction(kick_signal(), &action, std::ptr::null_mut()) != 0 {
                return Err(format!("Cannot set a signal handler: {}", io::Error::last_os_error()));
            }
        }
        let supported = cpuid::supported(kvm)?;
        let mut ready = Vec::new();
        for id in 0..config.vcpus {
            let vcpu = vm.create_vcpu(u64::from(id)).map_err(step("Cannot create a processor"))?;
            let deadline = has_frequency(&vcpu) && kvm.check_extension(Cap::TscDeadlineTimer);
            vcpu.set_cpuid2(&cpuid::of_vcpu(&supported, config, id, deadline))
                .map_err(step("Cannot describe a processor"))?;
            set_up(&vcpu, (id == 0).then_some(entry)).map_err(step("Cannot set up a processor"))?;
            ready.push(vcpu);
        }
        let control = Arc::new(Control {
            want: Mutex::new((Want::Pause, 1)),
            changed: Condvar::new(),
            waiting: Mutex::new(0),
            stopped: Condvar::new(),
            lost: Mutex::new(0),
            quick: AtomicU8::new(0),
            alive: AtomicUsize::new(ready.len()),
        });
        let mut crew = Crew { members: Vec::new(), control, paused_at: None };
        for (id, mut vcpu) in ready.into_iter().enumerate() {
            let leave = Flag(&raw mut vcpu.get_kvm_run().immediate_exit);
            let (control, bus, ended) = (crew.control.clone(), bus.clone(), ended.clone());
            let work = move || {
                if seccomp && seccomp::enter(seccomp::Role::Vcpu).is_err() {
                    ended.set(BROKEN);
                } else {
                    run(&mut vcpu, leave, &control, &bus, &ended);
                }
                control.alive.fetch_sub(1, Ordering::SeqCst);
                let mut waiting = lock(&control.waiting);
                *waiting += 1;
                control.stopped.notify_all();
                drop(waiting);
                vcpu
            };
            let thread = thread::Builder::new()
                .name(format!("vcpu{id}"))
                .stack_size(128 << 10)
                .spawn(work)
                .map_err(|error| format!("Cannot start a thread: {error}"))?;
            crew.members.push(Member { thread, leave });
        }
        crew.wait_until_stopped();
        Ok(crew)
    }

    fn interrupt(&self) {
        for member in &self.members {
            if !member.thread.is_finished() {
                member.leave.set(1);
                // SAFETY: the thread was not joined, so its id is valid
                unsafe { libc::pthread_kill(member.thread.as_pthread_t() as _, kick_signal()) };
            }
        }
    }

    fn wait_until_stopped(&self) {
        let mut waiting = lock(&self.control.waiting);
        while *waiting < self.members.len() {
            waiting = self.control.stopped.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn set(&self, want: Want) {
        let mut wanted = lock(&self.control.want);
        wanted.0 = want;
        wanted.1 += u64::from(want == Want::Pause);
        drop(wanted);
        self.control.quick.store(u8::from(want != Want::Run), Ordering::SeqCst);
        self.control.changed.notify_all();
    }

    pub fn pause(&mut self) {
        self.set(Want::Pause);
        self.interrupt();
        self.wait_until_stopped();
        self.paused_at = Some(cycles());
    }

    pub fn resume(&mut self) {
        let lost = self.paused_at.take().map_or(0, |at| cycles().wrapping_sub(at));
        *lock(&self.control.lost) = lost;
        // threads that have ended stay counted
        *lock(&self.control.waiting) = self.members.len() - self.control.alive.load(Ordering::SeqCst);
        self.set(Want::Run);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.set(Want::Leave);
        self.interrupt();
        for member in self.members.drain(..) {
            let _ = member.thread.join();
        }
    }
}

/// Makes sure that KVM counts the guest's cycles; true when it does.
///
/// A host may find another frequency for its counter after KVM was loaded, as emulated ones do. If that is a higher one, KVM
/// refuses its own default for new processors without a word to us, and leaves them with a clock that leaps or stands still.
/// So it is told the default once more; if it refuses, the host's frequency is above it, and KVM takes what is within 250
/// parts in a million of that.
fn has_frequency(vcpu: &VcpuFd) -> bool {
    let Ok(default) = vcpu.get_tsc_khz() else { return false };
    (0..MOST_STEPS)
        .map(|step| default + (u64::from(default) * step * STEP_PPM / 1_000_000) as u32)
        .any(|khz| khz > 0 && vcpu.set_tsc_khz(khz).is_ok())
}

/// Less than the width of what KVM takes, and up to a twentieth above the default.
const STEP_PPM: u64 = 400;
const MOST_STEPS: u64 = 125;

fn set_up(vcpu: &VcpuFd, entry: Option<&boot::Entry>) -> Result<(), kvm_ioctls::Error> {
    // fast string operations; write-back unless a range says otherwise
    let msrs = [(0x1a0, 1), (0x2ff, 0xc06)].map(|(index, data)| kvm_msr_entry { index, data, ..Default::default() });
    if let Ok(msrs) = Msrs::from_entries(&msrs) {
        vcpu.set_msrs(&msrs)?;
    }
    vcpu.set_fpu(&kvm_fpu { fcw: 0x37f, mxcsr: 0x1f80, ..Default::default() })?;
    // LINT0 is the 8259, LINT1 an NMI
    let mut lapic = vcpu.get_lapic()?;
    for (register, mode) in [(0x350, 7u32), (0x360, 4)] {
        let mut bytes = [0; 4];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = lapic.regs[register + index] as u8;
        }
        let value = (u32::from_le_bytes(bytes) & !0x700) | (mode << 8);
        for (index, byte) in value.to_le_bytes().into_iter().enumerate() {
            lapic.regs[register + index] = byte as _;
        }
    }
    vcpu.set_lapic(&lapic)?;
    // the others wait for the first one to start them
    if let Some(entry) = entry {
        let mut sregs = vcpu.get_sregs()?;
        let regs = boot::registers(entry, &mut sregs);
        vcpu.set_sregs(&sregs)?;
        vcpu.set_regs(&regs)?;
    }
    Ok(())
}

fn run(vcpu: &mut VcpuFd, leave: Flag, control: &Control, bus: &Bus, ended: &Ended) {
    if !wait(vcpu, control) {
        return;
    }
    loop {
        match vcpu.run() {
            Ok(VcpuExit::IoIn(port, data)) => bus.port_read(port, data),
            Ok(VcpuExit::IoOut(port, data)) => {
                if bus.port_write(port, data) == Wish::Reset {
                    ended.set(0);
                    return;
                }
            }
            Ok(VcpuExit::MmioRead(address, data)) => bus.mmio_read(address, data),
            Ok(VcpuExit::MmioWrite(address, data)) => bus.mmio_write(address, data),
            // the guest's last resort for a reset is a triple fault
            Ok(VcpuExit::Shutdown | VcpuExit::SystemEvent(..)) => {
                ended.set(0);
                return;
            }
            Ok(VcpuExit::Hlt | VcpuExit::Intr | VcpuExit::IrqWindowOpen) => {}
            Ok(exit) => {
                eprintln!("anvil-vmm: the guest cannot go on: {exit:?}");
                ended.set(BROKEN);
                return;
            }
            // the flag may be one of a pause that is over; one that begins now sets `quick` before it
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => leave.set(0),
            Err(error) => {
                eprintln!("anvil-vmm: the guest cannot go on: {error}");
                ended.set(BROKEN);
                return;
            }
        }
        if control.quick.load(Ordering::SeqCst) != 0 {
            // an exit for the outside world is complete only when KVM was entered once more
            leave.set(1);
            let _ = vcpu.run();
            leave.set(0);
            if !wait(vcpu, control) {
                return;
            }
        }
    }
}

/// Waits until it may run; false when it is to leave.
fn wait(vcpu: &VcpuFd, control: &Control) -> bool {
    let mut want = lock(&control.want);
    let mut counted = 0;
    while want.0 == Want::Pause {
        if counted != want.1 {
            counted = want.1;
            *lock(&control.waiting) += 1;
            control.stopped.notify_all();
        }
        want = control.changed.wait(want).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
    let leave = want.0 == Want::Leave;
    drop(want);
    if !leave {
        forget_pause(vcpu, *lock(&control.lost));
    }
    !leave
}

/// Takes the cycles of a pause from the guest's counter, and tells its watchdogs that there was one.
fn forget_pause(vcpu: &VcpuFd, lost: u64) {
    if lost == 0 {
        return;
    }
    let mut offset: u64 = 0;
    let mut attribute = kvm_device_attr {
        group: KVM_VCPU_TSC_CTRL,
        attr: u64::from(KVM_VCPU_TSC_OFFSET),
        addr: &raw mut offset as u64,
        flags: 0,
    };
    // a kernel before 5.16 does not have it: then the guest sees the cycles go by
    let call = |request: u64, attribute: &mut kvm_device_attr| {
        // SAFETY: the address in it is that of a u64, which is what the kernel reads or writes
        unsafe { libc::ioctl(vcpu.as_raw_fd(), request as _, attribute) == 0 }
    };
    if call(KVM_GET_DEVICE_ATTR, &mut attribute) {
        // SAFETY: as above; read as the kernel left it
        let now = unsafe { std::ptr::read_volatile(&raw const offset) };
        // SAFETY: as above
        unsafe { std::ptr::write_volatile(&raw mut offset, now.wrapping_sub(lost)) };
        call(KVM_SET_DEVICE_ATTR, &mut attribute);
    }
    // fails when the guest does not use the clock
    let _ = vcpu.kvmclock_ctrl();
}

/// _IOW(KVMIO, 0xe1, struct kvm_device_attr), and the same with 0xe2.
const KVM_SET_DEVICE_ATTR: u64 = 0x4018_aee1;
const KVM_GET_DEVICE_ATTR: u64 = 0x4018_aee2;
