//! Uses something of every crate, and says what came of it.
use event_manager::{EventManager, EventOps, Events, MutEventSubscriber, SubscriberOps};
use firecracker::{Instance, MainError, filter_bytes};
use vmm_sys_util::epoll::EventSet;

struct Once {
    event: vmm_sys_util::eventfd::EventFd,
    seen: bool,
}

impl MutEventSubscriber for Once {
    fn process(&mut self, _events: Events, _ops: &mut EventOps) {
        self.seen = self.event.read().is_ok();
    }
    fn init(&mut self, ops: &mut EventOps) {
        let _ = ops.add(Events::new(&self.event, EventSet::IN));
    }
}

fn events() -> Option<bool> {
    let event = utils::event().ok()?;
    event.write(1).ok()?;
    let once = std::sync::Arc::new(std::sync::Mutex::new(Once { event, seen: false }));
    let mut manager = EventManager::<std::sync::Arc<std::sync::Mutex<Once>>>::new().ok()?;
    manager.add_subscriber(once.clone());
    manager.run_with_timeout(1000).ok()?;
    let seen = once.lock().ok()?.seen;
    Some(seen)
}

fn main() -> Result<(), MainError> {
    if std::env::args().nth(1).as_deref() == Some("--version") {
        println!("Firecracker v{}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    let instance = Instance { id: "anonymous".into(), state: "Not started".into() };
    let mut results = vmm::exercise();
    results.push(("event-manager", events() == Some(true)));
    results.push(("serde_json", serde_json::to_string(&instance).is_ok_and(|text| text.contains("Not started"))));
    results.push(("micro_http", micro_http::request_line("PUT /logger") == Some(("PUT", "/logger"))));
    results.push(("the filter of system calls", filter_bytes() > 8));
    // SAFETY: has no arguments
    results.push(("libc", unsafe { libc::getpid() } > 0));
    let failed: Vec<&str> = results.iter().filter(|(_, holds)| !holds).map(|(name, _)| *name).collect();
    if !failed.is_empty() {
        return Err(MainError::Failed(failed.join(", ")));
    }
    println!("{} crates hold", results.len());
    Ok(())
}
