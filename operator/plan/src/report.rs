//! Reports of openreports.io/v1alpha1, the successor of wgpolicyk8s.io's PolicyReport: what `ccos check` prints and what the
//! controller keeps in the cluster.

use std::collections::BTreeMap;

use ccos_crds::{GROUP, VERSION};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// The API version of reports.
pub const API_VERSION: &str = "openreports.io/v1alpha1";

/// Who says it.
const SOURCE: &str = "ccos";

/// A report on a namespace, or on what belongs to none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    api_version: String,
    kind: String,
    /// Its name and namespace.
    pub metadata: ObjectMeta,
    #[serde(default)]
    source: String,
    /// What bounds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    /// How many there are of each outcome, those left out of the results too.
    #[serde(default)]
    pub summary: Summary,
    /// What was found.
    #[serde(default)]
    pub results: Vec<Finding>,
}

/// What bounds a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    max_results: usize,
}

/// How many findings there are of each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Nothing against it.
    pub pass: usize,
    /// Denied.
    pub fail: usize,
    /// Its author should know.
    pub warn: usize,
    /// It could not be decided.
    pub error: usize,
    /// Nothing to hold it against.
    pub skip: usize,
}

/// What was found of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Who says it.
    pub source: String,
    /// What it was held against, such as `SecurityContext "analysts"`.
    pub policy: String,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What kind of finding.
    pub category: String,
    /// How bad it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Moment>,
    /// What came of it.
    pub result: Outcome,
    /// Whether it counts against it.
    pub scored: bool,
    /// Of what it speaks.
    #[serde(default)]
    pub resources: Vec<Resource>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For programs.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// A moment, as protobuf writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    seconds: i64,
    nanos: i32,
}

/// What came of it, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Denied.
    Fail,
    /// It could not be decided.
    Error,
    /// Its author should know.
    Warn,
    /// Nothing against it.
    Pass,
    /// Nothing to hold it against.
    Skip,
}

/// The object that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Its group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID, where it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl Report {
    /// A report of all of these.
    #[must_use]
    pub fn new(name: &str, namespace: Option<String>, results: Vec<Finding>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: kind(namespace.as_deref()).to_owned(),
            metadata: ObjectMeta { name: Some(name.to_owned()), namespace, ..ObjectMeta::default() },
            source: SOURCE.to_owned(),
            configuration: None,
            summary: Summary::of(&results),
            results,
        }
    }

    /// Keeps so many results, the first. The summary still counts all.
    pub fn bound(&mut self, max_results: usize) {
        self.results.truncate(max_results);
        self.configuration = Some(Configuration { limits: Limits { max_results } });
    }

    /// Whether another says the same of the same, whatever the API server has written into its metadata.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        let Self { api_version: _, kind: _, metadata: _, source, configuration, summary, results } = self;
        *source == other.source
            && *configuration == other.configuration
            && *summary == other.summary
            && *results == other.results
    }
}

/// The kind of a report on a namespace, or on what belongs to none.
#[must_use]
pub const fn kind(namespace: Option<&str>) -> &'static str {
    if namespace.is_some() { "Report" } else { "ClusterReport" }
}

impl Summary {
    fn of(results: &[Finding]) -> Self {
        let count = |outcome| results.iter().filter(|finding| finding.result == outcome).count();
        Self {
            pass: count(Outcome::Pass),
            fail: count(Outcome::Fail),
            warn: count(Outcome::Warn),
            error: count(Outcome::Error),
            skip: count(Outcome::Skip),
        }
    }
}

impl Finding {
    /// What came of holding something against a policy.
    #[must_use]
    pub fn new(policy: &str, result: Outcome) -> Self {
        Self {
            source: SOURCE.to_owned(),
            policy: policy.to_owned(),
            rule: None,
            category: "confinement".to_owned(),
            severity: (result == Outcome::Fail).then(|| "high".to_owned()),
            timestamp: None,
            result,
            scored: !matches!(result, Outcome::Warn | Outcome::Skip),
            resources: Vec::new(),
            message: None,
            properties: BTreeMap::new(),
        }
    }

    /// With a property.
    #[must_use]
    pub fn of(mut self, property: &str, value: impl Into<String>) -> Self {
        self.properties.insert(property.to_owned(), value.into());
        self
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
    }
}

impl Outcome {
    /// As reports write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Pass => "pass",
            Self::Skip => "skip",
        }
    }
}

impl Resource {
    /// An object of ours.
    #[must_use]
    pub fn new(kind: &str, namespace: Option<String>, name: &str) -> Self {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        Self { api_version: format!("{GROUP}/{VERSION}"), kind, namespace, name, uid: None }
    }
}
