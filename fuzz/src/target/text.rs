//! Texts that are nearly right.

use fastrand::Rng;

/// What the grammars consist of, and what has surprised parsers elsewhere.
const PIECES: [&str; 54] = [
    "/",
    "/",
    "/",
    "/",
    "a",
    "b",
    "ab",
    "data",
    "*",
    "*",
    "?",
    "**",
    "/**",
    "/**/",
    ".",
    "..",
    "/../",
    "-",
    "_",
    "A",
    "1",
    "0",
    "É",
    "é",
    "e\u{301}",
    "ß",
    "\u{202e}",
    "\0",
    "\n",
    " ",
    "[",
    "]",
    "{",
    "}",
    "\\",
    ":",
    ":443",
    "@",
    "%2e",
    "*.",
    "example",
    ".com",
    "xn--",
    "127.0.0.1",
    "::",
    "::ffff:10.0.0.1",
    "/8",
    "/128",
    "/33",
    "010.",
    "0x7f",
    "１",
    "。",
    "😀",
];

/// A soup of pieces.
pub(super) fn soup(random: &mut Rng, most: usize) -> String {
    (0..random.usize(..=most)).map(|_| PIECES[random.usize(..PIECES.len())]).collect()
}

/// Any bytes, as far as they are text.
pub(super) fn noise(random: &mut Rng, most: usize) -> String {
    let bytes: Vec<u8> = (0..random.usize(..=most)).map(|_| random.u8(..)).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A path pattern, more often than not a valid one.
pub(super) fn path(random: &mut Rng, segments: usize) -> String {
    const SEGMENTS: [&str; 20] = [
        "a", "b", "ab", "data", "a", "b", "é", "😀x", ".a", "...", "*", "?", "*a", "a*b", "?é", "*a*", "a?", "**",
        "**", "x-*-y",
    ];
    let text: String =
        (0..=random.usize(..segments)).flat_map(|_| ["/", SEGMENTS[random.usize(..SEGMENTS.len())]]).collect();
    if random.u8(..50) == 0 { mutate(random, &text) } else { text }
}

/// A path without wildcards.
pub(super) fn literal(random: &mut Rng, segments: usize) -> String {
    const NAMES: [&str; 11] = ["a", "b", "ab", "data", "é", "😀x", ".a", "...", "xé", "aab", "x-a-y"];
    (0..=random.usize(..segments)).flat_map(|_| ["/", NAMES[random.usize(..NAMES.len())]]).collect()
}

/// The text with a few changes.
pub(super) fn mutate(random: &mut Rng, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..=chars.len());
        let end = (at + random.usize(..6)).min(chars.len());
        match random.u8(..6) {
            0 => chars.truncate(at),
            1 => drop(chars.drain(at..end)),
            2 => {
                let copied: Vec<char> = chars[at..end].to_vec();
                chars.splice(at..at, copied);
            }
            3 => {
                let piece: Vec<char> = PIECES[random.usize(..PIECES.len())].chars().collect();
                chars.splice(at..end, piece);
            }
            4 => {
                if let Some(c) = chars.get_mut(at) {
                    *c = char::from(random.u8(..128));
                }
            }
            _ => {
                let piece: Vec<char> = soup(random, 3).chars().collect();
                chars.splice(at..at, piece);
            }
        }
    }
    chars.into_iter().collect()
}
