//! Counters with names, and what writes them.
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter.
pub struct Counter(AtomicU64);

impl Counter {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters.
pub struct Counters {
    pub requests: Counter,
    pub refusals: Counter,
}

pub static COUNTERS: Counters = Counters {
    requests: Counter::new(),
    refusals: Counter::new(),
};

impl Counters {
    pub fn write(&self) -> bool {
        println!("synthetic_requests {}", self.requests.count());
        println!("synthetic_refusals {}", self.refusals.count());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let counter = Counter::new();
        counter.inc();
        assert_eq!(counter.count(), 1);
    }
}
