//! Lines of files, folders and standard input, one at a time: logs have any size.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use ccos_audit::Verifier;

use super::AuditError;

/// The longest line that is read as one, in bytes. The longest of a trail is a fraction of it.
const LINE_LIMIT: u64 = 1024 * 1024;

pub(super) fn read(
    paths: &[PathBuf],
    mut stdin: impl FnMut() -> Box<dyn Read>,
    verifier: &mut Verifier<'_>,
) -> Result<(), AuditError> {
    for path in paths {
        let name = path.display().to_string();
        let failed = |source| AuditError::Read { path: name.clone(), source };
        if path.as_os_str() == "-" {
            lines("-", stdin(), verifier).map_err(failed)?;
        } else if path.is_dir() {
            folder(path, verifier)?;
        } else {
            lines(&name, std::fs::File::open(path).map_err(failed)?, verifier).map_err(failed)?;
        }
    }
    Ok(())
}

fn folder(path: &Path, verifier: &mut Verifier<'_>) -> Result<(), AuditError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| AuditError::Read { path, source }
    };
    let entries = std::fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<PathBuf>>>());
    let mut files = entries.map_err(failed(path))?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl" || extension == "log"));
    files.sort();
    for file in files {
        let opened = std::fs::File::open(&file).map_err(failed(&file))?;
        lines(&file.display().to_string(), opened, verifier).map_err(failed(&file))?;
    }
    Ok(())
}

fn lines(name: &str, from: impl Read, verifier: &mut Verifier<'_>) -> io::Result<()> {
    verifier.file(name);
    let (mut reader, mut bytes) = (BufReader::new(from), Vec::new());
    loop {
        bytes.clear();
        if reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(());
        }
        // What is no UTF-8 was not written by us: the replacement does not fit the signature.
        let text = String::from_utf8_lossy(&bytes);
        verifier.line(text.strip_suffix('\n').unwrap_or(&text));
    }
}
