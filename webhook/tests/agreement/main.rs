//! `ccos check` and the webhook say the same of the same objects: verdicts, reasons, fields and messages.
//!
//! Both come through `ccos_plan`, but each has a way of its own from bytes to objects, from objects to a question, and
//! from an answer to words. Here both are walked from end to end, with objects that are made up, many of them broken.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows them in tests, but not in what tests share"
)]

mod generate;

use std::collections::BTreeMap;

use ccos_cli::check::{Checked, Cluster, check};
use ccos_cli::input::{Text, World};
use ccos_plan::review::warnings;
use ccos_plan::{ParsedContexts, Policing, Trust};
use ccos_policy::Reason;
use ccos_supply::watchlist::Watchlist;
use ccos_webhook::admission;
use ccos_webhook::references::Found;
use ccos_webhook::review::{Asked, Refusal, Subject, asked, execution, grant};
use jiff::Timestamp;
use kube::core::response::Status;
use serde_json::{Value, json};

use generate::{Case, Dice};

const CASES: u64 = 10_000;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// What is said of the objects of a case.
#[derive(Debug, Default, PartialEq)]
struct Said {
    /// Fields that can't be understood, of all objects, with why; sorted.
    faults: Vec<(String, String)>,
    /// What authors are warned of; sorted.
    warnings: Vec<String>,
    /// Of the execution: `None` if it is allowed, else the message and each cause.
    denied: Option<(String, Vec<Cause>)>,
}

/// Field, reason and message.
type Cause = (String, String, String);

/// The webhook's words, as the API server gets them.
fn webhook(case: &Case) -> Said {
    let mut said = Said::default();
    let mut found = Found { context: None, provider: None };
    for object in [&case.context, &case.provider, &case.execution] {
        let body = review(object).to_string();
        let request = admission::read(body.as_bytes()).unwrap();
        let who = request.requester_display();
        let verdict = asked(&request).and_then(|asked| match asked {
            // What is refused is not stored, and so not found by what comes after.
            Asked::Context(context) => grant::context(&context, &who, &[], None, now()).map(|allowed| {
                found.context = Some(context);
                allowed.warnings
            }),
            Asked::Provider(provider) => grant::provider(&provider, &who, &[], &Watchlist::default()).map(|allowed| {
                found.provider = Some(provider);
                allowed.warnings
            }),
            Asked::Created(object) => {
                let found = case.finds(&found);
                // What only a cluster knows is not asked: of tags, signatures and lists `ccos check` says that it can't know.
                let (isolations, contexts) = (Cluster::default().isolations, ParsedContexts::default());
                let (rules, trust) = ((&isolations, &Policing::NotAsked, &contexts), Trust::Offline);
                let admitted = execution::decide(&object, &who, &found, &trust, &[], rules, now());
                admitted.map(|admitted| warnings(&admitted, found.context.as_ref()))
            }
            Asked::Changed { .. } | Asked::Policy(_) | Asked::Unchanged => panic!("{body}"),
        });
        match verdict {
            Ok(warnings) => said.warnings.extend(warnings),
            Err(refusal) => {
                let Status { message, details, .. } = refusal.status(&Subject::of(&request));
                let causes = details.unwrap().causes.into_iter();
                match refusal {
                    Refusal::Invalid(_) => said.faults.extend(causes.map(|cause| (cause.field, cause.message))),
                    Refusal::Denied { .. } => {
                        let causes = causes.map(|cause| (cause.field, cause.reason, cause.message)).collect();
                        said.denied = Some((message, causes));
                    }
                    other => panic!("{other:?} of {body}"),
                }
            }
        }
    }
    said.sorted()
}

fn review(object: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": "CREATE", "userInfo": {"username": "ann"},
        "kind": {"group": "security.ccos.dev", "version": "v1alpha1", "kind": object["kind"]},
        "name": object["metadata"]["name"].as_str().unwrap_or_default(),
        "namespace": "n", "object": object,
    }})
}

/// JSON is YAML, but for characters that do not print: those YAML wants escaped.
fn yaml(object: &Value) -> String {
    let escape = |c: char| match c {
        '\u{7f}'..='\u{9f}' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    object.to_string().chars().map(escape).collect()
}

/// The words of `ccos check`.
fn cli(case: &Case) -> Said {
    let text = [&case.context, &case.provider, &case.execution].map(yaml).join("\n---\n");
    let mut faults = Vec::new();
    let world = World::read(&[Text { file: "-".to_owned(), text }], "n", &mut faults);
    let Checked { faults: more, warnings, verdicts } = check(&world, &Cluster::default().isolations, now());
    let faults = faults.into_iter().chain(more);
    let mut said = Said {
        faults: faults.map(|fault| (fault.field.unwrap_or_default(), fault.message)).collect(),
        warnings: warnings.into_iter().map(|warning| warning.message).collect(),
        denied: None,
    };
    for verdict in verdicts {
        let causes = verdict.causes.into_iter().map(|cause| (cause.field, cause.reason.to_owned(), cause.message));
        said.denied = verdict.rejection.map(|message| (message, causes.collect()));
    }
    said.sorted()
}

impl Said {
    /// Without what `ccos check` does not say: where something is invalid, nothing is decided.
    fn sorted(mut self) -> Self {
        self.faults.sort();
        self.warnings.sort();
        if !self.faults.is_empty() {
            self.denied = None;
        }
        self
    }
}

#[test]
fn the_webhook_and_ccos_check_say_the_same() {
    let threads = std::thread::available_parallelism().map_or(2, |n| u64::try_from(n.get()).unwrap_or(2)).min(8);
    let tallies: Vec<BTreeMap<String, usize>> = std::thread::scope(|scope| {
        let work = |first: u64| {
            move || (first..CASES).step_by(usize::try_from(threads).unwrap()).map(compare).fold(BTreeMap::new(), tally)
        };
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(work(first))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (what, count) in tallies.into_iter().flatten() {
        *seen.entry(what).or_default() += count;
    }
    // Or else it would prove nothing: there must be enough of each.
    for (what, least) in [("allowed", 500), ("denied", 2000), ("invalid", 2000), ("warned", 500)] {
        assert!(seen.get(what).copied().unwrap_or_default() >= least, "{what}: {seen:#?}");
    }
    // Whom the cluster lets use what, and its policies and ceiling, are not asked here; an invalid provider is not stored.
    let elsewhere = [
        Reason::UseForbidden,
        Reason::ProviderInvalid,
        Reason::InvalidInputs,
        Reason::PolicyDenied,
        Reason::CeilingExceeded,
    ];
    for reason in Reason::ALL.iter().filter(|reason| !elsewhere.contains(reason)) {
        assert!(seen.contains_key(reason.as_str()), "no case is {reason}: {seen:#?}");
    }
}

fn compare(seed: u64) -> Said {
    let case = Case::of(&mut Dice::new(seed));
    let (webhook, cli) = (webhook(&case), cli(&case));
    assert!(webhook == cli, "seed {seed}\nwebhook: {webhook:#?}\nccos check: {cli:#?}\n{case}");
    webhook
}

fn tally(mut seen: BTreeMap<String, usize>, said: Said) -> BTreeMap<String, usize> {
    let Said { faults, warnings, denied } = said;
    let mut add = |what: &str| *seen.entry(what.to_owned()).or_default() += 1;
    match (&faults[..], &denied) {
        ([], None) => add("allowed"),
        ([], Some((_, causes))) => {
            add("denied");
            for (_, reason, _) in causes {
                add(reason);
            }
        }
        (_, _) => add("invalid"),
    }
    if !warnings.is_empty() {
        add("warned");
    }
    seen
}
