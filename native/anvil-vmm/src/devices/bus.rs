//! What the guest's processors reach: ports, and the windows of the virtio devices.

use std::sync::{Arc, Mutex, MutexGuard};

use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

use super::console::{Console, ConsoleEvents, ConsoleWriter};
use super::i8042::{Wish, I8042};
use super::mmio::{Mmio, Written, WINDOW};

/// Below the APICs and above the memory under 4 GiB.
pub const MMIO_BASE: u64 = 0xd000_0000;
pub const SERIAL_LINE: u32 = 4;
pub const KEYBOARD_LINE: u32 = 1;
/// The first line of a virtio device; the IOAPIC has 24.
pub const FIRST_LINE: u32 = 5;
pub const MAX_DEVICES: usize = 19;

const SERIAL_PORT: u16 = 0x3f8;
const CMOS_DATA: u16 = 0x71;

/// A line to the interrupt controller.
pub struct Line(pub EventFd);

impl Trigger for Line {
    type E = std::io::Error;

    fn trigger(&self) -> Result<(), Self::E> {
        self.0.write(1)
    }
}

pub type SerialPort = Serial<Line, ConsoleEvents, ConsoleWriter>;

pub struct Bus {
    pub serial: Mutex<SerialPort>,
    pub keyboard: Mutex<I8042>,
    pub devices: Vec<Mutex<Mmio>>,
    /// Readable when a device has just come to life.
    pub activated: EventFd,
}

/// A panic ends the process, so no lock is ever poisoned but in tests.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Bus {
    pub fn new(
        serial: Line,
        keyboard: EventFd,
        activated: EventFd,
        console: Arc<Console>,
        devices: Vec<Mutex<Mmio>>,
    ) -> Self {
        Bus {
            serial: Mutex::new(Serial::with_events(serial, ConsoleEvents(console.clone()), ConsoleWriter(console))),
            keyboard: Mutex::new(I8042::new(keyboard)),
            devices,
            activated,
        }
    }

    pub fn port_read(&self, port: u16, data: &mut [u8]) {
        // nothing there: the bus floats
        data.fill(0xff);
        let [byte] = data else { return };
        match port {
            SERIAL_PORT..=0x3ff => *byte = lock(&self.serial).read((port - SERIAL_PORT) as u8),
            0x60 | 0x64 => *byte = lock(&self.keyboard).read(port),
            // no clock is there either, but a floating bus looks like one that is never ready: Linux asks 10 000 times
            CMOS_DATA => *byte = 0,
            _ => {}
        }
    }

    pub fn port_write(&self, port: u16, data: &[u8]) -> Wish {
        let [byte] = data else { return Wish::Nothing };
        match port {
            SERIAL_PORT..=0x3ff => {
                // fails only when an interrupt cannot be raised because it is raised already
                let _ = lock(&self.serial).write((port - SERIAL_PORT) as u8, *byte);
                Wish::Nothing
            }
            0x60 | 0x64 => lock(&self.keyboard).write(port, *byte),
            _ => Wish::Nothing,
        }
    }

    fn device(&self, address: u64) -> Option<(&Mutex<Mmio>, u64)> {
        let offset = address.checked_sub(MMIO_BASE)?;
        let device = self.devices.get(usize::try_from(offset / WINDOW).ok()?)?;
        Some((device, offset % WINDOW))
    }

    pub fn mmio_read(&self, address: u64, data: &mut [u8]) {
        match self.device(address) {
            Some((device, offset)) => lock(device).read(offset, data),
            None => data.fill(0xff),
        }
    }

    pub fn mmio_write(&self, address: u64, data: &[u8]) {
        if let Some((device, offset)) = self.device(address) {
            if lock(device).write(offset, data) == Written::Activated {
                let _ = self.activated.write(1);
            }
        }
    }
}
