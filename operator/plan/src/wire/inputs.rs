//! Inputs, held against the capability's schema.

use ccos_crds::execution::{CapabilityExecutionSpec, InputFrom};
use ccos_policy::{Cause, Denial};
use ccos_supply::schema::Schema;
use serde_json::{Map, Value};

/// What of an execution's inputs does not fit. `inputsFrom` adds texts that nobody but the kubelet reads: they are
/// refused where the schema could tell one text from another, and stand for any text elsewhere.
pub(crate) fn misfits(spec: &CapabilityExecutionSpec, schema: &Schema) -> Vec<Denial> {
    let invalid = |field: String, message: String| Denial::new(field, Cause::InvalidInputs(message));
    let unseen = |(at, InputFrom { field, .. }): (usize, &InputFrom)| {
        let why = schema.ignores_text_of(field).err()?;
        let message =
            format!("what becomes {field:?} of the inputs is not known at admission, but {why}; give it in inputs");
        Some(invalid(format!("inputsFrom[{at}]"), message))
    };
    let mut denials: Vec<Denial> = spec.inputs_from.iter().enumerate().filter_map(unseen).collect();
    // As the runner builds it.
    let document = match spec.inputs.as_ref().map(ccos_crds::Json::value) {
        None => Ok(Value::Object(Map::new())),
        Some(value) => value,
    };
    let mut document = match document {
        Ok(document) => document,
        Err(error) => return vec![invalid("inputs".to_owned(), error.to_string())],
    };
    if let Value::Object(fields) = &mut document {
        fields.extend(spec.inputs_from.iter().map(|item| (item.field.clone(), Value::String(String::new()))));
    }
    denials.extend(
        schema.faults(&document).into_iter().map(|fault| invalid(format!("inputs{}", fault.pointer), fault.message)),
    );
    denials
}
