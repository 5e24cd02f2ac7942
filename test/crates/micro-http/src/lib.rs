//! Stands in for the HTTP parser that the monitor takes from a repository of its own.

/// Method and path of a request line.
pub fn request_line(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.next()?))
}
