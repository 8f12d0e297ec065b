//! Label selectors, as both sides write them.

use std::collections::BTreeMap;

use ccos_policy::Selectors;
use ccos_policy::pattern::selector::{Ask, SelectorError};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// Parses those of a source of connections in: absent namespaces are the execution's own, absent pods are all of them.
pub(super) fn read(
    namespaces: Option<&LabelSelector>,
    pods: Option<&LabelSelector>,
) -> Result<Selectors, SelectorError> {
    Selectors::new(namespaces.map(|selector| asks(Some(selector))).as_deref(), &asks(pods))
}

fn asks(selector: Option<&LabelSelector>) -> Vec<Ask> {
    let Some(LabelSelector { match_labels, match_expressions }) = selector else { return Vec::new() };
    let equal = match_labels.iter().flatten().map(|(key, value)| Ask {
        key: key.clone(),
        operator: "In".to_owned(),
        values: vec![value.clone()],
    });
    let others = match_expressions.iter().flatten().map(|LabelSelectorRequirement { key, operator, values }| Ask {
        key: key.clone(),
        operator: operator.clone(),
        values: values.clone().unwrap_or_default(),
    });
    equal.chain(others).collect()
}

/// Writes what is asked, without anything that the API server would leave out: what it gives back must be the same.
pub(crate) fn write(asks: &[Ask]) -> LabelSelector {
    let mut labels = BTreeMap::new();
    let mut expressions = Vec::new();
    for Ask { key, operator, values } in asks {
        match (operator.as_str(), values.as_slice()) {
            ("In", [value]) => {
                labels.insert(key.clone(), value.clone());
            }
            _ => expressions.push(LabelSelectorRequirement {
                key: key.clone(),
                operator: operator.clone(),
                values: (!values.is_empty()).then(|| values.clone()),
            }),
        }
    }
    LabelSelector {
        match_labels: (!labels.is_empty()).then_some(labels),
        match_expressions: (!expressions.is_empty()).then_some(expressions),
    }
}
