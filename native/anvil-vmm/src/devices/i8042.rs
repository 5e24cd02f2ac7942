//! As much of an i8042 keyboard controller as Linux needs to be asked to shut down by Ctrl-Alt-Del, and to reset the
//! machine: ports 0x60 and 0x64.

use std::collections::VecDeque;

use vmm_sys_util::eventfd::EventFd;

const OUTPUT_FULL: u8 = 0x01;
const SYSTEM_FLAG: u8 = 0x04;
const COMMAND_DATA: u8 = 0x08;
const UNLOCKED: u8 = 0x10;

const CONTROL_KEYBOARD_INTERRUPT: u8 = 0x01;
const CONTROL_SYSTEM_FLAG: u8 = 0x04;
/// No guest reads so slowly that more is waiting: what does not fit is dropped, as a keyboard does.
const BUFFERED: usize = 16;

pub struct I8042 {
    line: EventFd,
    /// The byte of the control register that commands 0x20 and 0x60 read and write.
    control: u8,
    output_port: u8,
    /// The command that the next byte to port 0x60 belongs to.
    pending: Option<u8>,
    status: u8,
    buffer: VecDeque<u8>,
    scanning: bool,
}

/// What the guest wants of the machine.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    Reset,
}

impl I8042 {
    pub fn new(line: EventFd) -> Self {
        I8042 {
            line,
            control: CONTROL_SYSTEM_FLAG,
            output_port: 0,
            pending: None,
            status: SYSTEM_FLAG | UNLOCKED,
            buffer: VecDeque::new(),
            scanning: true,
        }
    }

    pub fn read(&mut self, port: u16) -> u8 {
        if port == 0x64 {
            return self.status | if self.buffer.is_empty() { 0 } else { OUTPUT_FULL };
        }
        let byte = self.buffer.pop_front().unwrap_or(0);
        if !self.buffer.is_empty() {
            self.interrupt();
        }
        byte
    }

    pub fn write(&mut self, port: u16, value: u8) -> Wish {
        if port == 0x64 {
            self.status |= COMMAND_DATA;
            return self.command(value);
        }
        self.status &= !COMMAND_DATA;
        match self.pending.take() {
            Some(0x60) => self.control = value,
            Some(0xd1) => self.output_port = value,
            // written into the keyboard's output buffer, as if a key had been pressed
            Some(0xd2) => self.put(value),
            // nothing answers there: no mouse
            Some(_) => {}
            None => self.keyboard(value),
        }
        Wish::Nothing
    }

    fn command(&mut self, value: u8) -> Wish {
        self.pending = None;
        match value {
            0x20 => self.put(self.control),
            0x60 | 0xd1 | 0xd2 | 0xd3 | 0xd4 => self.pending = Some(value),
            // self-test passed; first port works
            0xaa => self.put(0x55),
            0xab => self.put(0x00),
            0xd0 => self.put(self.output_port),
            0xfe => return Wish::Reset,
            _ => {}
        }
        Wish::Nothing
    }

    fn keyboard(&mut self, value: u8) {
        match value {
            // identify: an AT keyboard
            0xf2 => {
                for byte in [0xfa, 0xab, 0x83] {
                    self.put(byte);
                }
            }
            0xff => {
                self.put(0xfa);
                self.put(0xaa);
            }
            0xf4 => {
                self.scanning = true;
                self.put(0xfa);
            }
            0xf5 => {
                self.scanning = false;
                self.put(0xfa);
            }
            _ => self.put(0xfa),
        }
    }

    fn put(&mut self, byte: u8) {
        if self.buffer.len() < BUFFERED {
            self.buffer.push_back(byte);
            self.interrupt();
        }
    }

    fn interrupt(&self) {
        if self.control & CONTROL_KEYBOARD_INTERRUPT != 0 {
            let _ = self.line.write(1);
        }
    }

    /// Presses and releases Ctrl, Alt and Del. False when the guest does not listen to a keyboard.
    pub fn ctrl_alt_del(&mut self) -> bool {
        if self.control & CONTROL_KEYBOARD_INTERRUPT == 0 || !self.scanning {
            return false;
        }
        // scan codes of set 2: Linux has its driver ask for that set when the controller does not translate
        for byte in [0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14] {
            self.put(byte);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller() -> I8042 {
        I8042::new(EventFd::new(libc::EFD_NONBLOCK).unwrap())
    }

    #[test]
    fn the_self_test_passes() {
        let mut keyboard = controller();
        keyboard.write(0x64, 0xaa);
        assert_eq!(keyboard.read(0x64) & OUTPUT_FULL, OUTPUT_FULL);
        assert_eq!(keyboard.read(0x60), 0x55);
        assert_eq!(keyboard.read(0x64) & OUTPUT_FULL, 0);
    }

    #[test]
    fn the_guest_resets_the_machine() {
        assert_eq!(controller().write(0x64, 0xfe), Wish::Reset);
    }

    #[test]
    fn keys_come_when_the_guest_listens() {
        let mut keyboard = controller();
        assert!(!keyboard.ctrl_alt_del());
        keyboard.write(0x64, 0x60);
        keyboard.write(0x60, CONTROL_KEYBOARD_INTERRUPT);
        assert!(keyboard.ctrl_alt_del());
        assert_eq!(keyboard.read(0x60), 0x14);
        // one interrupt when the keys went down, one for each that still waits
        assert!(keyboard.line.read().unwrap() > 1);
    }

    #[test]
    fn a_guest_that_never_reads_fills_no_memory() {
        let mut keyboard = controller();
        for _ in 0..1000 {
            keyboard.write(0x60, 0xff);
        }
        assert_eq!(keyboard.buffer.len(), BUFFERED);
    }
}
