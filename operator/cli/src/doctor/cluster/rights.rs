//! Who is inside the boundary: who could reach into executions' pods, or use contexts without being named.
//!
//! RBAC alone is looked at, by its roles and bindings: what other authorizers allow is not seen.

use std::collections::{BTreeMap, BTreeSet};

use ccos_crds::GROUP;
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use kube::ResourceExt as _;

use super::read::{Cluster, Rights};
use super::unread;
use crate::doctor::line::{Line, State};

/// How many subjects are named in a line.
const NAMED: usize = 20;

/// What somebody may do that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    Exec,
    Attach,
    Debug,
    Change,
    Make,
    MakeBy,
    Use,
}

/// Groups in which everybody is.
const EVERYBODY: [&str; 3] = ["system:authenticated", "system:unauthenticated", "system:serviceaccounts"];

/// The ServiceAccounts of ccos.
const OURS: [&str; 3] = ["ccos-controller", "ccos-egress", "ccos-webhook"];

/// Resources whose controllers make pods.
const WORKLOADS: [(&str, &str); 7] = [
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
    ("", "replicationcontrollers"),
];

impl Right {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "pods/exec",
            Self::Attach => "pods/attach",
            Self::Debug => "pods/ephemeralcontainers",
            Self::Change => "changes pods",
            Self::Make => "creates pods",
            Self::MakeBy => "creates workloads",
            Self::Use => "`*` on contexts",
        }
    }

    fn given_by(rule: &PolicyRule) -> impl Iterator<Item = Self> {
        let pods = |resource, verbs: &[&str]| allows(rule, "", resource, verbs);
        let made =
            WORKLOADS.iter().any(|(group, resource)| allows(rule, group, resource, &["create", "update", "patch"]));
        [
            (Self::Exec, pods("pods/exec", &["create", "get"])),
            (Self::Attach, pods("pods/attach", &["create", "get"])),
            (Self::Debug, pods("pods/ephemeralcontainers", &["update", "patch"])),
            (Self::Change, pods("pods", &["update", "patch"])),
            (Self::Make, pods("pods", &["create"])),
            (Self::MakeBy, made),
            (Self::Use, by_wildcard(rule)),
        ]
        .into_iter()
        .filter_map(|(right, given)| given.then_some(right))
    }
}

/// Whether a rule allows one of these verbs. One that names objects counts: whoever wrote it knew their names.
fn allows(rule: &PolicyRule, group: &str, resource: &str, verbs: &[&str]) -> bool {
    let subresource = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
    let is = |list: &Option<Vec<String>>, wanted: &str| list.iter().flatten().any(|one| one == "*" || one == wanted);
    is(&rule.api_groups, group)
        && (is(&rule.resources, resource) || subresource.is_some_and(|any| is(&rule.resources, &any)))
        && verbs.iter().any(|verb| is(&Some(rule.verbs.clone()), verb))
}

/// Whether a rule gives `use` without saying so.
fn by_wildcard(rule: &PolicyRule) -> bool {
    let stars = |list: &[String]| list.iter().any(|one| one == "*");
    let kinds = ["securitycontexts", "clustersecuritycontexts"];
    let some = kinds.iter().any(|kind| allows(rule, GROUP, kind, &["use", "escalate"]));
    let groups = rule.api_groups.as_deref().unwrap_or_default();
    let resources = rule.resources.as_deref().unwrap_or_default();
    some && (stars(&rule.verbs) || stars(groups) || stars(resources))
}

/// Somebody, by what RBAC calls them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Who {
    kind: String,
    name: String,
    namespace: Option<String>,
}

impl Who {
    fn of(subject: &Subject) -> Self {
        let Subject { kind, name, namespace, api_group: _ } = subject;
        Self { kind: kind.clone(), name: name.clone(), namespace: namespace.clone() }
    }

    fn display(&self) -> String {
        match &self.namespace {
            Some(namespace) if self.kind == "ServiceAccount" => format!("ServiceAccount {namespace}/{}", self.name),
            _ => format!("{} {:?}", self.kind, self.name),
        }
    }

    fn is_everybody(&self) -> bool {
        self.kind == "Group"
            && (EVERYBODY.contains(&self.name.as_str()) || self.name.starts_with("system:serviceaccounts:"))
    }

    /// Parts of the control plane and of ccos, and whoever is in the one group that may do everything.
    fn is_of_the_system(&self, ours: &str) -> bool {
        match (self.kind.as_str(), self.namespace.as_deref()) {
            ("ServiceAccount", Some("kube-system")) => true,
            ("ServiceAccount", Some(namespace)) => namespace == ours && OURS.contains(&self.name.as_str()),
            _ => self.name.starts_with("system:") && !self.is_everybody(),
        }
    }
}

/// Where, by which binding, and what.
type Found = BTreeMap<Who, BTreeMap<String, BTreeSet<Right>>>;

pub(super) fn checks(cluster: &Cluster) -> Vec<Line> {
    const REACH: &str = "who may reach into pods of executions";
    const USE: &str = "who may use contexts through *";
    let (rights, namespaces) = match (&cluster.rights, &cluster.namespaces) {
        (Ok(rights), Ok(namespaces)) => (rights, namespaces),
        (Err(why), _) | (_, Err(why)) => return vec![unread(REACH, why), unread(USE, why)],
    };
    let found = found(rights, namespaces);
    let place = match namespaces.len() {
        0 => "in any namespace (none has contexts yet)".to_owned(),
        count => format!("in {count} namespaces with contexts or executions"),
    };
    let (nobody, ours) = (format!("nobody but the system, {place}"), cluster.system_namespace.as_str());
    let apart =
        "who is named is inside the boundary there: give executions namespaces of their own, without such rights";
    let mut lines = told((REACH, apart), ours, &found, |right| right != Right::Use, &nobody);
    let name = "name the verbs, and the contexts by resourceNames, in their roles";
    lines.extend(told((USE, name), ours, &found, |right| right == Right::Use, &nobody));
    lines
}

fn found(rights: &Rights, namespaces: &BTreeSet<String>) -> Found {
    let mut found = Found::new();
    let mut add = |subjects: &Option<Vec<Subject>>, place: String, given: &BTreeSet<Right>| {
        for subject in subjects.iter().flatten().filter(|_| !given.is_empty()) {
            found.entry(Who::of(subject)).or_default().entry(place.clone()).or_default().extend(given);
        }
    };
    for binding in &rights.cluster_bindings {
        let place = format!("everywhere, by ClusterRoleBinding {}", binding.name_any());
        add(&binding.subjects, place, &given(rights, &binding.role_ref, None));
    }
    for binding in &rights.bindings {
        let namespace = binding.namespace().unwrap_or_default();
        if namespaces.contains(&namespace) {
            let place = format!("in {namespace}, by RoleBinding {}", binding.name_any());
            add(&binding.subjects, place, &given(rights, &binding.role_ref, Some(&namespace)));
        }
    }
    found
}

/// What a role gives. One that does not exist gives nothing.
fn given(rights: &Rights, role: &RoleRef, namespace: Option<&str>) -> BTreeSet<Right> {
    let rules = match role.kind.as_str() {
        "ClusterRole" => {
            rights.cluster_roles.iter().find(|found| found.name_any() == role.name).map(|found| &found.rules)
        }
        _ => rights
            .roles
            .iter()
            .find(|found| found.name_any() == role.name && found.namespace().as_deref() == namespace)
            .map(|found| &found.rules),
    };
    rules.into_iter().flatten().flatten().flat_map(Right::given_by).collect()
}

/// A line for everybody, one for whom somebody named, and one for the system.
fn told(
    (check, advice): (&str, &str),
    ours: &str,
    found: &Found,
    wanted: impl Fn(Right) -> bool,
    nobody: &str,
) -> Vec<Line> {
    let (mut everybody, mut others, mut system) = (Vec::new(), Vec::new(), Vec::new());
    for (who, places) in found {
        let places: Vec<String> = places
            .iter()
            .filter_map(|(place, rights)| {
                let rights: Vec<&str> =
                    rights.iter().filter(|right| wanted(**right)).map(|right| right.as_str()).collect();
                (!rights.is_empty()).then(|| format!("{place}: {}", rights.join(", ")))
            })
            .collect();
        if places.is_empty() {
            continue;
        }
        let list = match (who.is_everybody(), who.is_of_the_system(ours)) {
            (true, _) => &mut everybody,
            (false, true) => &mut system,
            (false, false) => &mut others,
        };
        list.push((who.display(), places.join("; ")));
    }
    let mut lines = Vec::new();
    if !everybody.is_empty() {
        let check = format!("{check}: everybody");
        lines.push(Line::new(check, State::Fail, bounded(&everybody), "take that binding away"));
    }
    lines.push(if others.is_empty() {
        Line::ok(check, nobody)
    } else {
        Line::new(check, State::Warn, bounded(&others), advice)
    });
    if !system.is_empty() {
        // Their rights are Kubernetes' own.
        let names: Vec<_> = system.into_iter().map(|(name, _)| (name, String::new())).collect();
        lines.push(Line::ok(format!("{check}: of the system"), bounded(&names)));
    }
    lines
}

fn bounded(list: &[(String, String)]) -> String {
    let shown = list.iter().take(NAMED).map(|(who, what)| format!("{who} {what}").trim_end().to_owned());
    let mut shown: Vec<String> = shown.collect();
    let more = list.len().saturating_sub(NAMED);
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join("; ")
}
