//! JSON (RFC 8259) as far as the API needs it: a value, its text, and the members of an object taken one by one.
//!
//! Stricter than the RFC where a request could mean two things: a name that occurs twice is refused. Numbers are kept as
//! their text, so that no precision is lost before a field says what it wants.

use std::fmt::{self, Write};

/// How deep arrays and objects may nest. No body of the API needs more than three levels.
const MAX_DEPTH: usize = 32;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    String(String),
    Array(Vec<Value>),
    /// In the order in which the members were written.
    Object(Vec<(String, Value)>),
}

/// Parses one value that fills the whole text. The error says what is wrong and at which byte.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("invalid UTF-8 at byte {}", error.valid_up_to()))?;
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.blanks();
    if parser.at < text.len() {
        return Err(parser.wrong("trailing characters"));
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn wrong(&self, what: &str) -> String {
        format!("{what} at byte {}", self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, expected: u8) -> Result<(), String> {
        if self.peek() != Some(expected) {
            return Err(self.wrong(&format!("expected `{}`", char::from(expected))));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("nested too deeply"));
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.wrong("expected a value")),
            None => Err(self.wrong("unexpected end")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, String> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        self.take(b'{')?;
        let mut members: Vec<(String, Value)> = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.blanks();
            let name = self.string()?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err(self.wrong(&format!("duplicate field `{name}`")));
            }
            self.blanks();
            self.take(b':')?;
            let value = self.value(depth + 1)?;
            members.push((name, value));
            self.blanks();
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.take(b'}')?;
            return Ok(Value::Object(members));
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        self.take(b'[')?;
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.take(b']')?;
            return Ok(Value::Array(items));
        }
    }

    fn digits(&mut self) -> Result<(), String> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.wrong("expected a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(self.text[start..self.at].to_string()))
    }

    fn string(&mut self) -> Result<String, String> {
        self.take(b'"')?;
        let mut out = String::new();
        loop {
            let start = self.at;
            while matches!(self.peek(), Some(byte) if byte != b'"' && byte != b'\\' && byte >= 0x20) {
                self.at += 1;
            }
            // the stops are ASCII, so both ends are boundaries of characters
            out.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(_) => return Err(self.wrong("control character in a string")),
                None => return Err(self.wrong("unexpected end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let letter = self.peek().ok_or_else(|| self.wrong("unexpected end"))?;
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex()?;
                let code = match high {
                    0xd800..=0xdbff => {
                        self.take(b'\\')?;
                        self.take(b'u')?;
                        let low = self.hex()?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err(self.wrong("lone surrogate"));
                        }
                        0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                    }
                    code => code,
                };
                char::from_u32(code).ok_or_else(|| self.wrong("lone surrogate"))?
            }
            _ => return Err(self.wrong("invalid escape")),
        })
    }

    fn hex(&mut self) -> Result<u32, String> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or_else(|| self.wrong("unexpected end"))?;
        let mut code = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16).ok_or_else(|| self.wrong("invalid escape"))?;
            code = code * 16 + digit;
        }
        self.at += 4;
        Ok(code)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => out.write_str("null"),
            Value::Bool(value) => write!(out, "{value}"),
            Value::Number(text) => out.write_str(text),
            Value::String(text) => quote(out, text),
            Value::Array(items) => {
                out.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.write_char(',')?;
                    }
                    write!(out, "{item}")?;
                }
                out.write_char(']')
            }
            Value::Object(members) => {
                out.write_char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.write_char(',')?;
                    }
                    quote(out, name)?;
                    write!(out, ":{value}")?;
                }
                out.write_char('}')
            }
        }
    }
}

fn quote(out: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for letter in text.chars() {
        match letter {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            letter if u32::from(letter) < 0x20 => write!(out, "\\u{:04x}", u32::from(letter))?,
            letter => out.write_char(letter)?,
        }
    }
    out.write_char('"')
}

/// An object of the given members; those that are `Null` are left out.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(
        members
            .into_iter()
            .filter(|(_, value)| *value != Value::Null)
            .map(|(name, value)| (name.to_string(), value))
            .collect(),
    )
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_string())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Number(value.to_string())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// The members of an object, each taken once. What is left at the end is unknown to the API and refused.
#[derive(Debug)]
pub struct Fields(Vec<(String, Value)>);

impl Fields {
    pub fn of(value: Value) -> Result<Self, String> {
        match value {
            Value::Object(members) => Ok(Fields(members)),
            _ => Err("expected an object".to_string()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `null` is as good as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        match self.0.remove(index).1 {
            Value::Null => None,
            value => Some(value),
        }
    }

    pub fn string(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("invalid type: `{name}` is a string")),
        }
    }

    pub fn bool(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(format!("invalid type: `{name}` is true or false")),
        }
    }

    /// A whole number from 0 up to `max`.
    pub fn number(&mut self, name: &str, max: u64) -> Result<Option<u64>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(text)) => match text.parse::<u64>() {
                Ok(value) if value <= max => Ok(Some(value)),
                _ => Err(format!("invalid value: `{name}` is a whole number from 0 to {max}, not {text}")),
            },
            Some(_) => Err(format!("invalid type: `{name}` is a number")),
        }
    }

    /// The index of a word among those that are allowed.
    pub fn choice(&mut self, name: &str, allowed: &[&str]) -> Result<Option<usize>, String> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        match allowed.iter().position(|word| *word == text) {
            Some(index) => Ok(Some(index)),
            None => Err(format!("unknown variant `{text}`, expected `{}`", allowed.join("` or `"))),
        }
    }

    pub fn finish(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("unknown field `{name}`")),
        }
    }
}

/// What an absent member is called that must be there.
pub fn required<T>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("missing field `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = r#"{"a":[1,-2.5e+3,true,null,{"b":"\" \\ \u0001 ü 😀"}],"c":""}"#;
        let value = parse(text.as_bytes()).unwrap();
        assert_eq!(value.to_string(), text);
        assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
    }

    #[test]
    fn escapes_are_characters() {
        assert_eq!(parse(br#""\ud83d\ude00\u00fc\/""#).unwrap(), Value::String("😀ü/".into()));
    }

    #[test]
    fn what_is_not_json_is_refused_and_the_place_is_named() {
        for text in [
            "",
            "{",
            "{}}",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "01",
            "1.",
            "-",
            "\"",
            "\"\\x\"",
            "\"\n\"",
            "nul",
            "truee",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "{\"a\":1,\"a\":2}",
            "{1:2}",
            "\u{feff}{}",
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.contains("at byte"), "{text}: {error}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_has_a_limit() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(deep(51200).as_bytes()).is_err());
    }

    #[test]
    fn fields_say_what_is_missing_wrong_or_unknown() {
        let fields = |text: &str| Fields::of(parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(fields(r#"{"a":"x"}"#).string("a"), Ok(Some("x".to_string())));
        assert_eq!(fields(r#"{"a":null}"#).string("a"), Ok(None));
        assert!(fields(r#"{"a":1}"#).string("a").is_err());
        assert!(fields(r#"{"a":256}"#).number("a", 255).is_err());
        assert!(fields(r#"{"a":1.0}"#).number("a", 255).is_err());
        assert!(fields(r#"{"a":-1}"#).number("a", 255).is_err());
        assert_eq!(fields(r#"{"a":1}"#).finish(), Err("unknown field `a`".to_string()));
    }
}
