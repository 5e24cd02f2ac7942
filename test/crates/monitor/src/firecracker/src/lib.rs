//! The filter that was made while this was built.
use serde_derive::{Deserialize, Serialize};

static FILTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/filter.bin"));

#[derive(Debug, Serialize, Deserialize)]
pub struct Instance {
    pub id: String,
    pub state: String,
}

#[derive(Debug, displaydoc::Display, thiserror::Error)]
pub enum MainError {
    /// these do not hold: {0}
    Failed(String),
}

pub fn filter_bytes() -> usize {
    FILTER.len()
}
