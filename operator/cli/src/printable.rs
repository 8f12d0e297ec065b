//! Texts that others wrote, on a terminal and in the log of a CI job.

use ccos_policy::is_invisible;

/// The text without control characters but for line ends, without those that reorder or hide what is around them, and
/// without commands that runners of CI would obey. For texts of several lines, each of which begins with our words.
#[must_use]
pub fn printable(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The same of a text that is, or is part of, one line: an end of it would begin another, which says what it likes.
#[must_use]
pub fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    without_commands(safe)
}

/// GitHub's runner obeys lines that begin with `::`, whatever space is before it, and it and Azure's `##[` and `##vso[`
/// wherever they are.
fn without_commands(mut text: String) -> String {
    for command in ["##[", "##vso["] {
        if text.contains(command) {
            text = text.replace(command, &command.replacen('#', "\\u{23}", 1));
        }
    }
    if text.trim_start().starts_with("::") { text.replacen(':', "\\u{3a}", 1) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_or_moves_what_is_around_it() {
        for c in [
            '\u{1b}',
            '\r',
            '\u{ad}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{180e}',
            '\u{200b}',
            '\u{202e}',
            '\u{2066}',
            '\u{3164}',
            '\u{feff}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{e0000}',
            '\u{e0041}',
            '\u{e007f}',
        ] {
            let said = printable(&format!("a{c}b\nc"));
            assert_eq!(said, format!("a{}b\nc", c.escape_unicode()), "{c:?}");
        }
        assert_eq!(printable("Grüße, 世界 👋"), "Grüße, 世界 👋");
    }

    #[test]
    fn a_line_stays_one() {
        assert_eq!(line("x\nallowed  prod/payments"), "x\\u{a}allowed  prod/payments");
    }

    #[test]
    fn no_runner_of_ci_is_told_what_to_do() {
        for (given, said) in [
            ("::stop-commands::t", "\\u{3a}:stop-commands::t"),
            ("a\n  ::error::x\nb", "a\n  \\u{3a}:error::x\nb"),
            ("\u{3000}::error::x", "\u{3000}\\u{3a}:error::x"),
            ("x ##[add-mask]y", "x \\u{23}#[add-mask]y"),
            ("x ##vso[task.complete]", "x \\u{23}#vso[task.complete]"),
            ("a ::1/128", "a ::1/128"),
        ] {
            assert_eq!(printable(given), said);
        }
    }
}
