//! How deep a text may go. Cedar's parser calls itself for each bracket and each `if`, and what it builds is dropped and
//! evaluated so, too: some 100 brackets use up the stack of a thread, which ends the process. So they are counted first.

use crate::fault::{Fault, place};

/// What parsing takes of the stack at most, in bytes: unoptimized, a bracket takes 40 KiB.
pub(crate) const STACK: usize = 8 << 20;

/// What evaluating takes of it at most, twice over.
pub(crate) const ROOM: usize = 1 << 20;

/// Open brackets and `if`s at one place. The deepest of our examples has 4.
const DEPTH: usize = 32;

/// `&&`, `||`, `+`, `-` and `*` in one policy: a chain of them is as deep as it is long. Sets are not: `["a", "b"].contains(x)`.
const OPERATORS: usize = 128;

/// Dots in one policy, for the same reason; they go less deep, and one name may have four.
const DOTS: usize = 1024;

/// Whether the text may be parsed.
///
/// # Errors
/// The place that is too deep.
pub(crate) fn bounded(text: &str) -> Result<(), Fault> {
    let (mut brackets, mut ifs, mut operators, mut dots) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut rest = text.char_indices().peekable();
    let mut word = String::new();
    while let Some((at, c)) = rest.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        ifs += usize::from(std::mem::take(&mut word) == "if");
        match c {
            '"' => {
                // To its end; a text without one is the parser's to refuse.
                while let Some((_, c)) = rest.next() {
                    match c {
                        '\\' => drop(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if rest.peek().is_some_and(|(_, next)| *next == '/') => {
                // As Cedar's lexer ends it: what hides from this count must hide from the parser, too.
                while rest.next().is_some_and(|(_, c)| !matches!(c, '\n' | '\r')) {}
            }
            '(' | '[' | '{' => brackets += 1,
            ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
            // The end of a policy; inside of brackets it can't be one, and the parser says so.
            ';' if brackets == 0 => (ifs, operators, dots) = (0, 0, 0),
            '.' => dots += 1,
            '+' | '-' | '*' => operators += 1,
            '&' | '|' if rest.next_if(|(_, next)| *next == c).is_some() => operators += 1,
            _ => {}
        }
        if brackets + ifs > DEPTH {
            let message = format!("more than {DEPTH} brackets and ifs in one another: write several policies");
            return Err(Fault::new(Some(place(text, at)), message));
        }
        if operators > OPERATORS || dots > DOTS {
            let message = format!(
                "more than {OPERATORS} operators or {DOTS} dots in one policy: write several, or [\"a\", \"b\"].contains(x)"
            );
            return Err(Fault::new(Some(place(text, at)), message));
        }
    }
    Ok(())
}
