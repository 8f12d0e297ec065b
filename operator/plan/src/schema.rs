//! The structure of our kinds, as the API server holds objects to it: unknown and missing fields, types, choices and
//! sizes. From the same schema that it is given, so that there is no second list.
//!
//! CEL rules are left to it, and so are most patterns: what they say, [`crate::wire`] says too, and better. The webhook looks because
//! the kinds may be newer than it is: a restriction that it does not know must be refused, not ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ccos_crds::{
    CapabilityExecution, CapabilityProvider, ClusterCapabilityProvider, ClusterSecurityContext, ExecutionPolicy,
    SecurityContext,
};
use kube::CustomResourceExt as _;
use serde_json::{Map, Value};

use crate::wire::FieldError;

/// Each kind with the schema of its spec.
static SPECS: LazyLock<Vec<(&'static str, Value)>> = LazyLock::new(|| {
    [
        ("CapabilityExecution", CapabilityExecution::crd()),
        ("SecurityContext", SecurityContext::crd()),
        ("ClusterSecurityContext", ClusterSecurityContext::crd()),
        ("CapabilityProvider", CapabilityProvider::crd()),
        ("ClusterCapabilityProvider", ClusterCapabilityProvider::crd()),
        ("ExecutionPolicy", ExecutionPolicy::crd()),
    ]
    .into_iter()
    .map(|(kind, crd)| {
        let crd = serde_json::to_value(crd).unwrap_or_default();
        let spec = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
        (kind, spec.cloned().unwrap_or_default())
    })
    .collect()
});

/// The kinds.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    SPECS.iter().map(|(kind, _)| *kind)
}

/// All that is wrong with the structure of an object of one of our kinds.
#[must_use]
pub fn faults(kind: &str, object: &Value) -> Vec<FieldError> {
    let mut faults = Faults(Vec::new());
    let Some((_, schema)) = SPECS.iter().find(|(known, _)| *known == kind) else {
        faults.add("kind", format!("{kind:?} is none of {}", kinds().collect::<Vec<_>>().join(", ")));
        return faults.0;
    };
    for field in object.as_object().into_iter().flat_map(Map::keys) {
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&field.as_str()) {
            faults.add(field, "unknown field".to_owned());
        }
    }
    match object.get("spec") {
        Some(spec) => faults.look(schema, spec, "spec"),
        None => faults.add("spec", "is required".to_owned()),
    }
    faults.0
}

/// All that is wrong with the structure of a part of a spec, such as `permissions` of a SecurityContext, that is written
/// elsewhere, at `at`.
#[must_use]
pub fn faults_of_part(kind: &str, part: &str, value: &Value, at: &str) -> Vec<FieldError> {
    let mut faults = Faults(Vec::new());
    let schema = SPECS.iter().find(|(known, _)| *known == kind).and_then(|(_, spec)| spec.get("properties")?.get(part));
    match schema {
        Some(schema) => faults.look(schema, value, at),
        None => faults.add(at, format!("{part:?} is no part of a {kind}")),
    }
    faults.0
}

/// As the schema has it, what it matches, and what to tell people.
type Pattern = (&'static str, fn(&str) -> bool, &'static str);

/// Patterns that nothing else looks at, each with what it means. Those of quantities, durations and capability ids are
/// left to [`crate::wire`], which reads them.
const PATTERNS: [Pattern; 3] = [
    ("^[-._a-zA-Z0-9]+$", is_key, "letters, digits, '-', '.' and '_'"),
    (
        "^[A-Za-z_][A-Za-z0-9_]*$",
        ccos_policy::pattern::name::is_name,
        "letters, digits and '_', not beginning with a digit",
    ),
    (
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        is_label,
        "lower-case letters, digits and '-', with a letter or a digit at both ends",
    ),
];

fn is_key(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn is_label(text: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_end(text.bytes().next())
        && is_end(text.bytes().next_back())
        && text.bytes().all(|byte| is_end(Some(byte)) || byte == b'-')
}

struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, field: &str, message: String) {
        self.0.push(FieldError { field: field.to_owned(), message });
    }

    fn look(&mut self, schema: &Value, value: &Value, at: &str) {
        let flag = |name: &str| schema.get(name) == Some(&Value::Bool(true));
        if flag("x-kubernetes-int-or-string") {
            if !(value.is_string() || value.is_i64() || value.is_u64()) {
                self.add(at, format!("expected a whole number or a text, but found {}", found(value)));
            }
            return;
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array).filter(|all| !all.contains(value)) {
            let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
            return self.add(at, format!("{}: expected one of {}", found(value), choices.join(", ")));
        }
        match (schema.get("type").and_then(Value::as_str), value) {
            (Some("object"), Value::Object(fields)) => {
                self.fields(schema, fields, at, flag("x-kubernetes-preserve-unknown-fields"));
            }
            (Some("array"), Value::Array(items)) => self.items(schema, items, at),
            (Some("string"), Value::String(text)) => {
                let count = text.chars().count();
                match EXAMPLES.iter().find(|(field, _)| at.ends_with(field)) {
                    Some((_, example)) if bound(schema, "minLength").is_some_and(|least| count < least) => {
                        self.add(at, format!("{}: expected {example}", found(value)));
                    }
                    Some(_) | None => self.length(schema, "Length", count, "characters", at),
                }
                self.pattern(schema, text, at);
                let is_time = schema.get("format").and_then(Value::as_str) == Some("date-time");
                if is_time && text.parse::<jiff::Timestamp>().is_err() {
                    let expected = "expected a moment by RFC 3339, such as 2027-01-31T12:00:00Z";
                    self.add(at, format!("{}: {expected}", found(value)));
                }
            }
            (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.range(schema, number, at);
            }
            (Some("boolean"), Value::Bool(_)) | (Some("number"), Value::Number(_)) | (None, _) => {}
            (Some(kind), _) => {
                let article = if matches!(kind, "object" | "array" | "integer") { "an" } else { "a" };
                self.add(at, format!("expected {article} {kind}, but found {}", found(value)));
            }
        }
    }

    fn pattern(&mut self, schema: &Value, text: &str, at: &str) {
        let pattern = schema.get("pattern").and_then(Value::as_str);
        let known = PATTERNS.iter().find(|(known, ..)| Some(*known) == pattern);
        if let Some((.., expected)) = known.filter(|(_, matches, _)| !text.is_empty() && !matches(text)) {
            self.add(at, format!("{}: expected {expected}", crate::wire::faults::quoted(text)));
        }
    }

    fn fields(&mut self, schema: &Value, fields: &Map<String, Value>, at: &str, open: bool) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let rest = schema.get("additionalProperties");
        // In one order, whether or not something else that is linked makes maps keep theirs.
        let fields: BTreeMap<&String, &Value> = fields.iter().collect();
        for (name, value) in &fields {
            let at = format!("{at}.{name}");
            match (properties.and_then(|all| all.get(*name)), rest) {
                (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => self.look(schema, value, &at),
                (None, _) if open => {}
                (None, _) => self.add(&at, unknown(name, properties)),
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !fields.keys().any(|given| given == name)) {
            self.add(&format!("{at}.{name}"), "is required".to_owned());
        }
    }

    fn items(&mut self, schema: &Value, items: &[Value], at: &str) {
        self.length(schema, "Items", items.len(), "items", at);
        let keys: Vec<&str> = schema
            .get("x-kubernetes-list-map-keys")
            .and_then(Value::as_array)
            .map(|keys| keys.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}[{index}]");
            if let Some(schema) = schema.get("items") {
                self.look(schema, item, &at);
            }
            let key: Vec<String> = keys.iter().filter_map(|key| item.get(key).map(Value::to_string)).collect();
            if !keys.is_empty() && !seen.insert(key.clone()) {
                self.add(&at, format!("{} {} is given twice", keys.join(", "), key.join(", ")));
            }
        }
    }

    fn length(&mut self, schema: &Value, what: &str, length: usize, unit: &str, at: &str) {
        let bound = |name: &str| self::bound(schema, &format!("{name}{what}"));
        if let Some(most) = bound("max").filter(|most| length > *most) {
            self.add(at, format!("{length} {unit}: expected at most {most}"));
        }
        if let Some(least) = bound("min").filter(|least| length < *least) {
            self.add(at, format!("{length} {unit}: expected at least {least}"));
        }
    }

    fn range(&mut self, schema: &Value, number: &serde_json::Number, at: &str) {
        let Some(value) = number.as_f64() else { return };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        if let Some(most) = bound("maximum").filter(|most| value > *most) {
            self.add(at, format!("{number}: expected at most {most}"));
        }
        if let Some(least) = bound("minimum").filter(|least| value < *least) {
            self.add(at, format!("{number}: expected at least {least}"));
        }
    }
}

/// Texts whose shortest length says less than an example does.
const EXAMPLES: [(&str, &str); 2] =
    [("spec.version", "a version such as 1.4.2"), (".mountPath", "a folder below /, such as /data")];

fn bound(schema: &Value, name: &str) -> Option<usize> {
    schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok())
}

/// How many letters of a field may be wrong for another to be meant.
const MISTAKES: usize = 2;

fn unknown(name: &str, known: Option<&Map<String, Value>>) -> String {
    let distance = |known: &&String| match strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase()) {
        // Of a short name, so many letters are another name.
        distance if distance <= MISTAKES && 2 * distance < known.len() => Some(distance),
        _ => None,
    };
    // Bounded: it comes from a stranger, and the distance takes the product of both lengths.
    let known = known.filter(|_| name.len() < 64).into_iter().flat_map(Map::keys);
    match known.filter_map(|known| Some((distance(&known)?, known))).min() {
        Some((_, meant)) => format!("unknown field; did you mean {meant}?"),
        None => "unknown field".to_owned(),
    }
}

/// A value as messages show it.
fn found(value: &Value) -> String {
    match value {
        Value::Null => "null: leave the field out".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => crate::wire::faults::quoted(text),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: &str, spec: &Value) -> Vec<String> {
        faults(kind, &json!({"metadata": {}, "spec": spec})).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_faults_are_told_each_with_its_field() {
        let spec = json!({
            "level": "Wild",
            "permissions": {"filesystem": {"reads": [], "write": "x", "read": [""]}},
            "limits": {"threads": 0, "memory": 1.5, "fileDescriptors": "9"},
            "volumes": [{"name": "a", "mountPath": "/a"}, {"name": "a"}],
        });
        assert_eq!(
            of("SecurityContext", &spec),
            [
                r#"spec.level: "Wild": expected one of Pure, Controlled, Full, Sandboxed"#,
                r#"spec.limits.fileDescriptors: expected an integer, but found "9""#,
                "spec.limits.memory: expected a whole number or a text, but found 1.5",
                "spec.limits.threads: 0: expected at least 1",
                "spec.permissions.filesystem.read[0]: 0 characters: expected at least 1",
                "spec.permissions.filesystem.reads: unknown field; did you mean read?",
                r#"spec.permissions.filesystem.write: expected an array, but found "x""#,
                "spec.volumes[1].mountPath: is required",
                r#"spec.volumes[1]: name "a" is given twice"#,
            ]
        );
    }

    #[test]
    fn inputs_may_be_any_json_and_may_be_absent() {
        let reference = json!({"kind": "SecurityContext", "name": "c"});
        let capability = json!({"kind": "CapabilityProvider", "name": "p", "id": "a.b"});
        for inputs in [json!({"x": {"y": null}}), json!([1]), json!("x")] {
            let spec = json!({"contextRef": reference, "capabilityRef": capability, "inputs": inputs});
            assert_eq!(of("CapabilityExecution", &spec), Vec::<String>::new());
        }
        let spec = json!({"contextRef": reference, "capabilityRef": capability});
        assert_eq!(of("CapabilityExecution", &spec), Vec::<String>::new());
    }

    #[test]
    fn names_that_nothing_else_looks_at_are_looked_at() {
        let volume = |name: &str| json!({"level": "Full", "volumes": [{"name": name, "mountPath": "/a"}]});
        assert_eq!(of("SecurityContext", &volume("a-1")), Vec::<String>::new());
        assert!(
            of("SecurityContext", &volume("A"))[0].starts_with(r#"spec.volumes[0].name: "A": expected lower-case"#)
        );
        let reference = json!({"kind": "SecurityContext", "name": "c"});
        let capability = json!({"kind": "CapabilityProvider", "name": "p", "id": "a.b"});
        let env = |name: &str, key: &str| {
            let env = json!([{"name": name, "secretKeyRef": {"name": "s", "key": key}}]);
            of("CapabilityExecution", &json!({"contextRef": reference, "capabilityRef": capability, "env": env}))
        };
        assert_eq!(env("A_1", "a.b-c_D"), Vec::<String>::new());
        assert!(env("1A", "k")[0].starts_with(r#"spec.env[0].name: "1A": expected letters, digits and '_'"#));
        assert!(env("A", "a/b")[0].starts_with(r#"spec.env[0].secretKeyRef.key: "a/b": expected letters"#));
    }

    /// One that is added to the kinds must be looked at somewhere, or offline nobody would.
    #[test]
    fn every_pattern_of_the_kinds_is_looked_at() {
        fn patterns(schema: &Value, found: &mut BTreeSet<String>) {
            match schema {
                Value::Object(fields) => {
                    found.extend(fields.get("pattern").and_then(Value::as_str).map(str::to_owned));
                    fields.values().for_each(|schema| patterns(schema, found));
                }
                Value::Array(items) => items.iter().for_each(|schema| patterns(schema, found)),
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        SPECS.iter().for_each(|(_, schema)| patterns(schema, &mut found));
        let read_by_wire = [
            r"^[0-9]{1,18}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
            "^([0-9]{1,5}(h|m|s|ms)){1,4}$",
            r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$",
        ];
        let known: BTreeSet<String> =
            PATTERNS.iter().map(|(pattern, ..)| *pattern).chain(read_by_wire).map(str::to_owned).collect();
        assert_eq!(found, known);
    }

    #[test]
    fn a_moment_is_one() {
        let spec = |at: &str| json!({"level": "Full", "expiry": {"type": "At", "at": at}});
        assert_eq!(of("SecurityContext", &spec("2027-01-31T12:00:00Z")), Vec::<String>::new());
        for wrong in ["tomorrow", "2027-13-01T00:00:00Z", "2027-01-31"] {
            let said = of("SecurityContext", &spec(wrong));
            assert!(said[0].starts_with(&format!("spec.expiry.at: {wrong:?}: expected a moment")), "{said:?}");
        }
    }

    #[test]
    fn a_field_that_is_nearly_one_says_which() {
        for (wrong, said) in [
            ("contextref", "unknown field; did you mean contextRef?"),
            ("contxtRef", "unknown field; did you mean contextRef?"),
            ("ENV", "unknown field; did you mean env?"),
            ("context", "unknown field"),
            ("foo", "unknown field"),
            (&"x".repeat(1000), "unknown field"),
        ] {
            let spec = json!({wrong: {}, "capabilityRef": {"kind": "CapabilityProvider", "name": "p", "id": "a.b"}});
            assert_eq!(of("CapabilityExecution", &spec), [format!("spec.{wrong}: {said}")]);
        }
    }

    #[test]
    fn what_is_too_short_for_what_it_is_says_what_that_is() {
        let said = of("CapabilityProvider", &json!({"version": "1.0", "source": {}, "capabilities": []}));
        assert!(said.contains(&r#"spec.version: "1.0": expected a version such as 1.4.2"#.to_owned()), "{said:?}");
        let spec = json!({"level": "Full", "volumes": [{"name": "a", "mountPath": "/"}]});
        assert_eq!(
            of("SecurityContext", &spec),
            [r#"spec.volumes[0].mountPath: "/": expected a folder below /, such as /data"#]
        );
    }

    #[test]
    fn every_kind_has_a_schema() {
        for kind in kinds() {
            assert!(!of(kind, &json!({"nonsense": 1})).is_empty(), "{kind}");
        }
    }
}
