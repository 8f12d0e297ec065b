//! Files, folders and standard input.

use std::io;
use std::path::{Path, PathBuf};

use super::place::{Fault, Place};

/// A text and where it is from.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its file.
    pub file: String,
    /// What is in it.
    pub text: String,
}

/// Reads all. `stdin` is asked for the text of `-`; what can't be read is a fault.
pub fn read(paths: &[PathBuf], mut stdin: impl FnMut() -> io::Result<String>) -> (Vec<Text>, Vec<Fault>) {
    let (mut texts, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        if path.as_os_str() == "-" {
            match stdin() {
                Ok(text) => texts.push(Text { file: "-".to_owned(), text }),
                Err(error) => faults.push(unreadable(path, &error)),
            }
        } else if path.is_dir() {
            folder(path, &mut texts, &mut faults);
        } else {
            file(path, &mut texts, &mut faults);
        }
    }
    (texts, faults)
}

fn folder(path: &Path, texts: &mut Vec<Text>, faults: &mut Vec<Fault>) {
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return faults.push(unreadable(path, &error)),
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        match entry.file_type() {
            // Folders are not looked for behind links: a link to a folder above would never end.
            Ok(kind) if kind.is_dir() => folder(&path, texts, faults),
            Ok(_) if is_manifest(&path) && path.is_file() => file(&path, texts, faults),
            Ok(_) => {}
            Err(error) => faults.push(unreadable(&path, &error)),
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|ext| matches!(ext, "yaml" | "yml" | "json"))
}

fn file(path: &Path, texts: &mut Vec<Text>, faults: &mut Vec<Fault>) {
    match std::fs::read_to_string(path) {
        Ok(text) => texts.push(Text { file: path.display().to_string(), text }),
        Err(error) => faults.push(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::at(Place::file(&path.display().to_string()), format!("cannot be read: {error}"))
}
