//! What finds out whether a trail is whole.
//!
//! Lines come in any number of files, among others, and of several chains. Each has to be signed by its writer; those of a
//! chain have to be there without a gap, in their order, each naming the one before. What a chain can't show is its own
//! end: that is looked for in the heads that the writers keep in the cluster, in the lines of later chains, and in the
//! receipts of executions ([`Expected`]).

mod chain;
mod expect;
mod report;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::event::Event;
use crate::keys::{Keys, Writer};
use crate::line::{Head, Line, LineError, START, digest};
use chain::{Claimed, Entry, Seen};
pub use expect::{Expected, Finished};
pub use report::{ChainReport, Finding, Kind, Place, Report};
use report::{Findings, at};

/// Who writes such a line; `None`: both. A key is good for its own writer's lines only: whoever has the controller's can't
/// make up what the webhook decided.
const fn writer(event: &Event) -> Option<Writer> {
    match event {
        Event::Decision(_) | Event::Registration(_) | Event::Change(_) => Some(Writer::Webhook),
        Event::Start(_) | Event::Stop(_) | Event::Retry(_) | Event::End(_) | Event::Wait(_) => Some(Writer::Controller),
        Event::Open(_) | Event::Close(_) => None,
    }
}

/// What to look for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope {
    /// What was written before is not missed: it was archived, or is out of question.
    pub since: Option<Timestamp>,
    /// What was written later is not missed: the lines were collected then.
    pub until: Option<Timestamp>,
    /// Each line has to be one of the trail, as in the files of its volume.
    pub strict: bool,
}

impl Scope {
    /// Whether what was written then has to be there.
    fn has(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at > since) && self.until.is_none_or(|until| at <= until)
    }
}

/// Takes lines, and tells at the end what is wrong.
#[derive(Debug)]
pub struct Verifier<'k> {
    keys: &'k Keys,
    scope: Scope,
    files: Vec<String>,
    line: u64,
    lines: u64,
    others: u64,
    chains: BTreeMap<String, Seen>,
    /// Places of chains that lines claim which were found wrong: said once, such a line is not missed as well.
    claimed: Claimed,
    /// Heads that lines told of.
    told: Vec<(Place, Head)>,
    executions: expect::Lines,
    findings: Findings,
}

impl<'k> Verifier<'k> {
    /// One that believes these keys.
    #[must_use]
    pub fn new(keys: &'k Keys, scope: Scope) -> Self {
        Self {
            keys,
            scope,
            files: Vec::new(),
            line: 0,
            lines: 0,
            others: 0,
            chains: BTreeMap::new(),
            claimed: Claimed::default(),
            told: Vec::new(),
            executions: expect::Lines::default(),
            findings: Findings::default(),
        }
    }

    /// From here on, lines are of this file.
    pub fn file(&mut self, name: &str) {
        self.files.push(name.to_owned());
        self.line = 0;
    }

    /// Takes a line, without its end.
    pub fn line(&mut self, text: &str) {
        self.line += 1;
        // What is in front was put there by whoever collected it.
        let Some(start) = text.find(START) else {
            self.others += 1;
            if self.scope.strict && !text.is_empty() {
                let place = self.place();
                self.findings.add(Finding::new(Kind::Foreign, "it is no line of the trail").at(place));
            }
            return;
        };
        self.lines += 1;
        let text = text.get(start..).unwrap_or_default().trim_end();
        match Line::read(text, self.keys) {
            Ok(line) => self.genuine(&line, text),
            Err((error, line)) => self.wrong(&error, line.as_deref()),
        }
    }

    fn wrong(&mut self, error: &LineError, line: Option<&Line>) {
        let kind = match error {
            LineError::Unreadable(_) | LineError::NotCanonical | LineError::Forged => Kind::Changed,
            LineError::UnknownKey(_) | LineError::OtherWriter { .. } | LineError::ReceiptKey => Kind::Foreign,
        };
        let mut finding = Finding::new(kind, error.to_string()).at(self.place());
        if let Some(line) = line {
            finding = finding.of(&line.chain, line.seq);
            if kind == Kind::Changed {
                self.claimed.insert((line.chain.clone(), line.seq));
            }
        }
        self.findings.add(finding);
    }

    fn genuine(&mut self, line: &Line, text: &str) {
        let place = self.place();
        let event = line.event();
        let other = match (event.as_ref().and_then(writer), self.chains.get(&line.chain).map(Seen::writer)) {
            (Some(writer), _) if writer != line.writer => Some(format!("only the {writer} writes such a line")),
            (_, Some(writer)) if writer != line.writer => Some(format!("its chain is the {writer}'s")),
            _ => None,
        };
        if let Some(why) = other {
            let message = format!("it is signed by the {}, and {why}", line.writer);
            self.claimed.insert((line.chain.clone(), line.seq));
            self.findings.add(Finding::new(Kind::Foreign, message).at(place).of(&line.chain, line.seq));
            return;
        }
        if let Some(Event::Open(open)) = &event {
            self.told.extend(open.after.iter().map(|head| (place.clone(), head.clone())));
        }
        if let Some(event) = &event {
            self.executions.take(event);
        }
        let file = self.files.len();
        let entry = Entry { digest: digest(text), prev: line.prev.clone(), time: line.time, file, line: self.line };
        let seen = self.chains.entry(line.chain.clone()).or_insert_with(|| Seen::new(line.writer));
        if let Some((kind, message)) = seen.take(line, entry, matches!(event, Some(Event::Close(_)))) {
            self.findings.add(Finding::new(kind, message).at(place).of(&line.chain, line.seq));
        }
    }

    fn place(&self) -> Place {
        Place { file: self.files.last().cloned().unwrap_or_else(|| "-".to_owned()), line: self.line }
    }

    /// Takes an execution of the cluster, after all lines.
    pub fn expect(&mut self, execution: &Expected) {
        self.executions.expect(execution, self.scope, &mut self.findings);
    }

    /// What is wrong.
    #[must_use]
    pub fn finish(self) -> Report {
        let Self { keys, scope, files, line: _, lines, others, chains, claimed, told, executions, mut findings } = self;
        for (id, seen) in &chains {
            seen.gaps(id, scope.since, &claimed, &mut findings, &files);
        }
        let anchored =
            keys.anchors().iter().map(|(writer, head)| (None, format!("ConfigMap {}", writer.object_name()), head));
        let told = told.iter().map(|(place, head)| (Some(place), "this line".to_owned(), head));
        for (place, by, head) in anchored.chain(told) {
            if !scope.has(head.time) {
                continue;
            }
            let finding = chain::reaches(chains.get(&head.chain), head, &claimed, &by);
            findings.extend(finding.map(|finding| at(finding, place).of(&head.chain, head.seq)));
        }
        let copies = chains.values().map(Seen::copies).sum();
        let chains = chains.into_iter().map(|(id, seen)| seen.report(id)).collect();
        report::report(lines, others, copies, executions.count(), chains, findings)
    }
}
