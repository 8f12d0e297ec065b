//! Reports of openreports.io/v1alpha1, the successor of wgpolicyk8s.io's PolicyReport: one for each namespace, and a
//! ClusterReport for what has none.

use std::collections::BTreeMap;

use ccos_crds::{GROUP, VERSION};
use jiff::Timestamp;
use serde::Serialize;

use crate::check::{Cause, Checked, Verdict};
use crate::input::{Fault, Place};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    source: &'static str,
    summary: Summary,
    results: Vec<Finding>,
}

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

#[derive(Default, Serialize)]
struct Summary {
    pass: usize,
    fail: usize,
    warn: usize,
    error: usize,
    skip: usize,
}

#[derive(Serialize)]
struct Finding {
    source: &'static str,
    policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    category: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'static str>,
    timestamp: Moment,
    result: Outcome,
    scored: bool,
    resources: Vec<Resource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    properties: BTreeMap<&'static str, String>,
}

#[derive(Clone, Copy, Serialize)]
struct Moment {
    seconds: i64,
    nanos: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Pass,
    Fail,
    Warn,
    Error,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    api_version: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
}

/// All reports.
pub(super) fn reports(checked: &Checked, now: Timestamp) -> Vec<Report> {
    let Checked { faults, warnings, verdicts } = checked;
    let mut results: BTreeMap<Option<String>, Vec<Finding>> = BTreeMap::new();
    let mut add = |resource: Option<Resource>, mut finding: Finding| {
        let namespace = resource.as_ref().and_then(|resource| resource.namespace.clone());
        finding.resources.extend(resource);
        results.entry(namespace).or_default().push(finding);
    };
    let at = Moment { seconds: now.as_second(), nanos: now.subsec_nanosecond() };
    for (all, outcome) in [(faults, Outcome::Error), (warnings, Outcome::Warn)] {
        for Fault { place, field, message } in all {
            let finding =
                Finding { message: Some(message.clone()), ..finding("security.ccos.dev", at, outcome, place) };
            add(resource(&place.object), field.iter().fold(finding, |finding, field| finding.of("field", field)));
        }
    }
    // Nothing is decided of an input with faults.
    for verdict in verdicts.iter().filter(|_| faults.is_empty()) {
        let Verdict { subject: _, context, place, causes, rejection: _ } = verdict;
        if verdict.is_allowed() {
            add(resource(&place.object), finding(context, at, Outcome::Pass, place));
        }
        for Cause { field, reason, message, place, origin: _, required_by: _ } in causes {
            let finding = Finding {
                rule: Some(reason),
                message: Some(format!("{field}: {message}")),
                ..finding(context, at, Outcome::Fail, place)
            };
            add(resource(&place.object), finding.of("field", field));
        }
    }
    results.into_iter().map(|(namespace, results)| report(namespace, results)).collect()
}

fn report(namespace: Option<String>, results: Vec<Finding>) -> Report {
    let count = |outcome: Outcome| results.iter().filter(|finding| finding.result == outcome).count();
    Report {
        api_version: "openreports.io/v1alpha1",
        kind: if namespace.is_some() { "Report" } else { "ClusterReport" },
        metadata: Metadata { name: "ccos-check", namespace },
        source: "ccos",
        summary: Summary {
            pass: count(Outcome::Pass),
            fail: count(Outcome::Fail),
            warn: count(Outcome::Warn),
            error: count(Outcome::Error),
            skip: 0,
        },
        results,
    }
}

fn finding(policy: &str, timestamp: Moment, result: Outcome, place: &Place) -> Finding {
    let mut properties = BTreeMap::from([("file", place.file.clone())]);
    properties.extend(place.line.map(|line| ("line", line.to_string())));
    Finding {
        source: "ccos",
        policy: policy.to_owned(),
        rule: None,
        category: "confinement",
        severity: (result == Outcome::Fail).then_some("high"),
        timestamp,
        result,
        scored: result != Outcome::Warn,
        resources: Vec::new(),
        message: None,
        properties,
    }
}

impl Finding {
    fn of(mut self, property: &'static str, value: &str) -> Self {
        self.properties.insert(property, value.to_owned());
        self
    }
}

/// From how places name objects: `Kind namespace/name`, or `Kind name`.
fn resource(object: &str) -> Option<Resource> {
    let (kind, name) = object.split_once(' ')?;
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, name),
    };
    Some(Resource {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: kind.to_owned(),
        namespace,
        name: name.to_owned(),
    })
}
