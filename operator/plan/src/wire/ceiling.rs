//! The cluster's ceiling, as Helm values have it: written like the parts of a context, and held to their schema, so that a
//! field that nobody knows is refused. A bound that was ignored would bound nothing.

use std::collections::BTreeMap;

use ccos_crds::security_context as wire;
use ccos_crds::{Limits, Permissions};
use ccos_policy::{Ceiling, Level};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::faults::{Faults, FieldErrors};
use super::permissions::{limits, required};
use super::unheld::Unhelds;
use crate::schema;

const KIND: &str = "SecurityContext";

/// Reads a ceiling.
///
/// # Errors
/// All fields that can't be understood.
pub fn ceiling(value: &Value) -> Result<Ceiling, FieldErrors> {
    let mut faults = Faults::default();
    let Value::Object(fields) = value else {
        faults.add("ceiling", "expected an object with levels, permissions, limits and isolation");
        return faults.none_or(Ceiling::default());
    };
    let mut ceiling = Ceiling::default();
    // In one order, whether or not something else that is linked makes maps keep theirs.
    for (name, value) in fields.iter().collect::<BTreeMap<_, _>>() {
        let at = format!("ceiling.{name}");
        match name.as_str() {
            "levels" => ceiling.levels = levels(&mut faults, &at, value),
            "permissions" => {
                let mut unheld = Unhelds::default();
                if let Some(given) = part::<Permissions>(&mut faults, name, value, &at) {
                    ceiling.permissions = required(&mut faults, &mut unheld, &at, &given);
                }
                for unheld in unheld.0 {
                    faults.add(unheld.field.to_string(), "is no part of a ceiling; remove it");
                }
            }
            "limits" => {
                let given = part::<Limits>(&mut faults, name, value, &at);
                ceiling.limits = limits(&mut faults, &at, given.as_ref());
            }
            "isolation" => {
                let rule = part::<wire::IsolationRule>(&mut faults, name, value, &at).unwrap_or_default();
                if rule.default.is_some() {
                    faults.add(format!("{at}.default"), "is no part of a ceiling; remove it");
                }
                ceiling.isolations = rule.allowed.map(|all| all.into_iter().map(super::execution::isolation).collect());
            }
            _ => faults.add(at, "unknown field: expected levels, permissions, limits or isolation"),
        }
    }
    faults.none_or(ceiling)
}

fn levels(faults: &mut Faults, at: &str, value: &Value) -> Option<Vec<Level>> {
    let levels: Option<Vec<wire::Level>> = read(faults, at, value);
    let levels: Vec<Level> = levels?.into_iter().map(super::context::level).collect();
    if levels.contains(&Level::Full) {
        faults.add(at, "Full always needs the verb `escalate`: no ceiling allows it; remove it");
    }
    Some(levels)
}

/// A part that a context has too.
fn part<T: DeserializeOwned>(faults: &mut Faults, name: &str, value: &Value, at: &str) -> Option<T> {
    let structure = schema::faults_of_part(KIND, name, value, at);
    if structure.is_empty() {
        return read(faults, at, value);
    }
    for error in structure {
        faults.add(error.field, error.message);
    }
    None
}

fn read<T: DeserializeOwned>(faults: &mut Faults, at: &str, value: &Value) -> Option<T> {
    T::deserialize(value).map_err(|error| faults.add(at, error.to_string())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_faults_are_told_each_with_its_field() {
        let faults = ceiling(&json!({
            "levels": ["Full"],
            "permissions": {"filesystem": {"reads": []}},
            "limits": {"memory": "much"},
            "isolation": {"allowed": ["GVisor"], "default": "GVisor"},
            "capacity": {},
        }))
        .unwrap_err();
        let lines: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 5, "{lines:#?}");
        for (line, start) in lines.iter().zip([
            "ceiling.capacity: unknown field",
            "ceiling.isolation.default: is no part",
            "ceiling.levels: Full always needs",
            "ceiling.limits.memory: \"much\"",
            "ceiling.permissions.filesystem.reads: unknown field",
        ]) {
            assert!(line.starts_with(start), "{line}");
        }
        let pattern = json!({"permissions": {"filesystem": {"blocked": ["/a/../b"]}}});
        assert_eq!(ceiling(&pattern).unwrap_err().0[0].field, "ceiling.permissions.filesystem.blocked[0]");
        assert_eq!(ceiling(&json!([])).unwrap_err().0[0].field, "ceiling");
    }

    #[test]
    fn an_absent_list_stays_absent_and_an_empty_one_empty() {
        let read = |value: Value| ceiling(&value).unwrap().permissions.read;
        assert_eq!(read(json!({"permissions": {"filesystem": {}}})), None);
        assert_eq!(read(json!({"permissions": {"filesystem": {"read": []}}})), Some(ccos_policy::List::default()));
    }
}
