//! One record of OSV.

use semver::Version;
use serde::Deserialize;

use super::{By, Suspect};
use crate::image::{Digest, Image};

/// How much of a summary is told.
const SUMMARY: usize = 200;

/// A record, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) summary: String,
    affected: Vec<Affected>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Affected {
    package: Option<Package>,
    /// Empty: all of them.
    versions: Vec<Versions>,
    digests: Vec<Digest>,
    publishers: Vec<Publisher>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Package {
    /// A provider's name, in a namespace or in all.
    Provider { namespace: Option<String>, name: String },
    /// A registry and a name in it.
    Repository(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Versions {
    One(Version),
    Range(Vec<Event>),
}

/// Where a range begins or ends, in the order of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    /// `None`: the first version of all.
    Introduced(Option<Version>),
    Fixed(Version),
    LastAffected(Version),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publisher {
    issuer: Option<String>,
    identity: Option<String>,
}

/// A text of records that can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("is no OSV record, nor an array of them: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("{id}: {what}")]
    Meaning { id: String, what: String },
}

/// As OSV writes it. What is for people, such as `details` and `references`, may be anything.
#[derive(Deserialize)]
struct Wire {
    id: String,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    withdrawn: Option<String>,
    #[serde(default)]
    affected: Vec<WireAffected>,
}

#[derive(Deserialize)]
struct WireAffected {
    #[serde(default)]
    package: Option<WirePackage>,
    #[serde(default)]
    ranges: Vec<WireRange>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    database_specific: Specific,
}

#[derive(Deserialize)]
struct WirePackage {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct WireRange {
    #[serde(rename = "type")]
    kind: String,
    events: Vec<WireEvent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireEvent {
    Introduced(String),
    Fixed(String),
    LastAffected(String),
}

/// What OSV leaves to each database. Other databases' is nothing to us; a misspelt name of ours would match nothing.
#[derive(Default, Deserialize)]
struct Specific {
    #[serde(default)]
    ccos: Ours,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    #[serde(default)]
    digests: Vec<String>,
    #[serde(default)]
    publishers: Vec<Publisher>,
}

pub(super) fn read(text: &str) -> Result<Vec<Record>, RecordError> {
    // Not by trying both: the error would be that of neither.
    let records: Vec<Wire> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text)?
    } else {
        vec![serde_json::from_str(text)?]
    };
    records.into_iter().filter(|record| record.withdrawn.is_none()).map(Record::try_from).collect()
}

impl TryFrom<Wire> for Record {
    type Error = RecordError;

    fn try_from(wire: Wire) -> Result<Self, RecordError> {
        let Wire { id, summary, withdrawn: _, affected } = wire;
        let wrong = |what: String| RecordError::Meaning { id: id.clone(), what };
        if id.is_empty() || id.len() > 128 || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("id: expected such as MAL-2026-0001".to_owned()));
        }
        if affected.is_empty() {
            return Err(wrong("affected: expected at least one, else it matches nothing".to_owned()));
        }
        let affected = affected.into_iter().enumerate();
        let affected: Result<Vec<Affected>, RecordError> = affected
            .map(|(at, one)| Affected::try_from(one).map_err(|what| wrong(format!("affected[{at}]{what}"))))
            .collect();
        let summary = summary.unwrap_or_default().chars().take(SUMMARY).collect();
        Ok(Self { summary, affected: affected?, id })
    }
}

impl TryFrom<WireAffected> for Affected {
    type Error = String;

    fn try_from(wire: WireAffected) -> Result<Self, String> {
        let WireAffected {
            package,
            ranges,
            versions,
            database_specific: Specific { ccos: Ours { digests, publishers } },
        } = wire;
        let package = package.map(Package::try_from).transpose()?;
        if package.is_none() && (!ranges.is_empty() || !versions.is_empty()) {
            return Err(": versions without a package match nothing".to_owned());
        }
        if package.is_none() && digests.is_empty() && publishers.is_empty() {
            return Err(
                ": expected a package, or digests or publishers in database_specific.ccos, else it matches nothing"
                    .to_owned(),
            );
        }
        if publishers.iter().any(|publisher| publisher.issuer.is_none() && publisher.identity.is_none()) {
            return Err(".database_specific.ccos.publishers: expected an issuer or an identity".to_owned());
        }
        let one = |text: &String| version(text).map(Versions::One);
        let versions: Result<Vec<Versions>, String> =
            versions.iter().map(one).chain(ranges.into_iter().map(range)).collect();
        let digests = digests.iter().map(|text| {
            Digest::parse(text).map_err(|error| format!(".database_specific.ccos.digests {text:?}: {error}"))
        });
        Ok(Self { package, versions: versions?, digests: digests.collect::<Result<_, _>>()?, publishers })
    }
}

impl TryFrom<WirePackage> for Package {
    type Error = String;

    fn try_from(WirePackage { ecosystem, name }: WirePackage) -> Result<Self, String> {
        if name.is_empty() {
            return Err(".package.name: is empty".to_owned());
        }
        match ecosystem.as_str() {
            "ccos" => Ok(match name.split_once('/') {
                Some((namespace, name)) => {
                    Self::Provider { namespace: Some(namespace.to_owned()), name: name.to_owned() }
                }
                None => Self::Provider { namespace: None, name },
            }),
            // In the one spelling that images are compared in.
            "OCI" => match Image::parse(&name) {
                Ok(image) if image.is_name_only() => Ok(Self::Repository(image.repository())),
                Ok(_) => Err(format!(".package.name {name:?}: expected a registry and a name, without tag and digest")),
                Err(error) => Err(format!(".package.name {name:?}: {error}")),
            },
            other => Err(format!(
                ".package.ecosystem {other:?}: expected ccos, with a provider's name, or OCI, with an image's registry and name"
            )),
        }
    }
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|error| format!(": version {text:?}: {error}"))
}

fn range(wire: WireRange) -> Result<Versions, String> {
    let WireRange { kind, events } = wire;
    if kind != "SEMVER" {
        return Err(format!(".ranges.type {kind:?}: expected SEMVER, which versions of providers are"));
    }
    let mut events: Vec<Event> = events
        .into_iter()
        .map(|event| {
            Ok(match event {
                WireEvent::Introduced(text) if text == "0" => Event::Introduced(None),
                WireEvent::Introduced(text) => Event::Introduced(Some(version(&text)?)),
                WireEvent::Fixed(text) => Event::Fixed(version(&text)?),
                WireEvent::LastAffected(text) => Event::LastAffected(version(&text)?),
            })
        })
        .collect::<Result<_, String>>()?;
    if !events.iter().any(|event| matches!(event, Event::Introduced(_))) {
        return Err(".ranges.events: expected one that is introduced, such as 0".to_owned());
    }
    events.sort_by(|one, other| one.at().cmp(&other.at()));
    Ok(Versions::Range(events))
}

impl Event {
    fn at(&self) -> Option<&Version> {
        match self {
            Self::Introduced(at) => at.as_ref(),
            Self::Fixed(at) | Self::LastAffected(at) => Some(at),
        }
    }
}

impl Versions {
    /// By OSV's own rule: the last event that lies before a version decides.
    fn hold(&self, version: &Version) -> bool {
        match self {
            // Whatever is built of it: 1.0.0+again is no other version.
            Self::One(one) => one.cmp_precedence(version).is_eq(),
            Self::Range(events) => events.iter().fold(false, |inside, event| match event {
                Event::Introduced(None) => true,
                Event::Introduced(Some(from)) => inside || version.cmp_precedence(from).is_ge(),
                Event::Fixed(at) => inside && version.cmp_precedence(at).is_lt(),
                Event::LastAffected(at) => inside && version.cmp_precedence(at).is_le(),
            }),
        }
    }
}

impl Record {
    /// By what it speaks of a provider, if it does.
    pub(super) fn speaks_of(&self, suspect: &Suspect<'_>) -> Option<By> {
        self.affected.iter().find_map(|affected| affected.speaks_of(suspect))
    }
}

impl Affected {
    fn speaks_of(&self, suspect: &Suspect<'_>) -> Option<By> {
        if suspect.digest.is_some_and(|digest| self.digests.contains(digest)) {
            return Some(By::Digest);
        }
        if suspect.publisher.is_some_and(|publisher| self.publishers.iter().any(|one| one.is(publisher))) {
            return Some(By::Publisher);
        }
        let by = self.package.as_ref().and_then(|package| package.is(suspect))?;
        let held = |version: &Version| self.versions.iter().any(|versions| versions.hold(version));
        // A version that can't be read is not known to be another.
        (self.versions.is_empty() || suspect.version.is_none_or(held)).then_some(by)
    }
}

impl Package {
    fn is(&self, suspect: &Suspect<'_>) -> Option<By> {
        match self {
            Self::Provider { namespace, name } => {
                let here = namespace.as_ref().is_none_or(|namespace| suspect.namespace == Some(namespace));
                (here && name == suspect.name).then_some(By::Name)
            }
            Self::Repository(repository) => {
                let found = suspect.image.is_some_and(|image| image.repository() == *repository);
                found.then_some(By::Image)
            }
        }
    }
}

impl Publisher {
    fn is(&self, (issuer, identity): (&str, &str)) -> bool {
        self.issuer.as_ref().is_none_or(|one| one == issuer) && self.identity.as_ref().is_none_or(|one| one == identity)
    }
}
