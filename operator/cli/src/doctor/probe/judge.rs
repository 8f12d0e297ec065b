//! What follows from what the probes saw.

use std::fmt;

use ccos_policy::IsolationProfile;
use ccos_profile::probe::{Canary, Seen};

use crate::doctor::line::{Line, State};

/// What a pod told.
pub(in crate::doctor) type Told = Result<Seen, Untold>;

/// Why it told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Untold {
    /// The API server did not take it.
    Refused(String),
    /// It did not run to its end.
    NotRun(String),
    /// What it told is not understood: another version of the runner.
    Odd(String),
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the API server refused it: {why}"),
            Self::NotRun(why) => write!(f, "it did not run: {why}"),
            Self::Odd(message) => write!(f, "it told what this version does not understand: {message}"),
        }
    }
}

/// An isolation, and what its pods told.
pub(super) struct Isolation<'a> {
    pub(super) name: ccos_policy::Isolation,
    pub(super) profile: &'a IsolationProfile,
    pub(super) kernels: &'a [String],
    pub(super) looks: Told,
    pub(super) denied: Told,
    pub(super) annotated: Option<Told>,
}

impl Isolation<'_> {
    pub(super) fn lines(&self) -> Vec<Line> {
        let seen = match &self.looks {
            Ok(seen) => seen,
            Err(why) => return vec![self.untold("a pod runs", why)],
        };
        let mut lines = vec![Line::ok(self.check("a pod runs"), "restricted, and to its end"), self.kernel(seen)];
        if let Some(abi) = self.profile.landlock_abi {
            lines.push(self.landlock(abi, seen));
        }
        if self.profile.user_namespaces {
            lines.push(match &seen.no_user_namespaces {
                None => Line::ok(self.check("user namespaces"), "a process without privileges makes its own"),
                Some(why) => self.lie(
                    "user namespaces",
                    &format!("the profile promises them, and a process without privileges is refused them: {why}"),
                    "userNamespaces=false",
                ),
            });
        }
        if self.profile.pod_user_namespaces {
            lines.push(if seen.maps_users {
                Line::ok(self.check("user namespace of the pod"), "hostUsers: false holds")
            } else {
                self.lie(
                    "user namespace of the pod",
                    "the profile promises one, and hostUsers: false is ignored: threads of all executions would count together",
                    "podUserNamespaces=false",
                )
            });
        }
        lines.push(self.policies(seen));
        lines.extend(self.annotated.as_ref().map(|told| self.annotations(seen, told)));
        lines
    }

    fn check(&self, what: &str) -> String {
        format!("probe of isolation {}: {what}", self.name)
    }

    fn untold(&self, what: &str, why: &Untold) -> Line {
        let (state, advice) = match why {
            Untold::Refused(_) => {
                (State::Unknown, "give a namespace in which pods may be made: --probe-namespace NAME")
            }
            Untold::NotRun(_) => {
                (State::Fail, "executions will not run either: look at the node's runtime and kubelet")
            }
            Untold::Odd(_) => (State::Unknown, "use the version of ccos that is installed in the cluster"),
        };
        Line::new(self.check(what), state, why.to_string(), advice)
    }

    /// The profile says what is not so.
    fn lie(&self, what: &str, found: &str, value: &str) -> Line {
        let advice = format!("mend the nodes, or say so: helm upgrade … --set isolations.{}.{value}", self.name);
        Line::new(self.check(what), State::Fail, found, &advice)
    }

    fn kernel(&self, seen: &Seen) -> Line {
        let check = self.check("kernel");
        let kernel = seen.kernel.as_str();
        let is_gvisor = kernel.contains("gvisor") && seen.gvisor_log;
        let is_nodes = self.kernels.iter().any(|one| one == kernel);
        let advice = "look at the handler of its RuntimeClass in the nodes' containerd configuration";
        match self.name {
            ccos_policy::Isolation::GVisor if is_gvisor => {
                Line::ok(check, format!("is gVisor's: {kernel}, and its log says so"))
            }
            ccos_policy::Isolation::GVisor => {
                let whose = if is_nodes { "is the node's own" } else { "is not gVisor's" };
                Line::new(check, State::Fail, format!("{whose}: {kernel}"), advice)
            }
            ccos_policy::Isolation::Kata if is_nodes => {
                Line::new(check, State::Fail, format!("is the node's own: {kernel}"), advice)
            }
            ccos_policy::Isolation::Kata => Line::ok(check, format!("is another than any node's: {kernel}")),
            ccos_policy::Isolation::Container | ccos_policy::Isolation::Wasm if is_nodes => {
                Line::ok(check, format!("is a node's: {kernel}"))
            }
            ccos_policy::Isolation::Container | ccos_policy::Isolation::Wasm => Line::new(
                check,
                State::Warn,
                format!("is no node's: {kernel}; the nodes' default runtime is a sandbox"),
                "",
            ),
        }
    }

    fn landlock(&self, promised: u32, seen: &Seen) -> Line {
        match seen.landlock_abi {
            Some(found) if found >= promised => {
                Line::ok(self.check("Landlock"), format!("ABI {found}, where the profile promises {promised}"))
            }
            Some(found) => self.lie(
                "Landlock",
                &format!("ABI {found}, where the profile promises {promised}: executions end as ConfinementFailed"),
                &format!("landlockAbi={found}"),
            ),
            None => self.lie(
                "Landlock",
                &format!(
                    "there is none, where the profile promises ABI {promised}: executions end as ConfinementFailed"
                ),
                "landlockAbi=null",
            ),
        }
    }

    fn policies(&self, seen: &Seen) -> Line {
        let check = format!("enforcement of NetworkPolicies, isolation {}", self.name);
        let denied = match &self.denied {
            Ok(seen) => seen.canary.as_ref(),
            Err(why) => return Line::new(check, State::Unknown, format!("the pod under a policy: {why}"), ""),
        };
        match (&seen.canary, denied) {
            (_, Some(Canary { passed: Some(attempt), .. })) => Line::new(
                check,
                State::Fail,
                format!("a connection that a policy denies gets through, at attempt {attempt}"),
                "install a CNI that enforces NetworkPolicies from a pod's first packet, such as Cilium",
            ),
            (Some(Canary { passed: Some(_), .. }), Some(Canary { passed: None, attempts, .. })) => Line::ok(
                check,
                format!("a connection gets through without a policy, and none of {attempts} under one that denies it"),
            ),
            (allowed, _) => {
                let why =
                    allowed.as_ref().and_then(|canary| canary.refused.as_deref()).unwrap_or("no connection was tried");
                let found = format!("a connection between two pods fails without a policy too: {why}");
                Line::new(
                    check,
                    State::Unknown,
                    found,
                    "give a namespace that other policies leave alone: --probe-namespace NAME",
                )
            }
        }
    }

    fn annotations(&self, seen: &Seen, told: &Told) -> Line {
        let check = self.check("annotations");
        match told {
            Err(why) => Line::new(check, State::Unknown, format!("a pod with one: {why}"), ""),
            Ok(_) if seen.filtered => Line::new(
                check,
                State::Unknown,
                "gVisor holds seccomp profiles anyway, so that the annotation changes nothing",
                "",
            ),
            Ok(annotated) if annotated.filtered => Line::new(
                check,
                State::Warn,
                "containerd passes dev.gvisor.* of pods to gVisor: who annotates a pod changes how it confines. Executions' pods are kept from them by the admission policy ccos-runtime-annotations",
                "take dev.gvisor.* out of pod_annotations in the nodes' containerd configuration, if nothing needs them",
            ),
            Ok(_) => Line::ok(check, "containerd does not pass those of pods to gVisor"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gvisor() -> Seen {
        Seen { kernel: "4.19.0-gvisor".to_owned(), gvisor_log: true, canary: canary(Some(1)), ..Seen::default() }
    }

    fn node() -> Seen {
        Seen { kernel: "6.18.0".to_owned(), landlock_abi: Some(7), maps_users: true, filtered: true, ..gvisor_off() }
    }

    fn gvisor_off() -> Seen {
        Seen { canary: canary(Some(1)), ..Seen::default() }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the field has it")]
    fn canary(passed: Option<u32>) -> Option<Canary> {
        Some(Canary { passed, attempts: 4, refused: passed.is_none().then(|| "timed out".to_owned()) })
    }

    fn profile(text: &str) -> IsolationProfile {
        serde_json::from_str(text).unwrap()
    }

    const GVISOR: &str = r#"{"runtimeClass": "gvisor", "userNamespaces": true}"#;
    const CONTAINER: &str = r#"{"userNamespaces": false, "landlockAbi": 7, "podUserNamespaces": true}"#;

    /// The states of all lines that are not `ok`.
    fn faults(
        isolation: ccos_policy::Isolation,
        text: &str,
        looks: Told,
        denied: Told,
        annotated: Option<Told>,
    ) -> Vec<(String, State)> {
        let profile = profile(text);
        let kernels = ["6.18.0".to_owned()];
        let told = Isolation { name: isolation, profile: &profile, kernels: &kernels, looks, denied, annotated };
        let lines = told.lines();
        assert!(!lines.is_empty());
        let short = |check: &str| check.rsplit([':', ',']).next().unwrap_or_default().trim().to_owned();
        lines.into_iter().filter(|line| line.state != State::Ok).map(|line| (short(&line.check), line.state)).collect()
    }

    fn denied(seen: Seen) -> Seen {
        Seen { canary: canary(None), ..seen }
    }

    #[test]
    fn what_is_promised_and_seen_is_well() {
        use ccos_policy::Isolation::{Container, GVisor};
        assert_eq!(faults(GVisor, GVISOR, Ok(gvisor()), Ok(denied(gvisor())), Some(Ok(gvisor()))), []);
        assert_eq!(faults(Container, CONTAINER, Ok(node()), Ok(denied(node())), None), []);
    }

    #[test]
    fn each_lie_of_a_profile_is_found() {
        use ccos_policy::Isolation::{Container, GVisor, Kata};
        let failed = |what: &str| vec![(what.to_owned(), State::Fail)];
        let told = |isolation, text, seen: Seen| faults(isolation, text, Ok(seen.clone()), Ok(denied(seen)), None);
        assert_eq!(told(GVisor, GVISOR, node()), failed("kernel"));
        // A node's kernel that calls itself so.
        assert_eq!(told(GVisor, GVISOR, Seen { gvisor_log: false, ..gvisor() }), failed("kernel"));
        assert_eq!(told(Kata, GVISOR, node()), failed("kernel"));
        let refused = Seen { no_user_namespaces: Some("EPERM".to_owned()), ..gvisor() };
        assert_eq!(told(GVisor, GVISOR, refused), failed("user namespaces"));
        assert_eq!(told(Container, CONTAINER, Seen { landlock_abi: Some(6), ..node() }), failed("Landlock"));
        assert_eq!(told(Container, CONTAINER, Seen { landlock_abi: None, ..node() }), failed("Landlock"));
        assert_eq!(
            told(Container, CONTAINER, Seen { maps_users: false, ..node() }),
            failed("user namespace of the pod")
        );
        let through = faults(Container, CONTAINER, Ok(node()), Ok(node()), None);
        assert_eq!(through, failed("isolation Container"));
    }

    #[test]
    fn what_nobody_can_tell_is_not_well() {
        use ccos_policy::Isolation::{Container, GVisor};
        let cut_off = Ok(denied(node()));
        let unknown = |what: &str| vec![(what.to_owned(), State::Unknown)];
        assert_eq!(
            faults(Container, CONTAINER, cut_off.clone(), cut_off.clone(), None),
            unknown("isolation Container")
        );
        let refused = || Err(Untold::Refused("quota".to_owned()));
        assert_eq!(faults(Container, CONTAINER, refused(), cut_off, None), unknown("a pod runs"));
        let stuck = Err(Untold::NotRun("no such handler".to_owned()));
        assert_eq!(faults(GVisor, GVISOR, stuck, refused(), None), [("a pod runs".to_owned(), State::Fail)]);
    }

    #[test]
    fn an_annotation_that_reaches_the_runtime_is_a_warning() {
        let passed = Some(Ok(Seen { filtered: true, ..gvisor() }));
        let faults = faults(ccos_policy::Isolation::GVisor, GVISOR, Ok(gvisor()), Ok(denied(gvisor())), passed);
        assert_eq!(faults, [("annotations".to_owned(), State::Warn)]);
    }
}
