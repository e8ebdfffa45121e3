//! Text of others, such as names in a file, for a terminal: what would steer it is written out.

use std::borrow::Cow;

/// Writes control characters, and those that turn the direction of text, as JSON escapes them (`\u001b`); lines and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |c| steers(c) && !matches!(c, '\n' | '\t'))
}

/// The same for what stands in one line, such as a name.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, steers)
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return Cow::Borrowed(text);
    }
    let write = |c: char| match hidden(c) {
        true => format!("\\u{:04x}", c as u32),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(write).collect())
}

#[cfg(test)]
mod tests {
    use super::{one_line, visible};

    #[test]
    fn a_terminal_sees_no_control_characters() {
        let text = "conv\u{1b}[2J\r\u{9b}1m\u{202e}\tµ\n";
        assert_eq!(visible(text), "conv\\u001b[2J\\u000d\\u009b1m\\u202e\tµ\n");
        assert_eq!(one_line("a\nb\tc"), "a\\u000ab\\u0009c");
        assert_eq!(visible("plain → text\n"), "plain → text\n");
    }

    #[test]
    fn json_stays_what_it_was() {
        let name = serde_json::Value::from("a\u{1b}\u{7f}\u{9b}\u{2066}b");
        let shown = serde_json::from_str::<serde_json::Value>(&visible(&name.to_string()));
        assert_eq!(shown.ok(), Some(name));
    }
}
