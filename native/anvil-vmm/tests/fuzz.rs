//! The way of a request from bytes to an answer, with requests that were changed at random: it never panics, never waits,
//! answers in one of three forms, and does not depend on the pieces in which the bytes come.
//!
//! `ANVIL_FUZZ_CASES` has it try more than the usual number. What once failed stands in `tests/data/corpus`.

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
    seeds.push(format!("PUT /vm HTTP/1.1\r\nContent-Length: 128\r\n\r\n{}{}", "[".repeat(64), "]".repeat(64)).into_bytes());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/corpus");
    let mut kept: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    seeds.extend(kept.into_iter().map(|path| fs::read(path).unwrap()));
    seeds
}

const WORDS: &[&[u8]] = &[
    b"\r\n", b"\r\n\r\n", b"GET ", b"PUT ", b"PATCH ", b" HTTP/1.1", b"Content-Length: ", b"51200", b"51201", b"-1",
    b"18446744073709551616", b"Expect: 100-continue\r\n", b"Transfer-Encoding: chunked\r\n", b"{", b"}", b"[", b"]", b"\"",
    b"\\u0000", b"\\ud800", b"\\", b"null", b"true", b"1e999", b"0.0", b":", b",", b"/", b"//", b"\0", b"\xff", b"%00", b"drives/",
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
