//! Contexts.

use ccos_crds::security_context as wire;
use ccos_policy::request::VolumeMount;
use ccos_policy::{Context, Expiry, Level, OnExpiry};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::faults::{Faults, FieldErrors};
use super::permissions::{granted, limits, literal};
use super::unheld::{Feature, Unhelds};
use crate::object::AnyContext;

/// Reads a context.
///
/// `now` stands for the creation of one that is not stored yet: `ccos check` and admission see such.
///
/// # Errors
/// All fields that can't be understood.
pub fn context(object: &AnyContext, now: Timestamp) -> Result<Context, FieldErrors> {
    let created = match object {
        AnyContext::Namespaced(object) => object.creation_timestamp(),
        AnyContext::Cluster(object) => object.creation_timestamp(),
    }
    .map_or(now, |time| time.0);
    let wire::SecurityContextSpec { level, permissions, limits: bounds, capacity, isolation, volumes, audit, expiry } =
        object.spec();
    let mut faults = Faults::default();
    let mut unheld = Unhelds::default();

    let level = self::level(*level);
    if level == Level::Pure && permissions.is_some() {
        faults.add("spec.permissions", "level Pure grants nothing: remove permissions, or use level Controlled");
    }
    let permissions = granted(&mut faults, &mut unheld, "spec.permissions", permissions.as_ref());
    let limits = limits(&mut faults, "spec.limits", bounds.as_ref());
    if let Some(capacity) = capacity {
        crate::capacity::Bounds::read(&mut faults, "spec.capacity", capacity);
    }
    let wire::IsolationRule { allowed, default } = isolation.clone().unwrap_or_default();
    if let (Some(default), Some(allowed)) = (default, &allowed)
        && !allowed.contains(&default)
    {
        faults.add("spec.isolation.default", format!("{default:?}: not in allowed, which has {allowed:?}"));
    }
    if level == Level::Sandboxed && audit.as_ref().is_some_and(|audit| audit.level != wire::AuditLevel::Comprehensive) {
        faults.add("spec.audit.level", "level Sandboxed is audited in full: write Comprehensive, or remove audit");
    }
    super::mounts::check(&mut faults, volumes);
    let volumes = volumes
        .iter()
        .enumerate()
        .filter_map(|(at, volume)| self::volume(&mut faults, &mut unheld, &format!("spec.volumes[{at}]"), volume))
        .collect();
    let expiry = self::expiry(&mut faults, level, created, expiry.as_ref());

    let context = Context {
        display: object.display(),
        level,
        permissions,
        limits,
        isolations_allowed: allowed.unwrap_or_default().into_iter().map(super::execution::isolation).collect(),
        isolation_default: default.map(super::execution::isolation),
        volumes,
        expiry,
        unheld: unheld.0,
    };
    faults.none_or(context)
}

pub(super) const fn level(level: wire::Level) -> Level {
    match level {
        wire::Level::Pure => Level::Pure,
        wire::Level::Controlled => Level::Controlled,
        wire::Level::Full => Level::Full,
        wire::Level::Sandboxed => Level::Sandboxed,
    }
}

fn volume(faults: &mut Faults, unheld: &mut Unhelds, path: &str, volume: &wire::Volume) -> Option<VolumeMount> {
    let wire::Volume { name: _, mount_path, persistent_volume_claim, config_map, secret, empty_dir } = volume;
    let kinds = [persistent_volume_claim.is_some(), config_map.is_some(), secret.is_some(), empty_dir.is_some()];
    if kinds.iter().filter(|given| **given).count() != 1 {
        faults.add(path, "give exactly one of persistentVolumeClaim, configMap, secret and emptyDir");
    }
    if empty_dir.as_ref().is_some_and(|volume| volume.size_limit.is_none()) {
        unheld.add(format!("{path}.emptyDir"), Feature::UnsizedEmptyDir);
    }
    let read_only_claim = persistent_volume_claim.as_ref().is_some_and(|claim| claim.read_only == Some(true));
    literal(faults, &format!("{path}.mountPath"), mount_path).map(|mount_path| VolumeMount {
        mount_path,
        writable: (persistent_volume_claim.is_some() && !read_only_claim) || empty_dir.is_some(),
    })
}

fn expiry(faults: &mut Faults, level: Level, created: Timestamp, given: Option<&wire::Expiry>) -> Expiry {
    let after = |faults: &mut Faults, millis: u64| {
        let span = i64::try_from(millis).ok().map(jiff::SignedDuration::from_millis);
        let at = span.and_then(|span| created.checked_add(span).ok());
        if at.is_none() {
            faults.add("spec.expiry.after", "ends after the last moment that can be told; use type Never");
        }
        at
    };
    let Some(wire::Expiry { kind, after: span, at, on_expiry }) = given else {
        let at = level
            .default_lifetime()
            .and_then(|lifetime| after(faults, u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX)));
        return Expiry { at, on_expiry: OnExpiry::Stop };
    };
    let on_expiry = match on_expiry {
        None | Some(wire::OnExpiry::Stop) => OnExpiry::Stop,
        Some(wire::OnExpiry::Drain) => OnExpiry::Drain,
    };
    let at = match (kind, span, at) {
        (wire::ExpiryKind::Never, None, None) => None,
        (wire::ExpiryKind::At, None, Some(at)) => Some(at.0),
        (wire::ExpiryKind::After, Some(span), None) => faults
            .parse::<ccos_policy::limits::Millis>("spec.expiry.after", &span.0)
            .and_then(|millis| after(faults, millis.0)),
        (wire::ExpiryKind::Never | wire::ExpiryKind::At | wire::ExpiryKind::After, _, _) => {
            faults.add("spec.expiry", "give after with type After, at with type At, and neither with type Never");
            None
        }
    };
    Expiry { at, on_expiry }
}
