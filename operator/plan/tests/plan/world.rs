//! Objects as users write them, and short ways to say what is asked of them.

use std::sync::Arc;

use ccos_crds::{CapabilityExecution, CapabilityProvider, SecurityContext};
use ccos_plan::build::Operator;
use ccos_plan::review::{References, Verdict, review};
use ccos_plan::status::Granted;
use ccos_plan::{AnyContext, AnyProvider, ClusterProfile, Policing, Trust, receipt};
use ccos_policy::{Admitted, Decision, Use};
use ccos_profile::ReportTo;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub(crate) const CONTEXT: &str = "
apiVersion: security.ccos.dev/v1alpha1
kind: SecurityContext
metadata: {name: analysts, namespace: data, uid: c0, generation: 1, creationTimestamp: '2026-11-24T06:00:00Z'}
spec:
  level: Controlled
  permissions:
    filesystem: {read: ['/data/**', '/app'], write: ['/workspace/**'], blocked: ['/data/private']}
    environment: {read: [MODE, TOKEN]}
  limits: {memory: 256Mi, cpu: 500m, wallTime: 1m, disk: 32Mi}
  capacity: {executions: 3}
  isolation: {allowed: [GVisor, Kata]}
  volumes:
  - {name: sales, mountPath: /data, configMap: {name: sales}}
  - {name: unused, mountPath: /secrets, secret: {secretName: keys}}
";

pub(crate) const PROVIDER: &str = "
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
        environment: {read: [MODE, TOKEN]}
      limits: {memory: 64Mi}
";

pub(crate) const EXECUTION: &str = "
apiVersion: security.ccos.dev/v1alpha1
kind: CapabilityExecution
metadata: {name: summary, namespace: data, uid: e0e0e0e0-1111-2222-3333-444444444444, generation: 1, creationTimestamp: '2026-11-24T06:10:00Z'}
spec:
  contextRef: {kind: SecurityContext, name: analysts}
  capabilityRef: {kind: CapabilityProvider, name: csv, id: csv.summary}
  inputs: {groupBy: region}
  inputsFrom: [{configMapKeyRef: {name: notes, key: note}, as: note}]
  env: [{name: MODE, value: fast}, {name: TOKEN, secretKeyRef: {name: keys, key: token}}]
";

pub(crate) fn now() -> Timestamp {
    "2026-11-24T06:10:00Z".parse().unwrap()
}

pub(crate) fn operator() -> Operator {
    let certificate = "-----BEGIN CERTIFICATE-----".to_owned();
    let report = ReportTo { address: "10.96.1.2:8443".parse().unwrap(), certificate };
    Operator { namespace: "ccos-system".to_owned(), report, secret: "s3cret".to_owned() }
}

pub(crate) fn cluster() -> ClusterProfile {
    ClusterProfile::parse(
        "
runnerImage: registry.test/runner@sha256:1111111111111111111111111111111111111111111111111111111111111111
priorityClassName: ccos-execution
startDeadline: 1m
isolations:
  GVisor: {runtimeClass: gvisor, userNamespaces: true}
  Kata: {runtimeClass: kata, userNamespaces: true}
  Container: {userNamespaces: false, landlockAbi: 7, podUserNamespaces: true}
",
    )
    .unwrap()
}

/// The same, with an egress proxy.
pub(crate) fn cluster_with_egress() -> ClusterProfile {
    let mut cluster = cluster();
    cluster.isolations.0.values_mut().for_each(|profile| profile.egress = true);
    cluster
}

pub(crate) fn context() -> SecurityContext {
    serde_saphyr::from_str(CONTEXT).unwrap()
}

pub(crate) fn provider() -> CapabilityProvider {
    serde_saphyr::from_str(PROVIDER).unwrap()
}

pub(crate) fn execution() -> CapabilityExecution {
    serde_saphyr::from_str(EXECUTION).unwrap()
}

pub(crate) fn found(context: SecurityContext, provider: CapabilityProvider) -> References {
    References {
        context: Some(AnyContext::Namespaced(Arc::new(context))),
        provider: Some(AnyProvider::Namespaced(Arc::new(provider))),
        may_use: Use::Allowed,
        policing: Policing::NotAsked,
        trust: Trust::Cluster(Arc::default()),
    }
}

pub(crate) fn admitted(object: &CapabilityExecution, found: &References) -> Admitted {
    match review(object, found, &cluster_with_egress().isolations, now()) {
        Verdict::Decided(Decision::Admitted(admitted)) => admitted,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn keys() -> receipt::Keys {
    let public = key().verifying_key();
    receipt::Keys::read([(&receipt::kid(&public), &receipt::encode_key(&public))])
}

/// What the webhook would say of it.
pub(crate) fn claims(object: &CapabilityExecution, found: &References) -> receipt::Claims {
    let admission = receipt::Admission {
        void: false,
        nonce: "0123456789abcdef".to_owned(),
        now: now(),
        namespace: "data",
        requester: receipt::Requester { user: "ann".to_owned(), ..receipt::Requester::default() },
        context: found.context.as_ref().unwrap(),
        provider: found.provider.as_ref().unwrap(),
    };
    receipt::claims(object, admission, &admitted(object, found)).unwrap()
}

/// The execution with a receipt that says this.
pub(crate) fn stamped(mut object: CapabilityExecution, claims: receipt::Claims) -> CapabilityExecution {
    let text = receipt::sign(claims, &key()).unwrap();
    object.metadata.annotations = Some([(ccos_crds::RECEIPT_ANNOTATION.to_owned(), text)].into());
    object
}

pub(crate) fn granted(object: &CapabilityExecution, found: &References) -> Granted {
    let claims = claims(object, found);
    let (context_generation, digest) = (claims.context_generation, claims.decision_digest.clone());
    Granted { claims, admitted: admitted(object, found), context_generation, digest }
}

pub(crate) fn time(text: &str) -> Time {
    Time(text.parse().unwrap())
}
