//! Which requests there are.
use crate::counters::COUNTERS;

#[derive(Debug, PartialEq)]
pub enum Action {
    Start,
    FlushCounters,
}

pub fn parse(method: &str, path: &str) -> Result<Action, String> {
    COUNTERS.requests.inc();
    match (method, path) {
        ("PUT", "start") => Ok(Action::Start),
        ("PUT", "counters") => Ok(Action::FlushCounters),
        _ => {
            COUNTERS.refusals.inc();
            Err(format!("no such request: {method} {path}"))
        }
    }
}
