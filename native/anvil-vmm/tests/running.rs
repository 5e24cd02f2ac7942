//! Every row of the API's table that needs a machine: `cargo test --features kvm`, where /dev/kvm can be opened.

#![cfg(feature = "kvm")]

mod common;

use common::{files, follow, monitor, Folder};

#[test]
fn every_row_with_a_machine_holds() {
    let folder = Folder::new();
    files(&folder);
    let mut monitor = monitor(&folder);
    follow(&mut monitor, include_str!("data/api.txt"), &folder);
    follow(&mut monitor, include_str!("data/api-running.txt"), &folder);
}
