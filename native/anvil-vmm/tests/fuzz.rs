//! The way of a request from bytes to an answer, with requests that were changed at random: it never panics, never waits,
//! answers in one of three forms, and does not depend on the pieces in which the bytes come.
//!
//! `ANVIL_FUZZ_CASES` has it try more than the usual number. `tests/data/corpus` has what once failed, and what the search
//! below found of all that the code can do: `npm run fuzz:vmm` (`scripts/fuzz-vmm.mjs` has the flags of the compiler). It goes
//! on for `ANVIL_FUZZ_SECONDS`, ten minutes when absent, and puts what leads to new places into `ANVIL_FUZZ_CORPUS`, a folder,
//! when that is set, under the hash of its content.

mod common;

use std::fs;

use anvil_vmm::http::{parse, Parsed, Response, MAX_BODY, MAX_HEAD};
use anvil_vmm::{api, json};
use common::{files, monitor, Folder, Random};

const CASES: u64 = 100_000;

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = include_str!("data/api.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut parts = line.split(" |").map(str::trim);
            let (call, body) = (parts.next().unwrap(), parts.next().unwrap());
            format!("{call} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        })
        .collect();
    seeds.push(b"PUT http://localhost/vm HTTP/1.0\r\nExpect: 100-continue\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n".to_vec());
    seeds.push(
        format!("PUT /vm HTTP/1.1\r\nContent-Length: 128\r\n\r\n{}{}", "[".repeat(64), "]".repeat(64)).into_bytes(),
    );
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/corpus");
    let mut kept: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    seeds.extend(kept.into_iter().map(|path| fs::read(path).unwrap()));
    seeds
}

const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"GET ",
    b"PUT ",
    b"PATCH ",
    b" HTTP/1.1",
    b"Content-Length: ",
    b"51200",
    b"51201",
    b"-1",
    b"18446744073709551616",
    b"Expect: 100-continue\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"\\",
    b"null",
    b"true",
    b"1e999",
    b"0.0",
    b":",
    b",",
    b"/",
    b"//",
    b"\0",
    b"\xff",
    b"%00",
    b"drives/",
];

fn change(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 => {
                let end = at + random.below((bytes.len() - at) as u64 + 1) as usize;
                bytes.drain(at..end);
            }
            3 => {
                let end = at + random.below(((bytes.len() - at) as u64).min(64) + 1) as usize;
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let other = &seeds[random.below(seeds.len() as u64) as usize];
                let from = random.below(other.len() as u64 + 1) as usize;
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            _ => {
                let word = WORDS[random.below(WORDS.len() as u64) as usize];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
}

fn holds(bytes: &[u8], answer: &mut dyn FnMut(&anvil_vmm::http::Request) -> Response) -> Result<(), String> {
    let whole = parse(bytes);
    match &whole {
        Ok(Parsed::Complete(request, used)) => {
            if *used > bytes.len() || request.body.len() > MAX_BODY {
                return Err("more bytes than there are, or than there may be".into());
            }
            // the same request, whatever follows and however it comes
            if parse(&bytes[..*used]) != whole {
                return Err("what follows changes a request".into());
            }
            for end in [used / 2, used - 1] {
                if matches!(parse(&bytes[..end]), Ok(Parsed::Complete(..))) {
                    return Err("the beginning of a request is one".into());
                }
            }
            let Response { status, body } = answer(request);
            let text = body.unwrap_or_default();
            let value = if text.is_empty() { Ok(json::Value::Null) } else { json::parse(text.as_bytes()) };
            match (status, value) {
                (204, _) if text.is_empty() => {}
                (200, Ok(json::Value::Object(_))) => {}
                (400, Ok(json::Value::Object(members))) if members.len() == 1 && members[0].0 == "fault_message" => {}
                _ => return Err(format!("answered with {status}: {text}")),
            }
        }
        Ok(Parsed::Incomplete { .. }) if bytes.len() > MAX_HEAD + MAX_BODY + 4 => {
            return Err("waits for more than there may be".into());
        }
        _ => {}
    }
    if let Ok(value) = json::parse(bytes) {
        let text = value.to_string();
        if json::parse(text.as_bytes()) != Ok(value) {
            return Err("JSON is read otherwise than it is written".into());
        }
    }
    let _ = api::config_file(bytes);
    Ok(())
}

#[test]
fn no_request_breaks_the_monitor() {
    let folder = Folder::new();
    files(&folder);
    let mut monitor = monitor(&folder);
    let seeds = seeds();
    let cases = std::env::var("ANVIL_FUZZ_CASES").map_or(CASES, |text| text.parse().unwrap());
    let mut random = Random(0x5eed);
    for case in 0..cases {
        let mut bytes = seeds[random.below(seeds.len() as u64) as usize].clone();
        if case as usize >= seeds.len() {
            change(&mut random, &mut bytes, &seeds);
        }
        // what would start a machine or open devices of the host is only routed
        let mut answer = |request: &anvil_vmm::http::Request| match api::route(request) {
            Err(message) => Response::fault(&message),
            Ok(api::Action::Start | api::Action::SetNetwork(_) | api::Action::SetVsock(_)) => Response::no_content(),
            Ok(_) => monitor.answer(request),
        };
        if let Err(why) = holds(&bytes, &mut answer) {
            panic!("case {case}: {why}: {:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

#[cfg(feature = "coverage")]
#[test]
fn coverage_leads_to_no_request_that_breaks_the_monitor() {
    use std::collections::HashSet;
    use std::time::{Duration, Instant};

    use anvil_vmm::coverage;

    let folder = Folder::new();
    files(&folder);
    let mut monitor = monitor(&folder);
    let mut corpus = seeds();
    let known = corpus.len();
    let seconds = std::env::var("ANVIL_FUZZ_SECONDS").map_or(600, |text| text.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut random = Random(Instant::now().elapsed().as_nanos() as u64 ^ std::process::id() as u64 | 1);
    let mut seen: HashSet<(usize, u8)> = HashSet::new();
    let mut places: HashSet<usize> = HashSet::new();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let (mut cases, mut next) = (0u64, 0);
    assert!(coverage::counters().len() > 1000, "built without counters: see scripts/fuzz-vmm.mjs");
    while Instant::now() < end {
        // all that is known once, then changes of it, the newest ones more often
        let mut bytes = match next < corpus.len() {
            true => corpus[next].clone(),
            false => {
                let back = random.below(corpus.len() as u64) * random.below(corpus.len() as u64) / corpus.len() as u64;
                let mut bytes = corpus[corpus.len() - 1 - back as usize].clone();
                change(&mut random, &mut bytes, &corpus);
                bytes
            }
        };
        bytes.truncate(4096);
        coverage::counters().fill(0);
        let mut answer = |request: &anvil_vmm::http::Request| match api::route(request) {
            Err(message) => Response::fault(&message),
            Ok(api::Action::Start | api::Action::SetNetwork(_) | api::Action::SetVsock(_)) => Response::no_content(),
            Ok(_) => monitor.answer(request),
        };
        if let Err(why) = holds(&bytes, &mut answer) {
            panic!("{why}: {:?}", String::from_utf8_lossy(&bytes));
        }
        // how often, in powers of two
        let (mut new, mut unknown) = (false, false);
        for (place, count) in coverage::counters().iter().enumerate().filter(|(_, count)| **count > 0) {
            new |= seen.insert((place, 8 - count.leading_zeros() as u8));
            unknown |= places.insert(place);
        }
        if next < corpus.len() {
            next += 1;
        } else if new {
            // what only goes somewhere more often serves this search, and is not worth a file
            if unknown {
                kept.push(bytes.clone());
            }
            corpus.push(bytes);
            next = corpus.len();
        }
        cases += 1;
    }
    let found = corpus.len() - known;
    println!(
        "{cases} requests: {found} went some way more often, {} to new places; {} places are reached",
        kept.len(),
        places.len()
    );
    if let Ok(folder) = std::env::var("ANVIL_FUZZ_CORPUS") {
        for bytes in &kept {
            // FNV-1a: names that do not meet those of another run
            let name = bytes
                .iter()
                .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
            fs::write(std::path::Path::new(&folder).join(format!("found-{name:016x}")), bytes).unwrap();
        }
    }
}
