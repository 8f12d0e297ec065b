//! Providers that are known to be malicious, and versions that are denied: records in OSV's format
//! (<https://ossf.github.io/osv-schema/>), such as `MAL-2026-0001`.
//!
//! A list that can't be understood is a fault and never an empty list: its owner meant to deny something.

mod record;

use std::collections::BTreeMap;

use semver::Version;

use crate::image::{Digest, Image};
use record::Record;

/// All records of all lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watchlist {
    records: Vec<Record>,
    faults: Vec<String>,
}

/// A provider, as far as a list can speak of it.
#[derive(Clone, Debug)]
pub struct Suspect<'a> {
    /// Its namespace; `None`: of the cluster.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// Its version; `None` if it is none, which no range of versions leaves out.
    pub version: Option<&'a Version>,
    /// Where its image is.
    pub image: Option<&'a Image>,
    /// What runs, where that is known.
    pub digest: Option<&'a Digest>,
    /// Issuer and identity of who must have signed it, where it says so.
    pub publisher: Option<(&'a str, &'a str)>,
}

/// A record that speaks of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id, such as `MAL-2026-0001`.
    pub id: String,
    /// By what it was recognised.
    pub by: By,
    /// What the record says of it, in a line.
    pub summary: String,
}

/// What of a provider a list can speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its name, or its name and version.
    Name,
    /// Where its image is.
    Image,
    /// What runs.
    Digest,
    /// Who must have signed it.
    Publisher,
}

impl By {
    /// The field of the provider.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Name => "metadata.name",
            Self::Image | Self::Digest => "spec.source.image.reference",
            Self::Publisher => "spec.signature.cosign.keyless",
        }
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "its name",
            Self::Image => "its image",
            Self::Digest => "its digest",
            Self::Publisher => "its publisher",
        })
    }
}

impl std::fmt::Display for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, by, summary } = self;
        write!(f, "listed as {id} by {by}")?;
        if summary.is_empty() { Ok(()) } else { write!(f, ": {summary}") }
    }
}

impl Watchlist {
    /// Reads lists: each text by the name of its place, for faults. A text is a record, or a JSON array of records.
    #[must_use]
    pub fn read<'a>(lists: impl IntoIterator<Item = (String, &'a str)>) -> Self {
        let mut all = Self::default();
        for (place, text) in lists {
            match record::read(text) {
                Ok(records) => all.records.extend(records),
                Err(error) => all.faults.push(format!("{place}: {error}")),
            }
        }
        all
    }

    /// What could not be understood. While there is any, no provider can be said to be unlisted.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records that speak of a provider, each once.
    #[must_use]
    pub fn of(&self, suspect: &Suspect<'_>) -> Vec<Listed> {
        let mut found = BTreeMap::new();
        for record in &self.records {
            if let Some(by) = record.speaks_of(suspect) {
                found.entry(record.id.clone()).or_insert_with(|| Listed {
                    id: record.id.clone(),
                    by,
                    summary: record.summary.clone(),
                });
            }
        }
        found.into_values().collect()
    }
}
