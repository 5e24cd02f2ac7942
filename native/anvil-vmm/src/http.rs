//! HTTP/1.1 (RFC 9112) as far as the API needs it: requests with a Content-Length, several on a connection, one after
//! the other. No chunks, no trailers, no compression.

/// Bytes of a body, as in Firecracker's API.
pub const MAX_BODY: usize = 51_200;
/// Bytes of the request line and the header fields together.
pub const MAX_HEAD: usize = 8_192;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Put,
    Patch,
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
        }
    }
}

#[derive(Debug, PartialEq)]
pub struct Request {
    pub method: Method,
    /// The path, without query or fragment: none of the API has one, so with one it is unknown.
    pub path: String,
    pub body: Vec<u8>,
    /// The client wants no further request on this connection.
    pub close: bool,
}

#[derive(Debug, PartialEq)]
pub enum Parsed {
    /// More bytes are needed; `expects` asks for `100 Continue` before it sends the body.
    Incomplete { expects: bool },
    /// A request, and how many bytes of the buffer it was.
    Complete(Request, usize),
}

/// Reads the request at the beginning of a buffer. An error ends the connection: what follows cannot be told apart.
pub fn parse(buffer: &[u8]) -> Result<Parsed, String> {
    let Some(end) = find(buffer, b"\r\n\r\n") else {
        return match buffer.len() {
            0..=MAX_HEAD => Ok(Parsed::Incomplete { expects: false }),
            _ => Err(format!("the header of a request is longer than {MAX_HEAD} bytes.")),
        };
    };
    if end > MAX_HEAD {
        return Err(format!("the header of a request is longer than {MAX_HEAD} bytes."));
    }
    let head = std::str::from_utf8(&buffer[..end]).map_err(|_| "the header of a request is not UTF-8.".to_string())?;
    let mut lines = head.split("\r\n");
    let (method, path) = request_line(lines.next().unwrap_or_default())?;
    let mut length: Option<usize> = None;
    let mut expects = false;
    // as Firecracker does: clients that write HTTP/1.0 send their next request on the same connection
    let mut close = false;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| "a header field without a colon.".to_string())?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let bytes = content_length(value)?;
            if length.is_some_and(|known| known != bytes) {
                return Err("two different values of Content-Length.".to_string());
            }
            length = Some(bytes);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("Transfer-Encoding is not supported: send a Content-Length.".to_string());
        } else if name.eq_ignore_ascii_case("expect") {
            if !value.eq_ignore_ascii_case("100-continue") {
                return Err("an unknown expectation.".to_string());
            }
            expects = true;
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.eq_ignore_ascii_case("close");
        }
    }
    let start = end + 4;
    let length = length.unwrap_or(0);
    let Some(body) = buffer.get(start..start + length) else { return Ok(Parsed::Incomplete { expects }) };
    Ok(Parsed::Complete(Request { method, path, body: body.to_vec(), close }, start + length))
}

fn find(buffer: &[u8], what: &[u8]) -> Option<usize> {
    buffer.windows(what.len()).position(|window| window == what)
}

fn request_line(line: &str) -> Result<(Method, String), String> {
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("the first line is not a method, a path and a version.".to_string());
    };
    let method = match method {
        "GET" => Method::Get,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        _ => return Err(format!("Invalid request method and/or path: {} {}.", printable(method), printable(target))),
    };
    if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return Err("an unsupported version of HTTP.".to_string());
    }
    // the absolute form, which clients use that were made for proxies
    let path = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    if !path.starts_with('/') {
        return Err("the path does not begin with a slash.".to_string());
    }
    Ok((method, path.to_string()))
}

fn printable(text: &str) -> String {
    text.chars().take(64).filter(|letter| !letter.is_control()).collect()
}

fn content_length(value: &str) -> Result<usize, String> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("Content-Length is not a number.".to_string());
    }
    match value.parse::<usize>() {
        Ok(bytes) if bytes <= MAX_BODY => Ok(bytes),
        _ => {
            Err(format!("Request payload with size {value} is larger than the limit of {MAX_BODY} allowed by server."))
        }
    }
}

/// Status and body of an answer.
#[derive(Debug, PartialEq)]
pub struct Response {
    pub status: u16,
    pub body: Option<String>,
}

impl Response {
    pub fn no_content() -> Self {
        Response { status: 204, body: None }
    }

    pub fn ok(body: String) -> Self {
        Response { status: 200, body: Some(body) }
    }

    pub fn fault(message: &str) -> Self {
        Response::fault_with(400, message)
    }

    pub fn fault_with(status: u16, message: &str) -> Self {
        let body = crate::json::object([("fault_message", message.into())]);
        Response { status, body: Some(body.to_string()) }
    }

    pub fn bytes(&self, close: bool) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            204 => "No Content",
            503 => "Service Unavailable",
            _ => "Bad Request",
        };
        let connection = if close { "close" } else { "keep-alive" };
        let head = format!("HTTP/1.1 {} {reason}\r\nServer: anvil-vmm\r\nConnection: {connection}\r\n", self.status);
        match &self.body {
            None => format!("{head}\r\n").into_bytes(),
            Some(body) => {
                format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                    .into_bytes()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> (Request, usize) {
        match parse(text.as_bytes()) {
            Ok(Parsed::Complete(request, used)) => (request, used),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_and_the_next_one_left() {
        let text = "PUT /vm HTTP/1.1\r\nHost: localhost\r\ncontent-length: 2\r\n\r\n{}GET /";
        let (first, used) = request(text);
        assert_eq!(first, Request { method: Method::Put, path: "/vm".into(), body: b"{}".to_vec(), close: false });
        assert_eq!(&text[used..], "GET /");
    }

    #[test]
    fn every_beginning_of_a_request_is_incomplete() {
        let text = "PATCH http://localhost/vm HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}";
        for end in 0..text.len() {
            assert!(matches!(parse(&text.as_bytes()[..end]), Ok(Parsed::Incomplete { .. })), "{end}");
        }
        assert_eq!(request(text).0.path, "/vm");
    }

    #[test]
    fn a_client_may_ask_before_it_sends_the_body() {
        let text = "PUT /vm HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(parse(text.as_bytes()), Ok(Parsed::Incomplete { expects: true }));
    }

    #[test]
    fn connections_end_when_the_client_says_so() {
        assert!(request("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").0.close);
        assert!(request("GET / HTTP/1.0\r\nConnection: close\r\n\r\n").0.close);
        assert!(!request("GET / HTTP/1.0\r\n\r\n").0.close);
    }

    #[test]
    fn limits_hold_before_the_body_has_come() {
        let with = |length: &str| parse(format!("PUT /vm HTTP/1.1\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        assert_eq!(with("51200"), Ok(Parsed::Incomplete { expects: false }));
        assert_eq!(
            with("51201"),
            Err("Request payload with size 51201 is larger than the limit of 51200 allowed by server.".into())
        );
        assert!(with("99999999999999999999999999").is_err());
        assert!(with("-1").is_err());
        assert!(with("").is_err());
        assert!(parse(&[b'x'; MAX_HEAD + 1]).is_err());
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for text in [
            "\r\n\r\n",
            "GET\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "DELETE / HTTP/1.1\r\n\r\n",
            "get / HTTP/1.1\r\n\r\n",
            "GET x HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
            "GET / HTTP/1.1\r\nExpect: magic\r\n\r\n",
            "GET /\u{0} HTTP/9\r\n\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn answers_have_a_length_or_no_body() {
        assert_eq!(
            Response::no_content().bytes(false),
            b"HTTP/1.1 204 No Content\r\nServer: anvil-vmm\r\nConnection: keep-alive\r\n\r\n"
        );
        let fault = String::from_utf8(Response::fault("a \"b\"").bytes(true)).unwrap();
        assert!(fault.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(fault.ends_with("Content-Length: 27\r\n\r\n{\"fault_message\":\"a \\\"b\\\"\"}"));
    }
}
