//! Which labels a selector means, and which selectors mean no more than others.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// One thing that a selector asks of labels. All have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask<'a> {
    /// The label has one of these values.
    In(&'a str, Vec<&'a str>),
    /// The label is absent, or has none of these values.
    NotIn(&'a str, Vec<&'a str>),
    /// There is such a label.
    Exists(&'a str),
    /// There is none.
    DoesNotExist(&'a str),
    /// A later Kubernetes' word. Nobody knows what it means.
    Unknown(&'a str, &'a str),
}

/// What a selector asks for. Nothing: it means everything.
pub(super) fn asks(selector: Option<&LabelSelector>) -> Vec<Ask<'_>> {
    let Some(LabelSelector { match_labels, match_expressions }) = selector else { return Vec::new() };
    let equal = match_labels.iter().flatten().map(|(key, value)| Ask::In(key, vec![value]));
    equal.chain(match_expressions.iter().flatten().map(ask)).collect()
}

fn ask(LabelSelectorRequirement { key, operator, values }: &LabelSelectorRequirement) -> Ask<'_> {
    let values = || values.iter().flatten().map(String::as_str).collect();
    match operator.as_str() {
        "In" => Ask::In(key, values()),
        "NotIn" => Ask::NotIn(key, values()),
        "Exists" => Ask::Exists(key),
        "DoesNotExist" => Ask::DoesNotExist(key),
        other => Ask::Unknown(key, other),
    }
}

/// Whether labels are meant. What nobody knows means them: fail closed.
pub(super) fn selects(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    let value = |key: &str| labels.get(key).map(String::as_str);
    asks(selector).into_iter().all(|ask| match ask {
        Ask::In(key, values) => value(key).is_some_and(|value| values.contains(&value)),
        Ask::NotIn(key, values) => value(key).is_none_or(|value| !values.contains(&value)),
        Ask::Exists(key) => value(key).is_some(),
        Ask::DoesNotExist(key) => value(key).is_none(),
        Ask::Unknown(..) => true,
    })
}

/// Whether all that `theirs` means is meant by `ours`: each thing that ours asks for follows from one that theirs does.
pub(super) fn narrower(theirs: Option<&LabelSelector>, ours: Option<&LabelSelector>) -> bool {
    let theirs = asks(theirs);
    asks(ours).iter().all(|ours| theirs.iter().any(|theirs| follows(theirs, ours)))
}

fn follows(theirs: &Ask<'_>, ours: &Ask<'_>) -> bool {
    match (theirs, ours) {
        (Ask::In(key, values), Ask::In(own, allowed)) => {
            key == own && values.iter().all(|value| allowed.contains(value))
        }
        (Ask::In(key, _) | Ask::Exists(key), Ask::Exists(own)) => key == own,
        (Ask::NotIn(..) | Ask::DoesNotExist(_), _) => theirs == ours,
        (Ask::In(..) | Ask::Exists(_) | Ask::Unknown(..), _) => false,
    }
}
