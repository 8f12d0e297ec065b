//! Contexts.

use std::collections::BTreeSet;

use ccos_crds::security_context as wire;
use ccos_policy::request::VolumeMount;
use ccos_policy::{Bytes, Context, Expiry, Level, OnExpiry};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::faults::{Faults, FieldErrors, quoted};
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
    if level == Level::Sandboxed && allowed.iter().flatten().any(|one| *one == wire::Isolation::Container) {
        faults.add(
            "spec.isolation.allowed",
            "level Sandboxed allows GVisor, Kata and Wasm only: remove Container, or use level Controlled",
        );
    }
    if level == Level::Sandboxed && audit.as_ref().is_some_and(|audit| audit.level != wire::AuditLevel::Comprehensive) {
        faults.add("spec.audit.level", "level Sandboxed is audited in full: write Comprehensive, or remove audit");
    }
    super::mounts::check(&mut faults, volumes);
    self::claims(&mut faults, volumes);
    self::scratch(&mut faults, volumes, limits.or_default(level.default_limits()).disk);
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
    if let Some(volume) = empty_dir {
        if volume.size_limit.is_none() {
            unheld.add(format!("{path}.emptyDir"), Feature::UnsizedEmptyDir);
        }
        if volume.medium.as_deref() != Some("Memory") {
            unheld.add(format!("{path}.emptyDir"), Feature::DiskEmptyDir);
        }
    }
    let read_only_claim = persistent_volume_claim.as_ref().is_some_and(|claim| claim.read_only == Some(true));
    literal(faults, &format!("{path}.mountPath"), mount_path).map(|mount_path| VolumeMount {
        mount_path,
        writable: (persistent_volume_claim.is_some() && !read_only_claim) || empty_dir.is_some(),
        in_memory: empty_dir.as_ref().is_some_and(|volume| volume.medium.as_deref() == Some("Memory")),
    })
}

/// A claim that is at two places could be written at one and executed at the other.
fn claims(faults: &mut Faults, volumes: &[wire::Volume]) {
    let mut named = BTreeSet::new();
    for (at, volume) in volumes.iter().enumerate() {
        if let Some(claim) = &volume.persistent_volume_claim
            && !named.insert(&claim.claim_name)
        {
            let message = format!("{}: is mounted twice; give a claim one place", quoted(&claim.claim_name));
            faults.add(format!("spec.volumes[{at}].persistentVolumeClaim.claimName"), message);
        }
    }
}

/// What its emptyDirs hold together is disk, which the context's limit bounds, and the cluster's ceiling through that.
fn scratch(faults: &mut Faults, volumes: &[wire::Volume], disk: Bytes) {
    let mut sum = Some(0_u64);
    for (at, volume) in volumes.iter().enumerate() {
        let Some(size) = volume.empty_dir.as_ref().and_then(|volume| volume.size_limit.as_ref()) else { continue };
        let bytes = faults.parse::<Bytes>(&format!("spec.volumes[{at}].emptyDir.sizeLimit"), &size.0);
        sum = sum.zip(bytes).and_then(|(sum, bytes)| sum.checked_add(bytes.0));
    }
    if let Some(sum) = sum.map(Bytes).filter(|sum| *sum > disk) {
        let message = format!("its emptyDirs have {sum} together, more than limits.disk, which is {disk}");
        faults.add("spec.volumes", message);
    }
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
