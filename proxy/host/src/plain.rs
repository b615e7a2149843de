//! Text that is safe to show: characters that a terminal or a viewer obeys in place of showing them become escapes.

use std::borrow::Cow;

/// Whether a terminal or a viewer obeys a character in place of showing it: controls, line and paragraph separators, those
/// that turn the direction of the text around them, and those that have no width.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text of these bytes, on one line and with nothing in it that is obeyed; tabs stay.
pub(crate) fn escape(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    let escaped = |c: char| c != '\t' && is_obeyed(c);
    if !text.contains(escaped) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\r' | '\n' => out.extend(c.escape_default()),
            c if escaped(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(super::escape(b"plain \xc3\xa4\t."), "plain ä\t.");
        assert_eq!(super::escape(b"a\r\nINFO forged\x1b[31m"), "a\\r\\nINFO forged\\u{1b}[31m");
        assert_eq!(super::escape(b"\xff\x00"), "\u{fffd}\\u{0}");
        let tricks = "a\u{2028}b\u{202e}c\u{2066}d\u{85}e\u{feff}";
        assert_eq!(super::escape(tricks.as_bytes()), "a\\u{2028}b\\u{202e}c\\u{2066}d\\u{85}e\\u{feff}");
    }
}
