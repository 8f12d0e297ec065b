//! What an execution may rely on, setting by setting: the rules are below, one function each.

mod annotations;
mod guest;
mod keys;
mod resources;
mod wall;

use crate::read::Kata;

/// A setting, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key, such as `runtime.sandbox_cgroup_only`.
    pub key: String,
    /// What it is set to, as in the file; `None`: it is not there.
    pub value: Option<String>,
    /// The file that says so.
    pub file: Option<String>,
    /// What it means for an execution.
    pub verdict: Verdict,
    /// What follows.
    pub consequence: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
    /// How that is known.
    pub basis: Basis,
}

/// What a setting means for an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// What executions rely on holds.
    Holds,
    /// Holds less than it looks, or less than it could; executions don't rely on it.
    Weak,
    /// Something that executions rely on doesn't hold.
    Refused,
}

/// How something about Kata is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Seen on a running Kata 4.0.0: runtime-rs with QEMU, under emulation.
    Measured,
    /// Read in the sources and documents of Kata 4.1.0.
    Documented,
}

/// All that is to be said of a configuration, in a fixed order.
#[must_use]
pub fn findings(kata: &Kata) -> Vec<Finding> {
    let mut report = Report { kata, found: Vec::new() };
    guest::user_namespaces(&mut report);
    guest::debugging(&mut report);
    guest::hooks(&mut report);
    wall::network(&mut report);
    wall::vmm(&mut report);
    wall::files(&mut report);
    wall::templates(&mut report);
    resources::cgroup(&mut report);
    resources::size(&mut report);
    resources::empty_dirs(&mut report);
    resources::rates(&mut report);
    annotations::of_the_hypervisor(&mut report);
    annotations::of_the_runtime(&mut report);
    annotations::policy(&mut report);
    keys::unread(&mut report);
    report.found
}

/// Findings in the making.
struct Report<'a> {
    kata: &'a Kata,
    found: Vec<Finding>,
}

/// Where a setting is.
#[derive(Clone, Copy)]
enum At<'a> {
    Hypervisor(&'a str),
    Agent(&'a str),
    Runtime(&'a str),
}

impl Report<'_> {
    fn path<'p>(&'p self, at: At<'p>) -> Vec<&'p str> {
        match at {
            At::Hypervisor(key) => vec!["hypervisor", &self.kata.hypervisor_name, key],
            At::Agent(key) => vec!["agent", self.kata.agent().map_or("kata", |(name, _)| name), key],
            At::Runtime(key) => vec!["runtime", key],
        }
    }

    /// A setting by its place.
    fn add(&mut self, at: At<'_>, (verdict, basis): (Verdict, Basis), consequence: impl Into<String>, advice: &str) {
        let path: Vec<String> = self.path(at).into_iter().map(str::to_owned).collect();
        self.add_at(&path, (verdict, basis), consequence, advice);
    }

    fn add_at(
        &mut self,
        path: &[String],
        (verdict, basis): (Verdict, Basis),
        consequence: impl Into<String>,
        advice: &str,
    ) {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        self.found.push(Finding {
            key: parts.join("."),
            value: self.kata.value(&parts).map(ToString::to_string),
            file: self.kata.origin(&parts).map(str::to_owned),
            verdict,
            consequence: consequence.into(),
            advice: advice.to_owned(),
            basis,
        });
    }
}

fn is_set(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}
