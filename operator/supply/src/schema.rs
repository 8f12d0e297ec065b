//! JSON Schemas: of one draft, bounded, and without anything that would be ignored.
//!
//! A provider's author chooses the schema, and whoever may create executions chooses what is held against it, in the
//! webhook. So a schema that could make that slow is none: no reference leaves it, none comes back to itself, patterns
//! match in linear time, and the work that a check can take is known before it begins.

mod pattern;
mod walk;

use jsonschema::{Draft, Validator};
use serde_json::Value;

use walk::Walk;

/// What a schema may weigh, in bytes of JSON.
pub const SCHEMA_LIMIT: usize = 64 * 1024;

/// What a check may take: subschemas and their patterns, each as often as it is referred to, times bytes of JSON. Beyond it nothing is
/// checked, and so nothing is accepted. A check of this size takes tens of milliseconds.
const WORK_LIMIT: usize = 20_000_000;

/// Up to here all faults are looked for. Beyond, only the first: the library collects them all before it hands out one,
/// each with what every alternative had to say, and that takes memory by the hundred megabytes.
const WORK_FOR_ALL: usize = 500_000;

/// How many faults are told of one document.
const TOLD: usize = 8;

/// Something wrong with a schema, or with what is held against one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSON pointer (RFC 6901): empty for the whole.
    pub pointer: String,
    /// What.
    pub message: String,
}

impl Fault {
    fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

/// A schema that can be checked against.
#[derive(Debug)]
pub struct Schema {
    root: Value,
    validator: Validator,
    /// Its subschemas, each as often as it is referred to.
    weight: usize,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// What is wrong with it; never empty.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        if text.len() > SCHEMA_LIMIT {
            let message = format!("{} bytes of JSON: expected at most {SCHEMA_LIMIT}", text.len());
            return Err(vec![Fault::new("", message)]);
        }
        let root: Value =
            serde_json::from_str(text).map_err(|error| vec![Fault::new("", format!("is no JSON: {error}"))])?;
        let weight = Walk::over(&root)?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(pattern::options(pattern::LIMIT))
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .build(&root)
            .map_err(|error| vec![Fault::new(error.instance_path().to_string(), error.to_string())])?;
        Ok(Self { root, validator, weight })
    }

    /// What of a document does not fit; empty if it does. Values are not repeated: messages end up in logs.
    #[must_use]
    pub fn faults(&self, document: &Value) -> Vec<Fault> {
        let bytes = document.to_string().len();
        let work = self.weight.saturating_mul(bytes);
        if work > WORK_LIMIT {
            let most = WORK_LIMIT / self.weight.max(1);
            return vec![Fault::new("", format!("{bytes} bytes are too many for this schema, which takes {most}"))];
        }
        if self.validator.is_valid(document) {
            return Vec::new();
        }
        let fault = |error: jsonschema::ValidationError<'_>| {
            Fault::new(error.instance_path().to_string(), error.masked().to_string())
        };
        let told: Vec<Fault> = if work > WORK_FOR_ALL {
            self.validator.validate(document).err().map(fault).into_iter().collect()
        } else {
            self.validator.iter_errors(document).take(TOLD).map(fault).collect()
        };
        if told.is_empty() { vec![Fault::new("", "does not fit the schema")] } else { told }
    }

    /// Whether the schema treats every text in a top-level field alike, so that a document can be checked without knowing
    /// it: the value of a Secret, which nobody but the kubelet reads.
    ///
    /// # Errors
    /// What depends on the text.
    pub fn ignores_text_of(&self, field: &str) -> Result<(), String> {
        // All that looks at an object's fields one by one, or at their names alone.
        const OF_OBJECTS: [&str; 10] = [
            "type",
            "properties",
            "additionalProperties",
            "required",
            "dependentRequired",
            "minProperties",
            "maxProperties",
            "propertyNames",
            "$defs",
            "definitions",
        ];
        let Value::Object(root) = &self.root else { return Ok(()) };
        if let Some(keyword) = root.keys().find(|key| !OF_OBJECTS.contains(&key.as_str()) && !walk::annotates(key)) {
            return Err(format!("{keyword} of the schema may look at it"));
        }
        let of_field =
            root.get("properties").and_then(|all| all.get(field)).or_else(|| root.get("additionalProperties"));
        let Some(Value::Object(of_field)) = of_field else { return Ok(()) };
        match of_field.keys().find(|key| key.as_str() != "type" && !walk::annotates(key)) {
            Some(keyword) => Err(format!("{keyword} of its schema looks at it; there may be a type and nothing else")),
            None => Ok(()),
        }
    }
}
