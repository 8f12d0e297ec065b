//! Patterns: matched in linear time, and weighed by what is linear in.
//!
//! What a byte of a text costs is the size of the compiled pattern, where an author wants it so: the automaton that looks
//! at each byte once is given up when it grows too large, and then all states are walked through for each byte.

use jsonschema::PatternOptions;
use serde_json::json;

/// What a compiled pattern may weigh, in bytes.
pub(super) const LIMIT: usize = 64 * 1024;

/// What the smallest weigh: a name of a few classes and repetitions.
const SMALLEST: usize = 1024;

/// Bytes of a compiled pattern that cost as much as a subschema: a state has 24 and more, and to walk through it is as
/// much work as two or three of them.
const BYTES_FOR_ONE: usize = 16;

/// How patterns are compiled: by an engine that is linear in the text, unlike the default one.
pub(super) fn options(limit: usize) -> PatternOptions<jsonschema::Regex> {
    PatternOptions::regex().size_limit(limit).dfa_size_limit(LIMIT)
}

/// What a pattern weighs, in subschemas. The engine tells no size, but refuses what exceeds one: they are tried by
/// doubling, so that the weight is at most twice too much.
///
/// # Errors
/// If it is none, or too large.
pub(super) fn weight(text: &str) -> Result<usize, String> {
    let schema = json!({"pattern": text});
    let mut size = SMALLEST;
    loop {
        let built = jsonschema::options().offline().with_pattern_options(options(size)).build(&schema);
        match built {
            Ok(_) => return Ok(size / BYTES_FOR_ONE),
            Err(_) if size >= LIMIT => {
                return Err(format!("{text:?} is no regular expression, or takes more than {LIMIT} bytes compiled"));
            }
            Err(_) => size *= 2,
        }
    }
}
