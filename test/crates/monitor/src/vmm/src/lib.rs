//! Something of every crate that the monitor depends on.
use std::io::{Read, Seek, Write};

use acpi_tables::Header;
use aes_gcm::KeyInit;
use base64::Engine;
use byteorder::{ByteOrder, LittleEndian};
use linux_loader::loader::{Elf, KernelLoader};
use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

bitflags::bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Flags: u32 {
        const ONE = 1;
        const TWO = 2;
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, derive_more::From, derive_more::Display)]
struct Count(u32);

#[derive(Debug, displaydoc::Display, thiserror::Error)]
enum Refusal {
    /// refused for {0}
    Reason(String),
}

struct Interrupt;

impl vm_superio::Trigger for Interrupt {
    type E = std::io::Error;
    fn trigger(&self) -> Result<(), Self::E> {
        Ok(())
    }
}

fn encrypted() -> Option<bool> {
    let key = [7; 32];
    let cipher = aes_gcm::Aes256Gcm::new(&key.into());
    let mut text = *b"token";
    let tag = aes_gcm::aead::AeadInPlace::encrypt_in_place_detached(&cipher, &[0; 12].into(), b"", &mut text).ok()?;

    let theirs = aws_lc_rs::aead::LessSafeKey::new(
        aws_lc_rs::aead::UnboundKey::new(&aws_lc_rs::aead::AES_256_GCM, &key).ok()?,
    );
    let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key([0; 12]);
    let mut same = *b"token";
    let other = theirs.seal_in_place_separate_tag(nonce, aws_lc_rs::aead::Aad::empty(), &mut same).ok()?;
    Some(text == same && tag.as_slice() == other.as_ref() && text != *b"token")
}

fn random() -> Option<bool> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes != [0; 32])
}

fn memory() -> Option<bool> {
    let guest = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 1 << 20)]).ok()?;
    let header = Header { signature: *b"DSDT", length: 8 };
    acpi_tables::write(&guest, GuestAddress(4096), &header).ok()?;
    let mut read = [0; 4];
    guest.read_slice(&mut read, GuestAddress(4096)).ok()?;
    let mut nothing = memfd::MemfdOptions::default().create("kernel").ok()?.into_file();
    nothing.set_len(512).ok()?;
    let refused = Elf::load(&guest, None, &mut nothing, None);
    Some(&read == b"DSDT" && refused.is_err())
}

fn anonymous_file() -> Option<bool> {
    let mut file = memfd::MemfdOptions::default().create("state").ok()?.into_file();
    file.write_all(b"snapshot").ok()?;
    file.rewind().ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    Some(crc64::crc64(0, text.as_bytes()) != 0)
}

fn encoded() -> Option<bool> {
    let bytes = bincode::serde::encode_to_vec(&Count(7), bincode::config::standard()).ok()?;
    let (count, _): (Count, usize) = bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).ok()?;
    let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
    Some(count == Count::from(7) && !text.is_empty() && count.to_string() == "7")
}

fn allocated() -> Option<bool> {
    let mut ids = vm_allocator::IdAllocator::new(5, 23).ok()?;
    let mut slab = slab::Slab::new();
    let at = slab.insert(ids.allocate_id().ok()?);
    Some(slab.get(at) == Some(&5))
}

fn serial() -> Option<bool> {
    let mut port = vm_superio::Serial::new(Interrupt, Vec::new());
    port.write(0, b'x').ok()?;
    Some(port.writer() == b"x")
}

/// The first two may be refused here; whoever is not has to get the right thing.
fn system() -> bool {
    let kvm = kvm_ioctls::Kvm::new().map(|kvm| kvm.get_api_version());
    let faults = userfaultfd::UffdBuilder::new().close_on_exec(true).non_blocking(true).create();
    let socket = vhost::vhost_user::Frontend::connect("/nowhere", 1);
    kvm.map_or(true, |version| version as u32 == kvm_bindings::KVM_API_VERSION)
        && faults.map_or(true, |faults| std::os::fd::AsRawFd::as_raw_fd(&faults) >= 0)
        && socket.is_err()
}

/// Each by its name, and whether it did what it is for.
pub fn exercise() -> Vec<(&'static str, bool)> {
    // the purge folds it away
    log::error!("The API server received a request");
    let mut word = [0; 4];
    LittleEndian::write_u32(&mut word, 0x0102_0304);
    let refusal = Refusal::Reason("a reason".into());
    let version = semver::Version::parse("1.14.0");
    vec![
        ("aws-lc-rs and aes-gcm", encrypted() == Some(true)),
        ("random numbers of aws-lc-rs", random() == Some(true)),
        ("vm-memory and linux-loader", memory() == Some(true)),
        ("memfd and crc64", anonymous_file() == Some(true)),
        ("bincode, base64 and derive_more", encoded() == Some(true)),
        ("vm-allocator and slab", allocated() == Some(true)),
        ("vm-superio", serial() == Some(true)),
        ("kvm-ioctls, userfaultfd and vhost", system()),
        ("bitflags", (Flags::ONE | Flags::TWO).bits() == 3),
        ("byteorder", word == [4, 3, 2, 1]),
        ("displaydoc and thiserror", refusal.to_string() == "refused for a reason"),
        ("semver", version.is_ok_and(|version| version.minor == 14)),
        ("uuid", uuid::Uuid::from_bytes([1; 16]).get_version_num() == 0),
        ("pci", pci::Address::new(0, 3).is_ok() && pci::page() == 4096),
        ("zerocopy", zerocopy::IntoBytes::as_bytes(&1_u64).len() == 8),
        ("serde_json", serde_json::to_string(&Count(1)).is_ok_and(|text| text == "1")),
        ("utils and vmm-sys-util", utils::event().is_ok_and(|event| event.write(1).is_ok())),
        ("event-manager", event_manager::EventManager::<std::sync::Arc<std::sync::Mutex<dyn event_manager::MutEventSubscriber>>>::new().is_ok()),
        ("micro_http", micro_http::request_line("GET /").is_some()),
        ("libc", unsafe { libc::getuid() } < u32::MAX),
    ]
}
