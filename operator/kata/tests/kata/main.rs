//! Upstream's templates, and what becomes of them when an administrator changes something.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers"
)]

mod findings;
mod merging;
mod templates;

use ccos_kata::{Kata, ReadError, Source, read};

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

/// A template's text, such as `rust/qemu-runtime-rs`.
fn template(name: &str) -> String {
    let path = format!("{}/tests/templates/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A template with drop-ins.
fn node(name: &str, drop_ins: &[(&str, &str)]) -> Kata {
    let drop_ins = drop_ins.iter().map(|(name, text)| source(name, text)).collect();
    read(source("configuration.toml", &template(name)), drop_ins).unwrap()
}

/// What is wrong with a text.
#[track_caller]
fn errors(text: &str) -> Vec<ReadError> {
    read(source("configuration.toml", text), Vec::new()).unwrap_err()
}
