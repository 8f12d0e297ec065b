//! How values look in messages: short, and unable to garble a terminal.

use std::fmt::{self, Write};

/// Entries of a list that a message names; the rest is counted.
const LISTED: usize = 8;

/// Characters of one value that a message shows: a pattern may have 1,024, and a message may name many.
const SHOWN: usize = 256;

/// The text without control characters and without those that reorder or hide what is around them: they come from
/// users' files and end up on administrators' terminals.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) { safe.extend(c.escape_unicode()) } else { safe.push(c) }
    }
    safe
}

/// Whether a character reorders or hides what is around it, or is itself not seen.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// One value: escaped and cut.
pub(crate) fn shown(value: impl fmt::Display) -> String {
    let text = value.to_string();
    let mut cut: String = text.chars().take(SHOWN).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    escaped(&cut)
}

/// A list, cut after [`LISTED`] entries; `nothing` if there is none.
pub(crate) fn listed<T: fmt::Display>(values: &[T]) -> String {
    if values.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = values.iter().take(LISTED).map(shown).collect::<Vec<_>>().join(", ");
    if let Some(more) = values.len().checked_sub(LISTED).filter(|&more| more > 0) {
        // Writing to a String can't fail.
        write!(text, " and {more} more").unwrap_or_default();
    }
    text
}
