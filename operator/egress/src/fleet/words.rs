//! What replicas say to each other: lines of JSON. The one that connected asks, the other one answers.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of a line: a token and what is around it.
const MAX_LINE: u64 = 8 * 1024;

/// From the one that connected.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Ask {
    /// First of all: who it is, by the token of its pod.
    Hello {
        /// With an audience of its own.
        token: String,
    },
    /// Is it a member still?
    Beat {
        /// Comes back.
        number: u64,
    },
    /// Open no more connections of this execution; how many are there?
    Claim {
        /// The UID of its pod.
        execution: String,
        /// Comes back.
        number: u64,
    },
}

/// From the other one.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Answer {
    /// After hello.
    Welcome {
        /// Of its process.
        incarnation: String,
    },
    /// It is a member, and this one serves, or does not.
    Beat {
        /// As it was asked.
        number: u64,
        /// Whether it takes new connections.
        serves: bool,
    },
    /// It will open no more.
    Given {
        /// The UID of its pod.
        execution: String,
        /// As it was asked.
        number: u64,
        /// How many there are.
        open: u32,
    },
    /// There are fewer now of what was given.
    Left {
        /// The UID of its pod.
        execution: String,
        /// How many there are.
        open: u32,
    },
}

/// Hears lines. What came of one is kept when nobody waits for the rest any more.
#[derive(Debug)]
pub struct Ear<R> {
    from: R,
    line: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Ear<R> {
    /// Hears what is said there.
    pub const fn new(from: R) -> Self {
        Self { from, line: Vec::new() }
    }

    /// The next line, or `None` at the end.
    /// # Errors
    /// If it can't be read, is too long or not understood.
    pub async fn hear<T: for<'de> Deserialize<'de>>(&mut self) -> std::io::Result<Option<T>> {
        let room = MAX_LINE.saturating_sub(self.line.len() as u64);
        let read = (&mut self.from).take(room).read_until(b'\n', &mut self.line).await?;
        if self.line.last() != Some(&b'\n') {
            let ends = read == 0 && self.line.is_empty();
            return if ends { Ok(None) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
        }
        let told = serde_json::from_slice(&self.line)?;
        self.line.clear();
        Ok(Some(told))
    }
}

/// Says a line.
/// # Errors
/// If it can't be written.
pub async fn say(to: &mut (impl AsyncWrite + Unpin), what: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line).await
}
