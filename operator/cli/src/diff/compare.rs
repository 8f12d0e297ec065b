//! Two contexts, held against each other both ways by the decision's own proof.

use ccos_plan::{AnyContext, wire};
use ccos_policy::{Beyond, Context, Isolation, Over, all, beyond};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::input::Fault;
use crate::input::world::Item;

/// What differs between two contexts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The one; absent: it is new.
    pub old: Option<String>,
    /// The other; absent: it is gone.
    pub new: Option<String>,
    /// What the new one grants and the old one did not.
    pub newly_allowed: Vec<Change>,
    /// What the old one granted and the new one does not.
    pub newly_refused: Vec<Change>,
    /// What changed beside what is granted.
    pub changed: Vec<Field>,
}

/// A grant that only one of them has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The field of the one that grants it.
    pub field: String,
    /// What it grants there.
    pub granted: String,
    /// A shortest example of what the other does not grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// By what the other blocks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<String>,
    /// The most that the other allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// Its patterns are too complex to tell what it grants beyond the other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub too_complex: bool,
}

/// A field whose value changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// Which.
    pub field: &'static str,
    /// What it was.
    pub old: Value,
    /// What it is.
    pub new: Value,
}

impl Difference {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let Self { old, new, newly_allowed, newly_refused, changed } = self;
        old.is_some() && new.is_some() && newly_allowed.is_empty() && newly_refused.is_empty() && changed.is_empty()
    }
}

/// Compares two contexts, of which one may be missing. `None`: one can't be understood, which `faults` says.
pub fn compare(
    old: Option<&Item<AnyContext>>,
    new: Option<&Item<AnyContext>>,
    now: Timestamp,
    faults: &mut Vec<Fault>,
) -> Option<Difference> {
    let mut parse = |item: &Item<AnyContext>| match wire::context(&item.object, now) {
        Ok(context) => Some(context),
        Err(errors) => {
            faults.extend(errors.0.into_iter().map(|error| item.fault(error)));
            None
        }
    };
    let name = |item: Option<&Item<AnyContext>>| item.map(|item| item.place.object.clone());
    let (mut newly_allowed, mut newly_refused, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    if let (Some(before), Some(after)) = (old, new) {
        // Both are parsed before one of them ends it: all faults at once.
        let (was, is) = (parse(before), parse(after));
        let (was, is) = (was?, is?);
        newly_allowed = beyond(&is, &was).into_iter().map(Change::of).collect();
        newly_refused = beyond(&was, &is).into_iter().map(Change::of).collect();
        changed = fields((&before.object, &was), (&after.object, &is));
    } else if let Some(item) = old.or(new) {
        let context = parse(item)?;
        let side = if old.is_none() { &mut newly_allowed } else { &mut newly_refused };
        side.extend(all(&context).into_iter().map(Change::of));
        changed = own_fields(&item.object, old.is_none());
    }
    Some(Difference { old: name(old), new: name(new), newly_allowed, newly_refused, changed })
}

impl Change {
    fn of(Beyond { field, granted, over }: Beyond) -> Self {
        let change = Self {
            field: field.to_string(),
            granted,
            example: None,
            blocked_by: None,
            other: None,
            too_complex: false,
        };
        match over {
            Over::Example(example) => Self { example: Some(example), ..change },
            Over::Blocked { example, by } => Self { example: Some(example), blocked_by: Some(by), ..change },
            Over::Most(most) => Self { other: Some(most), ..change },
            Over::NotAllowed => change,
            Over::TooComplex => Self { too_complex: true, ..change },
        }
    }
}

/// What changed that no execution requires: fields of a spec, and where they are.
const FIELDS: [(&str, &str); 6] = [
    ("level", "/level"),
    ("isolation.default", "/isolation/default"),
    ("capacity", "/capacity"),
    ("volumes", "/volumes"),
    ("permissions.network.credentials", "/permissions/network/credentials"),
    ("audit", "/audit"),
];

/// Those of a context that has no other side.
fn own_fields(object: &AnyContext, is_new: bool) -> Vec<Field> {
    let spec = serde_json::to_value(object.spec()).unwrap_or_default();
    let fields = FIELDS.into_iter().chain([("expiry", "/expiry")]);
    let given = fields.filter_map(|(field, pointer)| Some((field, spec.pointer(pointer).cloned()?)));
    let of = |(field, value)| {
        let (old, new) = if is_new { (Value::Null, value) } else { (value, Value::Null) };
        Field { field, old, new }
    };
    given.map(of).collect()
}

/// What changed of them.
fn fields(old: (&AnyContext, &Context), new: (&AnyContext, &Context)) -> Vec<Field> {
    let by_default = |context: &Context| context.isolation_default.unwrap_or(Isolation::GVisor);
    let (before_context, after_context) = (old.1, new.1);
    let json = |object: &AnyContext| serde_json::to_value(object.spec()).unwrap_or_default();
    let (before, after) = (json(old.0), json(new.0));
    let value = |spec: &Value, pointer: &str| spec.pointer(pointer).cloned().unwrap_or_default();
    let mut changed = Vec::new();
    for (field, pointer) in FIELDS {
        let (old, new) = (value(&before, pointer), value(&after, pointer));
        if old != new && !(field == "isolation.default" && by_default(before_context) == by_default(after_context)) {
            changed.push(Field { field, old, new });
        }
    }
    // By what it means: absent is the level's, from the creation of the context on.
    let created = |object: &AnyContext| object.metadata().creation_timestamp.clone();
    let moved = created(old.0).is_none() && created(new.0).is_none();
    let same = old.1.expiry == new.1.expiry || (!moved && value(&before, "/expiry") == value(&after, "/expiry"));
    if !same {
        changed.push(Field { field: "expiry", old: value(&before, "/expiry"), new: value(&after, "/expiry") });
    }
    changed
}
