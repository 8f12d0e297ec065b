//! What others wrote, as it is shown to people.

/// The start of a text on one line, without anything that a terminal or a log would obey: so many characters of it.
pub(crate) fn escaped(text: &str, most: usize) -> String {
    text.escape_debug().take(most).collect()
}
