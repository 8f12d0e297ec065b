//! The schema that policies are held to.

use std::sync::LazyLock;

use cedar_policy::{Schema, Validator};

/// The published schema, in Cedar's own syntax.
pub const SCHEMA: &str = include_str!("../policies.cedarschema");

/// Of the schema. An `Err` is a fault of ours, which the tests would show; should it ever come, every policy is refused.
pub(crate) static VALIDATOR: LazyLock<Result<Validator, String>> = LazyLock::new(|| {
    let (schema, warnings) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| error.to_string())?;
    drop(warnings);
    Ok(Validator::new(schema))
});
