//! Where lines go: first to a volume, if there is one, then to standard output. So a line that a full disk refuses is on
//! neither.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ccos_audit::event::LISTED;
use ccos_audit::{Head, Line, Writer};

/// A file of a volume is followed by another one at this length, so that old ones can be taken to an archive.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;

/// How much of the end of a file is looked at for its last line. The longest line is a quarter of it.
const TAIL: u64 = 128 * 1024;

/// The end of the name of files of the trail.
const EXTENSION: &str = "jsonl";

/// Where lines go.
pub struct Sinks {
    /// A volume.
    pub volume: Option<Volume>,
    /// Standard output.
    pub out: Box<dyn Write + Send>,
}

/// What was not written, and why.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// Nothing was written at all.
    Volume(io::Error),
    /// Who knows what was written.
    Out(io::Error),
}

impl Sinks {
    /// Writes whole lines, of which the first has this number.
    pub(crate) fn write(&mut self, lines: &str, seq: u64) -> Result<(), Unwritten> {
        if let Some(volume) = &mut self.volume {
            volume.append(lines.as_bytes(), seq).map_err(Unwritten::Volume)?;
        }
        self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush()).map_err(Unwritten::Out)
    }
}

/// Files of one chain in a folder: `webhook-CHAIN-SEQ.jsonl`, each named by its first line's number.
#[derive(Debug)]
pub struct Volume {
    folder: PathBuf,
    name: String,
    file: Option<File>,
    /// Of the file, as far as it was acknowledged.
    length: u64,
    /// Something beyond `length` may be in the file.
    torn: bool,
    limit: u64,
}

impl Volume {
    /// Files of a chain in a folder, which has to be there.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn new(folder: &Path, writer: Writer, chain: &str) -> io::Result<Self> {
        if !std::fs::metadata(folder)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let name = format!("{writer}-{chain}");
        Ok(Self { folder: folder.to_owned(), name, file: None, length: 0, torn: false, limit: FILE_LIMIT })
    }

    /// The same, with files of another length.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// Appends all of it, on disk, or nothing.
    fn append(&mut self, bytes: &[u8], seq: u64) -> io::Result<()> {
        let appended = self.try_append(bytes, seq);
        if appended.is_err() && self.length == 0 && self.file.take().is_some() {
            // A process that can't begin tries again, each time with another chain: it must not fill the folder with names.
            std::fs::remove_file(self.path(seq))?;
            self.torn = false;
        }
        appended
    }

    fn path(&self, seq: u64) -> PathBuf {
        self.folder.join(format!("{}-{seq:012}.{EXTENSION}", self.name))
    }

    fn try_append(&mut self, bytes: &[u8], seq: u64) -> io::Result<()> {
        if let Some(file) = self.file.as_mut().filter(|_| self.torn) {
            file.set_len(self.length)?;
            self.torn = false;
        }
        if self.length >= self.limit {
            self.file = None;
            self.length = 0;
        }
        let path = self.path(seq);
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                // Appends, whatever else was done to the file: nobody's bytes are overwritten.
                let file = OpenOptions::new().append(true).create(true).open(&path)?;
                // The name has to last as the lines do.
                File::open(&self.folder)?.sync_all()?;
                self.length = file.metadata()?.len();
                none.insert(file)
            }
        };
        self.torn = true;
        file.write_all(bytes)?;
        file.sync_data()?;
        self.torn = false;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// How many files are looked at for the ends of chains, the newest.
const FILES: usize = 1000;

/// The last lines of the chains in a folder, the newest first, at most [`LISTED`]: those before them are known by lines
/// of these.
///
/// # Errors
/// If the folder, or a file in it, can't be read.
pub fn heads(folder: &Path) -> io::Result<Vec<Head>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == EXTENSION) {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    files.sort_by(|one, other| other.cmp(one));
    let mut heads: BTreeMap<String, Head> = BTreeMap::new();
    for (_, path) in files.into_iter().take(FILES) {
        let Some(head) = last_line(&path)? else { continue };
        let newest = heads.entry(head.chain.clone()).or_insert_with(|| head.clone());
        if newest.seq < head.seq {
            *newest = head;
        }
    }
    let mut heads: Vec<Head> = heads.into_values().collect();
    heads.sort_by(|one, other| other.time.cmp(&one.time).then_with(|| one.chain.cmp(&other.chain)));
    heads.truncate(LISTED);
    Ok(heads)
}

/// The last whole line of a file. What can't be read as one is left to `ccos audit verify`.
fn last_line(path: &Path) -> io::Result<Option<Head>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    // Behind the last line end is what another process is just writing.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').and_then(|end| bytes.get(..end)).unwrap_or_default();
    let start = whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let text = whole.get(start..).and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    Ok(serde_json::from_str::<Line>(text).ok().map(|line| Head::of(&line, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full in the middle of a line.
    #[test]
    fn what_was_written_in_part_is_taken_back() {
        let folder = std::env::temp_dir().join(format!("ccos-trail-part-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut volume = Volume::new(&folder, Writer::Webhook, "c").unwrap();
        volume.append(b"one\n", 0).unwrap();
        // As after a write that failed.
        volume.file.as_mut().unwrap().write_all(b"half a li").unwrap();
        volume.torn = true;
        volume.append(b"two\n", 1).unwrap();
        assert_eq!(std::fs::read_to_string(volume.path(0)).unwrap(), "one\ntwo\n");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
