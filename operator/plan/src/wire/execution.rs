//! Executions.

use ccos_crds::Json;
use ccos_crds::execution as wire;
use ccos_crds::security_context as context_wire;
use ccos_policy::limits::amount;
use ccos_policy::{Isolation, Request};
use jiff::Timestamp;
use serde_json::{Number, Value};

use super::faults::{Faults, FieldErrors, quoted};
use super::permissions::requires;
use super::unheld::Unhelds;
use crate::end::EndReason;

/// What inputs may weigh, in bytes of JSON: they travel in a ConfigMap beside the rest of the profile.
pub const INPUT_LIMIT: usize = 256 * 1024;

/// What the values of environment variables may weigh together, in bytes of JSON, for the same reason.
const ENV_LIMIT: usize = 128 * 1024;

/// How much of the profile a text takes: a control character is six bytes of JSON.
pub(super) fn json_size(text: &str) -> usize {
    Value::from(text).to_string().len()
}

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
    let size: usize = env.iter().filter_map(|variable| variable.value.as_ref()).map(|value| json_size(value)).sum();
    if size > ENV_LIMIT {
        faults.add("spec.env", format!("{size} bytes of values as JSON: expected at most {ENV_LIMIT}"));
    }
    let requires = requires(&mut faults, &mut unheld, "spec.requires", needs.as_ref());
    self::retries(&mut faults, retries.as_ref());
    let request = Request {
        now,
        requires,
        environment: env.iter().map(|variable| variable.name.clone()).collect(),
        isolation: isolation.map(self::isolation),
        unheld: unheld.0,
    };
    faults.none_or(request)
}

/// The ends that are named must be such as can be tried again.
fn retries(faults: &mut Faults, given: Option<&wire::Retries>) {
    let Some(wire::Retries { limit, on }) = given else { return };
    if limit.is_some_and(|limit| !(0..=9).contains(&limit)) {
        faults.add("spec.retries.limit", "expected a number from 0 to 9");
    }
    let known: Vec<&str> =
        EndReason::RETRIED_IF_NAMED.iter().chain(&EndReason::RETRIED).map(|reason| reason.as_str()).collect();
    for (at, name) in on.iter().flatten().enumerate() {
        if !known.contains(&name.as_str()) {
            let message = format!("{}: can't be tried again; expected one of {}", quoted(name), known.join(", "));
            faults.add(format!("spec.retries.on[{at}]"), message);
        }
    }
}

fn inputs(faults: &mut Faults, inputs: Option<&Json>, from: &[wire::InputFrom]) {
    let size = inputs.map_or(0, |inputs| inputs.as_str().len());
    if size > INPUT_LIMIT {
        faults.add("spec.inputs", format!("{size} bytes of JSON: expected at most {INPUT_LIMIT}"));
        return;
    }
    let inputs = inputs.map(Json::value);
    if let Some((at, number)) = inputs.as_ref().and_then(|value| inexact(value.as_ref().ok()?)) {
        let message = format!("{number}: expected whole numbers from -(2^53-1) to 2^53-1; write it as a text");
        faults.add(format!("spec.inputs{at}"), message);
    }
    if from.is_empty() {
        return;
    }
    let fields = match inputs {
        None => Some(None),
        Some(Ok(Value::Object(fields))) => Some(Some(fields)),
        Some(Ok(_) | Err(_)) => None,
    };
    if fields.is_none() {
        faults.add("spec.inputs", "expected an object, since inputsFrom adds fields to it");
    }
    for (at, item) in from.iter().enumerate() {
        let wire::InputFrom { config_map_key_ref, secret_key_ref, field } = item;
        if config_map_key_ref.is_some() == secret_key_ref.is_some() {
            faults.add(format!("spec.inputsFrom[{at}]"), "give exactly one of configMapKeyRef and secretKeyRef");
        }
        let given = fields.iter().flatten().any(|fields| fields.contains_key(field));
        if given || from.iter().take(at).any(|earlier| earlier.field == *field) {
            faults.add(format!("spec.inputsFrom[{at}].as"), format!("{field:?}: is given twice"));
        }
    }
}

/// Receipts bind the spec by canonical JSON, whose numbers are doubles: two numbers of more than 53 bits could have one
/// digest, and one be put in the place of the other after admission. The first such number, and where it is.
fn inexact(value: &Value) -> Option<(String, &Number)> {
    match value {
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            size.filter(|size| *size > amount::MAX).map(|_| (String::new(), number))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| inexact(item).map(|(below, number)| (format!("/{at}{below}"), number))),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let (below, number) = inexact(field)?;
            Some((format!("/{}{below}", name.replace('~', "~0").replace('/', "~1")), number))
        }),
        Value::Null | Value::Bool(_) | Value::String(_) => None,
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
