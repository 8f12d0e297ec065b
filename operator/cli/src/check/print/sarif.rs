//! SARIF 2.1.0, as much of it as a finding needs. Own types: the one crate that has them generates all of the format at
//! build time, which costs more than the dozen fields below.

use std::collections::BTreeMap;

use ccos_plan::advice;
use ccos_policy::Reason;
use serde::Serialize;

use crate::check::{Cause, Checked, Verdict};
use crate::input::{Fault, Place};

/// The rule of what can't be understood.
const INVALID: &str = "Invalid";

/// What to do about what is missing: it may well be in the cluster.
const OFFLINE: [(&str, &str); 2] = [
    ("ContextNotFound", "give the file of the context to `ccos check`, too, or correct contextRef"),
    ("CapabilityNotFound", "give the file of the provider to `ccos check`, too, or correct capabilityRef"),
];

#[derive(Serialize)]
pub(super) struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
struct Run {
    tool: Tool,
    results: Vec<Finding>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Message>,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: [Location; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names of the format")]
struct Location {
    physical_location: PhysicalLocation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: String,
    kind: &'static str,
}

/// The log of one run: a finding for each reason why not.
pub(super) fn log(checked: &Checked) -> Log {
    let Checked { faults, warnings: _, verdicts } = checked;
    let mut rules = Rules::default();
    let mut results: Vec<Finding> = faults.iter().map(|fault| rules.invalid(fault)).collect();
    // Nothing is decided of an input with faults.
    for verdict in verdicts.iter().filter(|_| faults.is_empty()) {
        results.extend(verdict.causes.iter().map(|cause| rules.denied(verdict, cause)));
    }
    let driver = Driver { name: "ccos", version: env!("CARGO_PKG_VERSION"), rules: rules.all };
    Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run { tool: Tool { driver }, results }],
    }
}

/// The rules that something was found by, in the order of their first finding.
#[derive(Default)]
struct Rules {
    all: Vec<Rule>,
    known: BTreeMap<&'static str, usize>,
}

impl Rules {
    fn index(&mut self, id: &'static str) -> usize {
        *self.known.entry(id).or_insert_with(|| {
            let meaning = Reason::ALL.iter().find(|reason| reason.as_str() == id).map(|reason| reason.meaning().trim());
            let meaning = meaning.unwrap_or("An object or a file can't be understood.");
            let offline = OFFLINE.iter().find(|(reason, _)| *reason == id).map(|(_, advice)| *advice);
            let help = offline.or_else(|| advice::named(id)).map(|text| Message { text: text.to_owned() });
            self.all.push(Rule { id, short_description: Message { text: meaning.to_owned() }, help });
            self.all.len() - 1
        })
    }

    fn invalid(&mut self, fault: &Fault) -> Finding {
        let Fault { place, field, message } = fault;
        let text = field.as_ref().map_or_else(|| message.clone(), |field| format!("{field}: {message}"));
        self.finding(INVALID, &text, Location::of(place, field.as_deref()), Vec::new())
    }

    fn denied(&mut self, verdict: &Verdict, cause: &Cause) -> Finding {
        let Cause { field, reason, message, place, origin, required_by } = cause;
        let text = format!("{} is denied: {field}: {message}", verdict.place.object);
        let said_by = |place: &Place| Location {
            message: Some(Message {
                text: plain(&match required_by {
                    Some(capability) => format!("required here, by {capability}"),
                    None => format!("{} says so", place.object),
                }),
            }),
            ..Location::of(place, None)
        };
        self.finding(reason, &text, Location::of(place, Some(field)), origin.iter().map(said_by).collect())
    }

    fn finding(&mut self, id: &'static str, text: &str, location: Location, related: Vec<Location>) -> Finding {
        Finding {
            rule_id: id,
            rule_index: self.index(id),
            level: "error",
            message: Message { text: plain(text) },
            locations: [location],
            related_locations: related,
        }
    }
}

impl Location {
    fn of(place: &Place, field: Option<&str>) -> Self {
        let Place { file, line, template, object } = place;
        // What came through a pipe has no file; its template is one, but has lines of its own.
        let (file, line) = match template {
            Some(template) if file == "-" => (template, None),
            Some(_) | None => (file, *line),
        };
        let name = match field {
            Some(field) => format!("{object} {field}"),
            None => object.clone(),
        };
        let logical = LogicalLocation { fully_qualified_name: name, kind: "object" };
        Self {
            physical_location: PhysicalLocation {
                artifact_location: ArtifactLocation { uri: uri(file) },
                region: line.map(|start_line| Region { start_line }),
            },
            logical_locations: if object.is_empty() { Vec::new() } else { vec![logical] },
            message: None,
        }
    }
}

/// A text without links: `[text](target)` in a message is one, and what is in files may say so (SARIF 2.1.0, 3.11.6).
fn plain(text: &str) -> String {
    text.replace("](", "] (")
}

/// A path as a reference by RFC 3986.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            uri.extend(format!("%{byte:02X}").chars());
        }
    }
    uri
}
