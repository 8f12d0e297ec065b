//! Objects as users write them, with a few changes to their text: reading, judging and refusing them never panics, and
//! what is said offline is said again.

use std::sync::Arc;

use ccos_crds::{CapabilityExecution, CapabilityProvider, SecurityContext};
use ccos_plan::review::{References, Verdict, rejection, review};
use ccos_plan::{AnyContext, AnyProvider, Policing, Trust, schema};
use ccos_policy::{Decision, Isolation, IsolationProfile, Isolations, Use};
use fastrand::Rng;
use serde_json::Value;

use super::text;

pub(super) const CONTEXT: &str = "
apiVersion: security.ccos.dev/v1alpha1
kind: SecurityContext
metadata: {name: analysts, namespace: data, uid: c0, generation: 1, creationTimestamp: '2026-11-24T06:00:00Z'}
spec:
  level: Controlled
  permissions:
    filesystem: {read: ['/data/**', '/app', '/srv/*/x-?'], write: ['/workspace/**'], execute: ['/opt/**'], blocked: ['/data/private']}
    network: {outbound: [{host: '*.example.com', ports: [{port: 443}]}, {cidr: 203.0.113.0/24, ports: [{port: 1, endPort: 9}]}], blocked: [{cidr: 169.254.0.0/16}], maxConnections: 4}
    system: {commands: ['/app/*'], processCreation: Allowed}
    environment: {read: [MODE, 'APP_*']}
  limits: {memory: 256Mi, cpu: 500m, cpuTime: 60s, wallTime: 1m, disk: 32Mi, fileDescriptors: 64, threads: 8}
  capacity: {executions: 3, memory: 4Gi}
  isolation: {allowed: [GVisor, Kata], default: GVisor}
  volumes: [{name: sales, mountPath: /data, configMap: {name: sales}}]
  expiry: {type: After, after: 1h, onExpiry: Stop}
";

pub(super) const PROVIDER: &str = "
apiVersion: security.ccos.dev/v1alpha1
kind: CapabilityProvider
metadata: {name: csv, namespace: data, uid: p0, generation: 1}
spec:
  version: 1.0.0
  source: {image: {reference: 'registry.test/python@sha256:0000000000000000000000000000000000000000000000000000000000000000'}}
  capabilities:
  - id: csv.summary
    command: [/usr/bin/python3, /app/analyse.py]
    requires:
      permissions:
        filesystem: {read: ['/data/**', '/app'], write: [/workspace], blocked: ['/data/private']}
        system: {commands: [/app/run]}
        environment: {read: [MODE]}
      limits: {memory: 64Mi}
";

pub(super) const EXECUTION: &str = "
apiVersion: security.ccos.dev/v1alpha1
kind: CapabilityExecution
metadata: {name: summary, namespace: data, uid: e0, generation: 1, creationTimestamp: '2026-11-24T06:10:00Z'}
spec:
  contextRef: {kind: SecurityContext, name: analysts}
  capabilityRef: {kind: CapabilityProvider, name: csv, id: csv.summary}
  inputs: {groupBy: region, n: 1.5}
  env: [{name: MODE, value: fast}]
  requires: {permissions: {filesystem: {read: ['/data/in']}}, limits: {memory: 32Mi}}
";

/// One case.
pub fn fuzz(random: &mut Rng) {
    // Mostly one of the three, so that the others lead further.
    let which = random.usize(..4);
    let mut text =
        |at: usize, text: &str| if which == at || which == 3 { changed(random, text) } else { text.to_owned() };
    let texts = [text(0, CONTEXT), text(1, PROVIDER), text(2, EXECUTION)];
    for (text, kind) in texts.iter().zip(["SecurityContext", "CapabilityProvider", "CapabilityExecution"]) {
        if let Ok(value) = serde_saphyr::from_str::<Value>(text) {
            let _faults = schema::faults(kind, &value);
        }
    }
    let context = serde_saphyr::from_str::<SecurityContext>(&texts[0]).ok();
    let provider = serde_saphyr::from_str::<CapabilityProvider>(&texts[1]).ok();
    let Ok(object) = serde_saphyr::from_str::<CapabilityExecution>(&texts[2]) else { return };
    let found = References {
        context: context.map(|context| AnyContext::Namespaced(Arc::new(context))),
        provider: provider.map(|provider| AnyProvider::Namespaced(Arc::new(provider))),
        may_use: Use::Allowed,
        policing: Policing::NotAsked,
        trust: Trust::Offline,
    };
    let gvisor = IsolationProfile {
        runtime_class: Some("gvisor".to_owned()),
        user_namespaces: true,
        ..IsolationProfile::default()
    };
    let isolations = Isolations([(Isolation::GVisor, gvisor)].into());
    let now = "2026-11-24T06:10:00Z".parse().unwrap();
    let verdict = review(&object, &found, &isolations, now);
    assert_eq!(review(&object, &found, &isolations, now), verdict, "asked again");
    match verdict {
        Verdict::Invalid(faults) => assert!(!faults.to_string().is_empty()),
        Verdict::Decided(Decision::Denied(denials)) => assert!(rejection(&object, &denials).contains('\n')),
        Verdict::Decided(Decision::Admitted(_)) => {
            assert!(found.context.is_some() && found.provider.is_some(), "admitted without a context or a provider");
        }
    }
}

/// The text with a value or a few characters changed.
fn changed(random: &mut Rng, text: &str) -> String {
    if random.bool() {
        return text::mutate(random, text);
    }
    // A word in quotes or between delimiters becomes another.
    let is_word = |c: char| c.is_alphanumeric() || "/*?.-_".contains(c);
    let starts: Vec<usize> = text.match_indices(is_word).map(|(at, _)| at).collect();
    let start = starts[random.usize(..starts.len())];
    let end = start + text[start..].find(|c| !is_word(c)).unwrap_or(text.len() - start);
    let word = match random.u8(..4) {
        0 => text::path(random, 40),
        1 => text::soup(random, 6),
        2 => random.i64(..).to_string(),
        _ => {
            ["null", "[]", "{}", "''", "1e99", "-1", "true", "~", "!!binary x", "&a *a"][random.usize(..10)].to_owned()
        }
    };
    format!("{}{word}{}", &text[..start], &text[end..])
}
