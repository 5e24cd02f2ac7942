//! Answers requests that stand on its command line.
mod counters;
mod requests;

use requests::Action;

const FLAGS: &[&str] = &[
    "--id",
    "--log-path",
    "--level",
    "--version",
];

fn main() {
    for word in std::env::args().skip(1) {
        if word.starts_with("--") {
            if !FLAGS.contains(&word.as_str()) {
                eprintln!("no such flag: {word}");
                std::process::exit(2);
            }
            continue;
        }
        match requests::parse("PUT", &word) {
            Ok(Action::Start) => println!("started"),
            Ok(Action::FlushCounters) => {
                counters::COUNTERS.write();
            }
            Err(message) => {
                eprintln!("{message}");
                std::process::exit(1);
            }
        }
    }
}
