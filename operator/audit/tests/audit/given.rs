//! A trail to attack.

use std::collections::BTreeMap;

use ccos_audit::event::{Close, Decision, End, Object, Open, Outcome, Receipt, Requester, Start, Wait};
use ccos_audit::verify::{Kind, Scope};
use ccos_audit::{Chain, Event, Head, Keys, Report, Verifier, Writer, keys};
use ed25519_dalek::SigningKey;
use jiff::{SignedDuration, Timestamp};

pub fn key(writer: Writer) -> SigningKey {
    SigningKey::from_bytes(&[if writer == Writer::Webhook { 1 } else { 2 }; 32])
}

pub fn receipt_key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

pub fn at(seconds: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

pub fn data(entries: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    entries.into_iter().collect()
}

/// The keys of both, and these heads in the ConfigMaps.
pub fn known(heads: &[(Writer, Head)]) -> Keys {
    let mut known = Keys::default();
    for writer in Writer::ALL {
        let mut entries = data([keys::entry(&key(writer).verifying_key())]);
        let own = heads.iter().filter(|(of, _)| *of == writer);
        entries.extend(own.map(|(_, head)| keys::anchor(head).unwrap()));
        known.add(writer, &entries);
    }
    known.add_receipt_keys(&data([("0123".to_owned(), encoded(&receipt_key()))]));
    known
}

pub fn encoded(key: &SigningKey) -> String {
    keys::entry(&key.verifying_key()).1
}

pub fn chain(writer: Writer, id: u8) -> Chain {
    Chain::new(writer, key(writer), [id; 16])
}

pub fn object(name: &str) -> Object {
    Object {
        kind: "CapabilityExecution".to_owned(),
        namespace: Some("demo".to_owned()),
        name: name.to_owned(),
        uid: Some(format!("uid-{name}")),
    }
}

pub fn open(after: Vec<Head>) -> Event {
    Event::Open(Open { instance: "ccos-webhook-1".to_owned(), version: "0.1.0".to_owned(), after })
}

pub fn receipt(name: &str) -> Receipt {
    Receipt {
        nonce: format!("nonce-{name}"),
        admitted_at: at(5),
        context_uid: "c".to_owned(),
        context_generation: 1,
        volumes_digest: "sha256:0".to_owned(),
        provider_uid: "p".to_owned(),
        provider_generation: 1,
        source_digest: "sha256:1".to_owned(),
        capability_digest: "sha256:2".to_owned(),
        spec_digest: "sha256:3".to_owned(),
        decision_digest: "sha256:4".to_owned(),
    }
}

pub fn admitted(name: &str) -> Event {
    Event::Decision(Box::new(Decision {
        object: object(name),
        operation: "CREATE".to_owned(),
        outcome: Outcome::Admitted,
        requester: Requester { user: "ann".to_owned(), ..Requester::default() },
        references: None,
        receipt: Some(receipt(name)),
        causes: Vec::new(),
        causes_more: 0,
        inputs_digest: None,
        environment: Vec::new(),
    }))
}

pub fn start(name: &str) -> Event {
    Event::Start(Start {
        object: object(name),
        nonce: format!("nonce-{name}"),
        pod: format!("{name}-1"),
        context_generation: 1,
        decision_digest: "sha256:4".to_owned(),
        decision: Some(serde_json::json!({"isolation": "GVisor", "limits": {"memory": 67_108_864_u64, "share": 0.5}})),
    })
}

pub fn wait(name: &str) -> Event {
    Event::Wait(Wait { object: object(name), reason: "CapacityExhausted".to_owned() })
}

pub fn end(name: &str) -> Event {
    Event::End(End {
        object: object(name),
        nonce: Some(format!("nonce-{name}")),
        reason: "Completed".to_owned(),
        exit_code: Some(0),
        usage: None,
        denials: Vec::new(),
        denied_more: None,
    })
}

/// Lines of a webhook and of a controller among others, as one log; and the heads that the cluster knows.
pub struct Trail {
    pub lines: Vec<String>,
    pub heads: Vec<(Writer, Head)>,
}

/// Each execution is admitted, starts and ends; the chains take turns.
pub fn trail(executions: u32) -> Trail {
    let (mut webhook, mut controller) = (chain(Writer::Webhook, 1), chain(Writer::Controller, 2));
    let mut lines = vec![
        r#"{"level":"INFO","message":"is ready"}"#.to_owned(),
        webhook.append(&open(Vec::new()), at(0)).unwrap(),
        controller.append(&open(Vec::new()), at(1)).unwrap(),
    ];
    for number in 0..executions {
        let name = format!("e{number}");
        lines.push(webhook.append(&admitted(&name), at(5)).unwrap());
        lines.push("not even JSON".to_owned());
        lines.push(controller.append(&start(&name), at(6)).unwrap());
        lines.push(controller.append(&end(&name), at(7)).unwrap());
    }
    lines.push(webhook.append(&Event::Close(Close {}), at(8)).unwrap());
    let heads = vec![(Writer::Webhook, webhook.head().unwrap()), (Writer::Controller, controller.head().unwrap())];
    Trail { lines, heads }
}

impl Trail {
    /// What is said of these lines, in the cluster of this trail.
    pub fn verify(&self, lines: &[String]) -> Report {
        verify(&known(&self.heads), Scope::default(), &[lines])
    }

    /// Places of the lines that are of the trail.
    pub fn audited(&self) -> Vec<usize> {
        (0..self.lines.len()).filter(|at| self.lines[*at].starts_with(ccos_audit::line::START)).collect()
    }
}

pub fn verify(keys: &Keys, scope: Scope, files: &[&[String]]) -> Report {
    let mut verifier = Verifier::new(keys, scope);
    for (number, lines) in files.iter().enumerate() {
        verifier.file(&format!("{number}.log"));
        for line in *lines {
            verifier.line(line);
        }
    }
    verifier.finish()
}

/// Exactly these kinds were found, however often.
#[track_caller]
pub fn finds(report: &Report, expected: &[Kind]) {
    let mut kinds: Vec<Kind> = report.findings.iter().map(|finding| finding.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let said: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(kinds, expected, "{said:#?}");
    assert_eq!(report.clean, expected.is_empty());
}
