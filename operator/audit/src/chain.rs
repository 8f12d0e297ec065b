//! A chain in the making.

use ed25519_dalek::SigningKey;
use jiff::Timestamp;

use crate::event::Event;
use crate::keys::Writer;
use crate::line::{Head, Line, NONE, NotCanonical, digest, hex, kid_of, write};

/// A chain: one process's lines, each of which names the one before. Clone it to be able to go back to before a line that
/// could not be kept.
#[derive(Clone, Debug)]
pub struct Chain {
    writer: Writer,
    id: String,
    kid: String,
    key: SigningKey,
    seq: u64,
    prev: String,
    time: Timestamp,
}

impl Chain {
    /// A new one, of a name that no other has.
    #[must_use]
    pub fn new(writer: Writer, key: SigningKey, random: [u8; 16]) -> Self {
        let (id, kid) = (hex(random.iter()), kid_of(&key));
        Self { writer, id, kid, key, seq: 0, prev: NONE.to_owned(), time: Timestamp::UNIX_EPOCH }
    }

    /// The next line, without a line end.
    ///
    /// # Errors
    /// If the event can't be written. Nothing was added then.
    pub fn append(&mut self, event: &Event, now: Timestamp) -> Result<String, NotCanonical> {
        let unsigned = Line::unsigned(&self.id, self.seq, self.prev.clone(), self.writer, self.kid.clone());
        // A clock that is set back does not go back within a chain: `--since` looks for lines by their time.
        let time = now.max(self.time);
        let text = write(Line { time, event: serde_json::to_value(event)?, ..unsigned }, &self.key)?;
        self.seq += 1;
        self.prev = digest(&text);
        self.time = time;
        Ok(text)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Number of the next line.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.seq
    }

    /// Its last line, once there is one.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        let seq = self.seq.checked_sub(1)?;
        Some(Head { chain: self.id.clone(), seq, digest: self.prev.clone(), time: self.time })
    }
}
