//! A user of the API that is not ours: the Firecracker SDK for Rust, as it is published, boots a guest with a monitor that it
//! starts itself, and says what it sees. The arguments are monitor, socket, kernel, initrd and drive.

use firecracker_rs_sdk::firecracker::FirecrackerOption;
use firecracker_rs_sdk::models::{BootSource, Drive, MachineConfiguration};
use firecracker_rs_sdk::Result;

fn boot(monitor: &str, socket: &str, kernel: &str, initrd: &str, drive: &str) -> Result<()> {
    let mut machine = FirecrackerOption::new(monitor).api_sock(socket).id("judge").build()?;
    machine.start_vmm()?;
    println!("version: {:?}", machine.get_firecracker_version()?);
    machine.put_machine_configuration(&MachineConfiguration {
        cpu_template: None,
        smt: None,
        mem_size_mib: 128,
        track_dirty_pages: None,
        vcpu_count: 1,
        huge_pages: None,
    })?;
    machine.put_guest_boot_source(&BootSource {
        boot_args: Some("console=ttyS0 reboot=k panic=1 pci=off quiet".into()),
        initrd_path: Some(initrd.into()),
        kernel_image_path: kernel.into(),
    })?;
    machine.put_guest_drive_by_id(&Drive {
        drive_id: "root".into(),
        partuuid: None,
        is_root_device: true,
        cache_type: None,
        is_read_only: true,
        path_on_host: drive.into(),
        rate_limiter: None,
        io_engine: None,
        socket: None,
    })?;
    machine.start()?;
    println!("start: done");
    machine.pause()?;
    println!("paused: {:?}", machine.describe_instance()?);
    machine.resume()?;
    println!("resumed: {:?}", machine.describe_instance()?);
    machine.stop()?;
    println!("stop: done");
    Ok(())
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [monitor, socket, kernel, initrd, drive] = words.as_slice() else {
        eprintln!("usage: judge MONITOR SOCKET KERNEL INITRD DRIVE");
        std::process::exit(2)
    };
    if let Err(error) = boot(monitor, socket, kernel, initrd, drive) {
        println!("failed: {error:?}");
        std::process::exit(1)
    }
}
