//! Executions.

use ccos_crds::execution as wire;
use ccos_crds::security_context as context_wire;
use ccos_policy::{Isolation, Request};
use jiff::Timestamp;
use serde_json::Value;

use super::faults::{Faults, FieldErrors};
use super::permissions::requires;
use super::unheld::{Feature, Unhelds};

/// What inputs may weigh, in bytes of JSON: they travel in a ConfigMap beside the rest of the profile.
pub const INPUT_LIMIT: usize = 256 * 1024;

/// Reads an execution's own part of the question.
///
/// # Errors
/// All fields that can't be understood.
pub fn request(spec: &wire::CapabilityExecutionSpec, now: Timestamp) -> Result<Request, FieldErrors> {
    let wire::CapabilityExecutionSpec {
        context_ref: _,
        capability_ref: _,
        inputs,
        inputs_from,
        env,
        requires: needs,
        isolation,
        retries,
        ttl_seconds_after_finished: _,
        desired_state: _,
    } = spec;
    let mut faults = Faults::default();
    let mut unheld = Unhelds::default();
    self::inputs(&mut faults, inputs.as_ref(), inputs_from);
    for (at, variable) in env.iter().enumerate() {
        let wire::EnvVar { name, value, secret_key_ref } = variable;
        if value.is_some() == secret_key_ref.is_some() {
            faults.add(format!("spec.env[{at}]"), "give exactly one of value and secretKeyRef");
        }
        if name.starts_with("CCOS_") {
            faults.add(
                format!("spec.env[{at}].name"),
                format!("{name:?}: names that begin with CCOS_ are the runner's own"),
            );
        }
        if env.iter().take(at).any(|earlier| earlier.name == *name) {
            faults.add(format!("spec.env[{at}].name"), format!("{name:?}: is set twice"));
        }
    }
    let requires = requires(&mut faults, &mut unheld, "spec.requires", needs.as_ref());
    if retries.as_ref().and_then(|retries| retries.limit).unwrap_or(0) > 0 {
        unheld.add("retries.limit", Feature::Retries);
    }
    let request = Request {
        now,
        requires,
        environment: env.iter().map(|variable| variable.name.clone()).collect(),
        isolation: isolation.map(self::isolation),
        unheld: unheld.0,
    };
    faults.none_or(request)
}

fn inputs(faults: &mut Faults, inputs: Option<&Value>, from: &[wire::InputFrom]) {
    match inputs.map(serde_json::to_vec) {
        Some(Ok(bytes)) if bytes.len() > INPUT_LIMIT => {
            faults.add("spec.inputs", format!("{} bytes of JSON: expected at most {INPUT_LIMIT}", bytes.len()));
        }
        Some(Ok(_)) | None => {}
        Some(Err(_)) => faults.add("spec.inputs", "can't be written as JSON"),
    }
    let fields = match inputs {
        None => Some(None),
        Some(Value::Object(fields)) => Some(Some(fields)),
        Some(_) => None,
    };
    if fields.is_none() && !from.is_empty() {
        faults.add("spec.inputs", "expected an object, since inputsFrom adds fields to it");
    }
    for (at, item) in from.iter().enumerate() {
        let wire::InputFrom { config_map_key_ref, secret_key_ref, field } = item;
        if config_map_key_ref.is_some() == secret_key_ref.is_some() {
            faults.add(format!("spec.inputsFrom[{at}]"), "give exactly one of configMapKeyRef and secretKeyRef");
        }
        let given = fields.flatten().is_some_and(|fields| fields.contains_key(field));
        if given || from.iter().take(at).any(|earlier| earlier.field == *field) {
            faults.add(format!("spec.inputsFrom[{at}].as"), format!("{field:?}: is given twice"));
        }
    }
}

/// The domain's name of an isolation.
pub(crate) const fn isolation(isolation: context_wire::Isolation) -> Isolation {
    match isolation {
        context_wire::Isolation::GVisor => Isolation::GVisor,
        context_wire::Isolation::Kata => Isolation::Kata,
        context_wire::Isolation::Container => Isolation::Container,
        context_wire::Isolation::Wasm => Isolation::Wasm,
    }
}

/// The wire's name of an isolation.
pub(crate) const fn isolation_wire(isolation: Isolation) -> context_wire::Isolation {
    match isolation {
        Isolation::GVisor => context_wire::Isolation::GVisor,
        Isolation::Kata => context_wire::Isolation::Kata,
        Isolation::Container => context_wire::Isolation::Container,
        Isolation::Wasm => context_wire::Isolation::Wasm,
    }
}
