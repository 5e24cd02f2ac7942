//! What the guest's processors say of themselves: what KVM supports, with the number of each processor in it.

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::Kvm;

use crate::config::MachineConfig;

const HYPERVISOR: u32 = 1 << 31;
const TSC_DEADLINE: u32 = 1 << 24;
const HYPER_THREADING: u32 = 1 << 28;

pub fn supported(kvm: &Kvm) -> Result<CpuId, String> {
    kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(|error| format!("Cannot read what the processor supports: {error}"))
}

/// `deadline`: whether the timer of the local APIC can count cycles
pub fn of_vcpu(supported: &CpuId, config: &MachineConfig, id: u8, deadline: bool) -> CpuId {
    let mut cpuid = supported.clone();
    let (count, id) = (u32::from(config.vcpus), u32::from(id));
    let threads: u32 = if config.smt && count > 1 { 2 } else { 1 };
    let shift = |items: u32| items.next_power_of_two().trailing_zeros();
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            1 => {
                entry.ebx = (entry.ebx & 0xffff) | (count << 16) | (id << 24);
                entry.ecx |= HYPERVISOR;
                entry.ecx = (entry.ecx & !TSC_DEADLINE) | if deadline { TSC_DEADLINE } else { 0 };
                if count > 1 {
                    entry.edx |= HYPER_THREADING;
                }
            }
            // no turbo and no energy bias: nothing of the host's power management is the guest's
            6 => {
                entry.eax &= !0x2;
                entry.ecx &= !0x8;
            }
            // no performance counters
            0xa => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
            0xb | 0x1f => {
                (entry.eax, entry.ebx, entry.ecx) = match entry.index {
                    0 => (shift(threads), threads, 1 << 8),
                    1 => (shift(count), count, 2 << 8 | 1),
                    index => (0, 0, index),
                };
                entry.edx = id;
            }
            0x8000_0008 => entry.ecx = (entry.ecx & !0xf0ff) | (count - 1),
            0x8000_001e => {
                entry.eax = id;
                entry.ebx = (id / threads) | ((threads - 1) << 8);
                entry.ecx = 0;
            }
            _ => {}
        }
    }
    cpuid
}
