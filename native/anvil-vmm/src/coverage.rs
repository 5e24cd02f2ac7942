//! Counters that the compiler has put at every branch (LLVM's SanitizerCoverage, inline-8bit-counters): for the fuzzer only.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

static START: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Called before main, once for each part of the program; the largest one is the program itself.
#[no_mangle]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    let length = end as usize - start as usize;
    if length > LENGTH.load(Ordering::Relaxed) {
        START.store(start, Ordering::Relaxed);
        LENGTH.store(length, Ordering::Relaxed);
    }
}

pub fn counters() -> &'static mut [u8] {
    // SAFETY: given by the compiler, valid for as long as the program; only one thread looks at them
    unsafe { std::slice::from_raw_parts_mut(START.load(Ordering::Relaxed), LENGTH.load(Ordering::Relaxed)) }
}
