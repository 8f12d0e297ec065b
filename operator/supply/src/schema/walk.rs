//! The shape of a schema: which of its parts are schemas, and how often each can be applied to one value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Fault, pattern};

/// How deep schemas may be nested, references followed.
const DEPTH_LIMIT: usize = 48;

/// How many subschemas there may be, each as often as it is referred to.
const WEIGHT_LIMIT: usize = 10_000;

/// How many patterns there may be: each is compiled.
const PATTERNS_LIMIT: usize = 64;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Formats that are checked, each in linear time. Another would be accepted and ignored.
const FORMATS: [&str; 12] = [
    "date",
    "date-time",
    "time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "uuid",
    "json-pointer",
];

/// What a keyword holds.
enum Holds {
    Schema,
    Schemas,
    ListOfSchemas,
    /// What is compared with: as costly as it is large. The metaschema looks at its type.
    Values,
    /// For people.
    Annotation,
    Reference,
    Format,
    Pattern,
    Draft,
}

fn holds(keyword: &str) -> Option<Holds> {
    Some(match keyword {
        "additionalProperties" | "propertyNames" | "items" | "contains" | "not" | "if" | "then" | "else" => {
            Holds::Schema
        }
        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => Holds::Schemas,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::ListOfSchemas,
        "const" | "enum" | "type" | "required" | "dependentRequired" | "minimum" | "maximum" | "exclusiveMinimum"
        | "exclusiveMaximum" | "multipleOf" | "minLength" | "maxLength" | "minItems" | "maxItems" | "uniqueItems"
        | "minContains" | "maxContains" | "minProperties" | "maxProperties" => Holds::Values,
        "title" | "description" | "$comment" | "default" | "examples" | "deprecated" | "readOnly" | "writeOnly" => {
            Holds::Annotation
        }
        "$ref" => Holds::Reference,
        "format" => Holds::Format,
        "pattern" => Holds::Pattern,
        "$schema" => Holds::Draft,
        keyword if keyword.starts_with("x-") => Holds::Annotation,
        _ => return None,
    })
}

/// Whether a keyword is for people, and nothing is checked by it.
pub(super) fn annotates(keyword: &str) -> bool {
    matches!(holds(keyword), Some(Holds::Annotation | Holds::Draft))
}

/// What is known of a subschema: its own weight, and which others apply with it.
#[derive(Default)]
struct Node {
    own: usize,
    applies: Vec<String>,
}

#[derive(Default)]
pub(super) struct Walk {
    nodes: BTreeMap<String, Node>,
    patterns: usize,
    /// What the patterns that were compiled weigh together.
    compiled: usize,
    faults: Vec<Fault>,
}

impl Walk {
    /// Looks at all of a schema; answers with its weight.
    pub(super) fn over(root: &Value) -> Result<usize, Vec<Fault>> {
        let mut walk = Self::default();
        walk.schema("", root, 0);
        if walk.faults.is_empty() {
            walk.references();
        }
        if walk.patterns > PATTERNS_LIMIT {
            let message = format!("{} patterns: expected at most {PATTERNS_LIMIT}", walk.patterns);
            walk.faults.push(Fault::new("", message));
        }
        if !walk.faults.is_empty() {
            return Err(walk.faults);
        }
        let mut weights = BTreeMap::new();
        walk.weight("", 0, &mut weights).map_err(|fault| vec![fault])
    }

    fn fault(&mut self, at: &str, message: impl Into<String>) {
        // Of a schema that is wrong all over, nobody reads more.
        if self.faults.len() < super::TOLD {
            self.faults.push(Fault::new(at, message));
        }
    }

    fn schema(&mut self, at: &str, schema: &Value, depth: usize) {
        if depth > DEPTH_LIMIT {
            return self.fault(at, format!("is nested deeper than {DEPTH_LIMIT} schemas"));
        }
        let mut node = Node { own: 1, applies: Vec::new() };
        match schema {
            Value::Bool(_) => {}
            Value::Object(keywords) => {
                for (keyword, value) in keywords {
                    self.keyword(at, &mut node, keyword, value, depth);
                }
            }
            _ => self.fault(at, "expected a schema: an object, true or false"),
        }
        self.nodes.insert(at.to_owned(), node);
    }

    fn keyword(&mut self, at: &str, node: &mut Node, keyword: &str, value: &Value, depth: usize) {
        let here = child(at, keyword);
        let Some(holds) = holds(keyword) else { return self.fault(&here, unknown(keyword)) };
        match (holds, value) {
            (Holds::Annotation, _) => {}
            (Holds::Values, value) => node.own += size(value),
            (Holds::Schema, schema) => {
                self.schema(&here, schema, depth + 1);
                node.applies.push(here);
            }
            (Holds::Schemas, Value::Object(schemas)) => self.schemas(&here, node, keyword, schemas, depth),
            (Holds::ListOfSchemas, Value::Array(schemas)) => {
                for (index, schema) in schemas.iter().enumerate() {
                    let here = child(&here, &index.to_string());
                    self.schema(&here, schema, depth + 1);
                    node.applies.push(here);
                }
            }
            (Holds::Reference, Value::String(target)) => match target.strip_prefix('#') {
                // Neither anchors nor percent signs: what it names is the text itself.
                Some(pointer) if pointer.is_empty() || pointer.starts_with('/') && !pointer.contains('%') => {
                    node.applies.push(pointer.to_owned());
                }
                Some(_) | None => {
                    self.fault(&here, "expected # and a JSON pointer: nothing outside the schema is read");
                }
            },
            (Holds::Format, Value::String(format)) if FORMATS.contains(&format.as_str()) => {}
            (Holds::Format, _) => {
                let message =
                    format!("is not checked, and would be ignored; use pattern, or one of {}", FORMATS.join(", "));
                self.fault(&here, message);
            }
            (Holds::Pattern, Value::String(text)) => node.own += self.pattern(&here, text),
            (Holds::Draft, Value::String(draft)) if draft.trim_end_matches('#') == DRAFT => {}
            (Holds::Draft, _) => self.fault(&here, format!("expected {DRAFT}, or nothing, which is the same")),
            (Holds::Schemas | Holds::ListOfSchemas | Holds::Reference | Holds::Pattern, _) => {
                self.fault(&here, "has not the type that this keyword takes");
            }
        }
    }

    fn schemas(&mut self, at: &str, node: &mut Node, keyword: &str, schemas: &Map<String, Value>, depth: usize) {
        for (name, schema) in schemas {
            let here = child(at, name);
            self.schema(&here, schema, depth + 1);
            if keyword == "patternProperties" {
                node.own += self.pattern(&here, name);
            }
            // Definitions apply where they are referred to.
            if !matches!(keyword, "$defs" | "definitions") {
                node.applies.push(here);
            }
        }
    }

    /// What a pattern weighs. Beyond what there may be of them, none is compiled.
    fn pattern(&mut self, at: &str, text: &str) -> usize {
        self.patterns += 1;
        if self.patterns > PATTERNS_LIMIT || self.compiled > WEIGHT_LIMIT {
            return 0;
        }
        match pattern::weight(text) {
            Ok(weight) => {
                self.compiled += weight;
                if self.compiled > WEIGHT_LIMIT {
                    self.fault(at, "all patterns together are too large: shorten them, or their repetitions");
                }
                weight
            }
            Err(message) => {
                self.fault(at, message);
                0
            }
        }
    }

    /// Each reference leads to a schema, not into a value or a list.
    fn references(&mut self) {
        let lost: Vec<(String, String)> = self
            .nodes
            .iter()
            .flat_map(|(at, node)| node.applies.iter().map(move |target| (at, target)))
            .filter(|(_, target)| !self.nodes.contains_key(*target))
            .map(|(at, target)| (at.clone(), target.clone()))
            .collect();
        for (at, target) in lost {
            self.fault(&child(&at, "$ref"), format!("#{target} is no schema in here"));
        }
    }

    /// A subschema with all that applies with it. One that applies itself is refused: a value could keep it busy for ever.
    fn weight<'a>(
        &'a self,
        at: &'a str,
        depth: usize,
        known: &mut BTreeMap<&'a str, Option<usize>>,
    ) -> Result<usize, Fault> {
        match known.get(at) {
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => {
                return Err(Fault::new(at, "refers to itself: write out as many levels as there are to be"));
            }
            None => {}
        }
        if depth > DEPTH_LIMIT {
            return Err(Fault::new(at, format!("references and schemas are nested deeper than {DEPTH_LIMIT}")));
        }
        known.insert(at, None);
        let node = self.nodes.get(at).ok_or_else(|| Fault::new(at, "is no schema in here"))?;
        let mut weight = node.own;
        for applied in &node.applies {
            weight = weight.saturating_add(self.weight(applied, depth + 1, known)?);
            if weight > WEIGHT_LIMIT {
                let message = format!("more than {WEIGHT_LIMIT} subschemas, each as often as it is referred to");
                return Err(Fault::new(at, message));
            }
        }
        known.insert(at, Some(weight));
        Ok(weight)
    }
}

fn unknown(keyword: &str) -> String {
    match keyword {
        "unevaluatedProperties" => "is not held: use additionalProperties".to_owned(),
        "unevaluatedItems" => "is not held: use items".to_owned(),
        "dependencies" => "is of an older draft: use dependentRequired or dependentSchemas".to_owned(),
        "additionalItems" => "is of an older draft: use items beside prefixItems".to_owned(),
        "$id" | "id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" => {
            "is not held: use $ref with # and a JSON pointer".to_owned()
        }
        "contentEncoding" | "contentMediaType" | "contentSchema" => "is not checked, and would be ignored".to_owned(),
        _ => format!("is no keyword of {DRAFT}, and would be ignored; begin names of your own with x-"),
    }
}

/// How many values a value is.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(size).sum::<usize>() + 1,
        Value::Object(fields) => fields.values().map(size).sum::<usize>() + 1,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// RFC 6901: `~` and `/` of a name are escaped.
fn child(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}
