//! The tables of the MultiProcessor Specification 1.4 (Intel, 1997): how many processors there are, and which line of the
//! IOAPIC is which interrupt. Without ACPI Linux looks for them in the last KiB below 640 KiB.

use crate::devices::queue::Memory;

pub const ADDRESS: u64 = 0x9_fc00;
const IO_APIC: u32 = 0xfec0_0000;
const LOCAL_APIC: u32 = 0xfee0_0000;
const LINES: u8 = 24;
const APIC_VERSION: u8 = 0x14;

pub fn write_into(vcpus: u8) -> Vec<u8> {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for id in 0..vcpus {
        // enabled; the first one boots
        let flags = if id == 0 { 3 } else { 1 };
        let mut entry = vec![0, id, APIC_VERSION, flags];
        // family 6; it has a local APIC and an FPU
        entry.extend(0x600u32.to_le_bytes());
        entry.extend(0x201u32.to_le_bytes());
        entry.extend([0; 8]);
        entries.push(entry);
    }
    entries.push([&[1, 0], b"ISA   " as &[u8]].concat());
    entries.push([&[2, vcpus, APIC_VERSION, 1], &IO_APIC.to_le_bytes() as &[u8]].concat());
    for line in 0..LINES {
        // a vectored interrupt, as the ISA bus has it: edge, active high
        entries.push(vec![3, 0, 0, 0, 0, line, vcpus, line]);
    }
    // 8259 and NMI at the local APICs
    entries.push(vec![4, 3, 0, 0, 0, 0, 0, 0]);
    entries.push(vec![4, 1, 0, 0, 0, 0, 0xff, 1]);

    let body: Vec<u8> = entries.concat();
    let mut table = b"PCMP".to_vec();
    table.extend(((44 + body.len()) as u16).to_le_bytes());
    table.extend([4, 0]);
    table.extend(b"ANVIL   VMM         ");
    table.extend([0; 6]);
    table.extend((entries.len() as u16).to_le_bytes());
    table.extend(LOCAL_APIC.to_le_bytes());
    table.extend([0; 4]);
    table.extend(body);
    table[7] = checksum(&table);

    let mut pointer = b"_MP_".to_vec();
    pointer.extend((ADDRESS as u32 + 16).to_le_bytes());
    pointer.extend([1, 4, 0, 0, 0, 0, 0, 0]);
    pointer[10] = checksum(&pointer);
    [pointer, table].concat()
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

pub fn write(memory: &Memory, vcpus: u8) -> Result<(), String> {
    super::write(memory, ADDRESS, &write_into(vcpus))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_VCPUS;

    #[test]
    fn the_table_fits_and_sums_to_zero() {
        for vcpus in 1..=MAX_VCPUS {
            let bytes = write_into(vcpus);
            assert!(ADDRESS as usize + bytes.len() <= 0xa_0000);
            assert_eq!(checksum(&bytes[..16]), 0);
            assert_eq!(checksum(&bytes[16..]), 0);
            assert_eq!(u16::from_le_bytes([bytes[20], bytes[21]]) as usize, bytes.len() - 16);
        }
    }
}
