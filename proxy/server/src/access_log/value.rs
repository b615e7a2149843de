//! One value of a line, as JSON and as text. Nothing in it can end the line or turn it around.

use std::{borrow::Cow, fmt::Write as _, net::SocketAddr, time::Duration};

use sluice_host::{Exchange, is_obeyed};

/// Most bytes of one text.
const LONGEST: usize = 8 << 10;

/// One value.
pub(super) enum Value<'a> {
    Absent,
    Text(Cow<'a, str>),
    Number(u64),
    Flag(bool),
    Micros(Duration),
    /// Since 1970.
    Time(Duration),
    Address(SocketAddr),
    /// How the filters of a chain fared.
    Chain(&'a Exchange),
    /// What filters set with `proxy_set_property`.
    Properties(&'a Exchange),
}

impl<'a> Value<'a> {
    /// Bytes that are no text become U+FFFD.
    pub(super) fn bytes(bytes: &'a [u8]) -> Self {
        Self::Text(String::from_utf8_lossy(bytes))
    }

    pub(super) fn display(value: impl ToString) -> Self {
        Self::Text(value.to_string().into())
    }

    /// Whether there is anything to write.
    pub(super) fn is_absent(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Properties(exchange) => exchange.set_properties().next().is_none(),
            _ => false,
        }
    }

    pub(super) fn json(&self, out: &mut String) {
        match self {
            Self::Absent => out.push_str("null"),
            Self::Text(text) => quoted(out, text),
            Self::Chain(exchange) => list(out, ["[", "]"], exchange.ran(), |out, ran| {
                out.push_str("{\"filter\":");
                quoted(out, ran.filter);
                add(out, format_args!(",\"digest\":\"{}\",\"us\":", ran.digest.short()));
                micros(out, ran.used);
                add(out, format_args!(",\"outcome\":\"{}\"}}", ran.outcome.name()));
            }),
            Self::Properties(exchange) => list(out, ["{", "}"], exchange.set_properties(), |out, (path, value)| {
                quoted(out, &path_of(path));
                out.push(':');
                quoted(out, &String::from_utf8_lossy(value));
            }),
            Self::Number(_) | Self::Flag(_) | Self::Micros(_) => self.text(out),
            Self::Time(_) | Self::Address(_) => {
                out.push('"');
                self.text(out);
                out.push('"');
            }
        }
    }

    /// Quotes and backslashes are escaped too, so that a value in quotes ends where it ends.
    pub(super) fn text(&self, out: &mut String) {
        match self {
            _ if self.is_absent() => out.push('-'),
            Self::Absent => {}
            Self::Text(text) if text.is_empty() => out.push('-'),
            Self::Text(text) => plain(out, text),
            Self::Number(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Self::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Micros(time) => micros(out, *time),
            Self::Time(time) => {
                let time = std::time::UNIX_EPOCH + *time;
                add(out, format_args!("{}", humantime::format_rfc3339_millis(time)));
            }
            Self::Address(address) => socket(out, *address),
            Self::Chain(exchange) if exchange.chain().is_empty() => out.push('-'),
            Self::Chain(exchange) => list(out, ["", ""], exchange.ran(), |out, ran| {
                plain(out, ran.filter);
                add(out, format_args!("@{}:", ran.digest.short()));
                micros(out, ran.used);
                add(out, format_args!("us:{}", ran.outcome.name()));
            }),
            Self::Properties(exchange) => list(out, ["", ""], exchange.set_properties(), |out, (path, value)| {
                plain(out, &path_of(path));
                out.push('=');
                plain(out, &String::from_utf8_lossy(value));
            }),
        }
    }
}

/// Parts of a property's path, with dots between them.
pub(super) fn path_of(path: &[u8]) -> String {
    String::from_utf8_lossy(path).replace('\0', ".")
}

fn list<T>(
    out: &mut String,
    [open, close]: [&str; 2],
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push_str(open);
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push_str(close);
}

/// Tenths of a microsecond.
fn micros(out: &mut String, time: Duration) {
    let tenths = time.as_secs().saturating_mul(10_000_000).saturating_add(u64::from(time.subsec_nanos() / 100));
    out.push_str(itoa::Buffer::new().format(tenths / 10));
    out.push('.');
    out.push_str(itoa::Buffer::new().format(tenths % 10));
}

/// As it is displayed.
fn socket(out: &mut String, address: SocketAddr) {
    let SocketAddr::V4(address) = address else { return add(out, format_args!("{address}")) };
    for (at, octet) in address.ip().octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        out.push_str(itoa::Buffer::new().format(octet));
    }
    out.push(':');
    out.push_str(itoa::Buffer::new().format(address.port()));
}

/// Writing to a string cannot fail.
fn add(out: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(what);
}

/// The beginning of a text that is too long.
pub(super) fn short(text: &str) -> (&str, bool) {
    let kept = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text);
    (kept, kept.len() < text.len())
}

/// There is nothing to escape in it.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

fn quoted(out: &mut String, text: &str) {
    let (text, cut) = short(text);
    if is_plain(text) && !cut {
        return out.extend(["\"", text, "\""]);
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_obeyed(c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| add(out, format_args!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out.push_str(if cut { "…\"" } else { "\"" });
}

fn plain(out: &mut String, text: &str) {
    let (text, cut) = short(text);
    if is_plain(text) && !cut {
        return out.push_str(text);
    }
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if is_obeyed(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push_str(if cut { "…" } else { "" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_line_or_its_quotes() {
        let hostile = "a\"b\\c\n\r\u{1b}[31m\u{2028}\u{202e}\u{85}\u{e0041}é";
        let (mut json, mut text) = (String::new(), String::new());
        Value::Text(hostile.into()).json(&mut json);
        Value::Text(hostile.into()).text(&mut text);
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), hostile, "nothing is lost");
        for written in [&json[1..json.len() - 1], &text] {
            assert!(!written.contains(is_obeyed), "{written:?}");
            assert!(!written.replace("\\\\", "").replace("\\\"", "").contains('"'), "{written:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut out = String::new();
        Value::Text("é".repeat(LONGEST).into()).text(&mut out);
        assert_eq!(out.len(), LONGEST + "…".len());
    }

    #[test]
    fn microseconds_have_one_place() {
        let mut out = String::new();
        Value::Micros(Duration::from_nanos(12_345)).json(&mut out);
        assert_eq!(out, "12.3");
    }

    #[test]
    fn values_are_written_as_they_are_displayed() {
        let written = |value: Value<'_>| {
            let mut out = String::new();
            value.text(&mut out);
            out
        };
        for address in ["0.0.0.0:0", "127.0.0.1:8080", "255.10.0.9:65535", "[::1]:443", "[fe80::1%3]:1"] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(written(Value::Address(address)), address.to_string());
        }
        assert_eq!(written(Value::Number(u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(Value::Flag(true)) + &written(Value::Flag(false)), "truefalse");
        assert_eq!(written(Value::Micros(Duration::from_secs(3600))), "3600000000.0");
        assert_eq!(written(Value::Micros(Duration::MAX)), format!("{}.{}", u64::MAX / 10, u64::MAX % 10));
    }
}
