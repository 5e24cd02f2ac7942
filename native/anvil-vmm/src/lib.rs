//! ANVIL-VMM: runs one Linux guest on KVM, driven by requests over a unix socket that are those of Firecracker's API.

pub mod api;
pub mod config;
#[cfg(feature = "coverage")]
pub mod coverage;
pub mod devices;
pub mod engine;
pub mod http;
pub mod jail;
pub mod json;
pub mod keeper;
pub mod link;
pub mod machine;
pub mod monitor;
pub mod reach;
pub mod seccomp;
pub mod server;
