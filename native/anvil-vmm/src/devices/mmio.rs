//! The virtio transport over MMIO, version 2 (virtio 1.2, section 4.2).

use std::sync::atomic::Ordering;
use std::sync::Arc;

use virtio_queue::QueueT;

use super::queue::{Broken, Interrupt, Memory, Queues, CONFIG_CHANGED};
use super::VirtioDevice;

/// Bytes of a device's window.
pub const WINDOW: u64 = 0x1000;
/// Where the guest writes the number of a queue that has something for the device.
pub const NOTIFY: u64 = 0x50;

const MAGIC: u32 = 0x7472_6976;
const VENDOR: u32 = 0x4c56_4e41;

const ACKNOWLEDGE: u32 = 1;
const DRIVER: u32 = 2;
const DRIVER_OK: u32 = 4;
const FEATURES_OK: u32 = 8;
const NEEDS_RESET: u32 = 64;
const FAILED: u32 = 128;

const RING_EVENT_IDX: u64 = 1 << 29;
const RING_INDIRECT_DESC: u64 = 1 << 28;
const VERSION_1: u64 = 1 << 32;

pub struct Mmio {
    device: Box<dyn VirtioDevice>,
    queues: Queues,
    status: u32,
    /// Which half of the features is read and written.
    feature_page: u32,
    driver_page: u32,
    driver_features: u64,
    selected: usize,
    generation: u32,
    active: bool,
    /// The driver is ready and the device has not been told yet.
    fresh: bool,
}

/// What a write to a register means for the rest of the monitor.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    Nothing,
    /// The driver is ready: [`Mmio::wake`] is due.
    Activated,
}

impl Mmio {
    pub fn new(
        device: Box<dyn VirtioDevice>,
        memory: Memory,
        interrupt: Arc<Interrupt>,
    ) -> Result<Self, virtio_queue::Error> {
        let queues = Queues::new(memory, device.queue_sizes(), interrupt)?;
        Ok(Mmio {
            device,
            queues,
            status: 0,
            feature_page: 0,
            driver_page: 0,
            driver_features: 0,
            selected: 0,
            generation: 0,
            active: false,
            fresh: false,
        })
    }

    pub fn device(&mut self) -> &mut dyn VirtioDevice {
        &mut *self.device
    }

    fn features(&self) -> u64 {
        self.device.features() | VERSION_1 | RING_EVENT_IDX | RING_INDIRECT_DESC
    }

    pub fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if offset >= 0x100 {
            let start = (offset - 0x100) as usize;
            let config = self.device.config();
            for (index, byte) in data.iter_mut().enumerate() {
                *byte = config.get(start + index).copied().unwrap_or(0);
            }
            return;
        }
        if data.len() != 4 {
            return;
        }
        let queue = self.queues.queues.get(self.selected);
        let value = match offset {
            0x00 => MAGIC,
            0x04 => 2,
            0x08 => self.device.kind(),
            0x0c => VENDOR,
            0x10 if self.feature_page < 2 => (self.features() >> (32 * self.feature_page)) as u32,
            0x34 => queue.map_or(0, |queue| u32::from(queue.max_size())),
            0x44 => queue.map_or(0, |queue| u32::from(queue.ready())),
            0x60 => self.queues.interrupt.status.load(Ordering::SeqCst),
            0x70 => self.status,
            0xfc => self.generation,
            _ => 0,
        };
        data.copy_from_slice(&value.to_le_bytes());
    }

    /// Called by the guest's processors, so it does nothing but with the registers: what a device does is done by the
    /// monitor's own thread, which alone may reach the host.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Written {
        let Ok(bytes) = data.try_into() else { return Written::Nothing };
        let value = u32::from_le_bytes(bytes);
        match offset {
            0x14 => self.feature_page = value,
            0x20 if self.negotiating() && self.driver_page < 2 => {
                let shift = 32 * self.driver_page;
                let mask = u64::from(u32::MAX) << shift;
                self.driver_features = (self.driver_features & !mask) | (u64::from(value) << shift);
            }
            0x24 => self.driver_page = value,
            0x30 => self.selected = value as usize,
            // KVM takes those of queues that there are (ioeventfd)
            NOTIFY => {}
            0x64 => {
                self.queues.interrupt.status.fetch_and(!value, Ordering::SeqCst);
            }
            0x70 => return self.set_status(value),
            0x38 | 0x44 | 0x80..=0xa4 if self.configuring() => self.configure(offset, value),
            _ => {}
        }
        Written::Nothing
    }

    fn negotiating(&self) -> bool {
        self.status & (DRIVER | FEATURES_OK) == DRIVER
    }

    fn configuring(&self) -> bool {
        self.status & (FEATURES_OK | DRIVER_OK | FAILED) == FEATURES_OK
    }

    fn configure(&mut self, offset: u64, value: u32) {
        let Some(queue) = self.queues.queues.get_mut(self.selected) else { return };
        match offset {
            // a size or an address that breaks the rules is not taken over
            0x38 => queue.set_size(u16::try_from(value).unwrap_or(0)),
            0x44 => {
                let ready = value == 1;
                queue.set_ready(ready);
                if ready && !queue.is_valid(&self.queues.memory) {
                    queue.set_ready(false);
                }
            }
            0x80 => queue.set_desc_table_address(Some(value), None),
            0x84 => queue.set_desc_table_address(None, Some(value)),
            0x90 => queue.set_avail_ring_address(Some(value), None),
            0x94 => queue.set_avail_ring_address(None, Some(value)),
            0xa0 => queue.set_used_ring_address(Some(value), None),
            0xa4 => queue.set_used_ring_address(None, Some(value)),
            _ => {}
        }
    }

    fn set_status(&mut self, value: u32) -> Written {
        if value == 0 {
            self.reset();
            return Written::Nothing;
        }
        let added = value & !self.status;
        match added {
            // in this order and no other (virtio 1.2, 3.1.1)
            ACKNOWLEDGE if self.status == 0 => self.status |= ACKNOWLEDGE,
            DRIVER if self.status == ACKNOWLEDGE => self.status |= DRIVER,
            FEATURES_OK if self.status == ACKNOWLEDGE | DRIVER => {
                let features = self.driver_features;
                if features & !self.features() == 0 && features & VERSION_1 != 0 {
                    self.status |= FEATURES_OK;
                }
            }
            DRIVER_OK if self.status == ACKNOWLEDGE | DRIVER | FEATURES_OK => {
                self.status |= DRIVER_OK;
                self.begin();
                return Written::Activated;
            }
            added if added & FAILED != 0 => self.status |= FAILED,
            _ => {}
        }
        Written::Nothing
    }

    fn begin(&mut self) {
        let event_idx = self.driver_features & RING_EVENT_IDX != 0;
        for queue in &mut self.queues.queues {
            queue.set_event_idx(event_idx);
        }
        self.active = true;
        self.fresh = true;
    }

    fn ready(&mut self) -> bool {
        if self.active && self.fresh {
            self.fresh = false;
            self.device.activate(self.driver_features);
        }
        self.active
    }

    fn reset(&mut self) {
        self.device.reset();
        for queue in &mut self.queues.queues {
            queue.reset();
        }
        self.queues.interrupt.status.store(0, Ordering::SeqCst);
        self.status = 0;
        self.driver_features = 0;
        self.feature_page = 0;
        self.driver_page = 0;
        self.selected = 0;
        self.active = false;
        self.fresh = false;
    }

    /// The guest has put something into a queue. A bit of the result says of a queue that it is to be notified again, after
    /// the others had their turn; so it is with the two below.
    pub fn notified(&mut self, index: usize) -> u32 {
        if index >= self.queues.queues.len() {
            return 0;
        }
        self.turn(|device, queues| device.notified(queues, index))
    }

    /// The host has something for the guest.
    pub fn host_event(&mut self) -> u32 {
        self.turn(|device, queues| device.host_event(queues))
    }

    /// Every queue, as if the guest had just notified the device: when the driver is ready, and after a pause.
    pub fn wake(&mut self) -> u32 {
        let again = (0..self.queues.queues.len()).fold(0, |again, index| again | self.notified(index));
        again | self.host_event()
    }

    fn turn(&mut self, work: impl FnOnce(&mut dyn VirtioDevice, &mut Queues) -> Result<(), Broken>) -> u32 {
        if !self.ready() {
            return 0;
        }
        self.queues.begin_turn();
        match work(&mut *self.device, &mut self.queues) {
            Ok(()) => self.queues.unfinished(),
            Err(Broken) => {
                self.stop();
                0
            }
        }
    }

    /// The device has come to another configuration; the driver is told.
    pub fn config_changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.active {
            self.queues.interrupt.raise(CONFIG_CHANGED);
        }
    }

    /// The guest broke the rules: nothing more is done for it until its driver resets the device.
    fn stop(&mut self) {
        self.active = false;
        self.status |= NEEDS_RESET;
        self.queues.interrupt.raise(CONFIG_CHANGED);
    }

    pub fn queue_count(&self) -> usize {
        self.queues.queues.len()
    }
}
