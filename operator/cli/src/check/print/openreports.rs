//! Reports of openreports.io/v1alpha1: one for each namespace, and a ClusterReport for what has none.

use std::collections::BTreeMap;

use ccos_plan::report::{Finding, Moment, Outcome, Report, Resource};
use jiff::Timestamp;

use crate::check::{Cause, Checked, Verdict};
use crate::input::{Fault, Place};

/// All reports.
pub(super) fn reports(checked: &Checked, now: Timestamp) -> Vec<Report> {
    let Checked { faults, warnings, verdicts } = checked;
    let mut results: BTreeMap<Option<String>, Vec<Finding>> = BTreeMap::new();
    let mut add = |place: &Place, mut finding: Finding| {
        let resource = resource(&place.object);
        let namespace = resource.as_ref().and_then(|resource| resource.namespace.clone());
        finding.resources.extend(resource);
        finding.timestamp = Some(Moment::from(now));
        results.entry(namespace).or_default().push(finding);
    };
    for (all, outcome) in [(faults, Outcome::Error), (warnings, Outcome::Warn)] {
        for Fault { place, field, message } in all {
            let finding = Finding { message: Some(message.clone()), ..finding("security.ccos.dev", outcome, place) };
            add(place, field.iter().fold(finding, |finding, field| finding.of("field", field)));
        }
    }
    // Nothing is decided of an input with faults.
    for verdict in verdicts.iter().filter(|_| faults.is_empty()) {
        let Verdict { subject: _, context, place, causes, rejection: _ } = verdict;
        if verdict.is_allowed() {
            add(place, finding(context, Outcome::Pass, place));
        }
        for Cause { field, reason, message, place, origin: _, required_by: _ } in causes {
            let finding = Finding {
                rule: Some((*reason).to_owned()),
                message: Some(format!("{field}: {message}")),
                ..finding(context, Outcome::Fail, place)
            };
            add(place, finding.of("field", field));
        }
    }
    results.into_iter().map(|(namespace, results)| Report::new("ccos-check", namespace, results)).collect()
}

fn finding(policy: &str, result: Outcome, place: &Place) -> Finding {
    let finding = Finding::new(policy, result).of("file", &place.file);
    place.line.iter().fold(finding, |finding, line| finding.of("line", line.to_string()))
}

/// From how places name objects: `Kind namespace/name`, or `Kind name`.
fn resource(object: &str) -> Option<Resource> {
    let (kind, name) = object.split_once(' ')?;
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, name),
    };
    Some(Resource::new(kind, namespace, name))
}
