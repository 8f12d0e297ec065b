//! Which isolation: asked for, allowed by context and level, present in the cluster, and able.

use ccos_policy::Isolation::*;
use ccos_policy::Reason::*;
use ccos_policy::{Isolation, IsolationProfile, Isolations, Level};

use crate::given::{Case, case};

fn cluster(isolations: &[(Isolation, bool)]) -> Isolations {
    let profile = |user_namespaces| IsolationProfile { user_namespaces, ..IsolationProfile::default() };
    Isolations(isolations.iter().map(|&(isolation, able)| (isolation, profile(able))).collect())
}

fn everything() -> Case {
    let all = cluster(&[(GVisor, true), (Kata, true), (Container, true), (Wasm, true)]);
    case().sees(|s| s.isolations = all)
}

#[test]
fn the_executions_else_the_contexts_else_gvisor() {
    assert_eq!(case().admitted().isolation(), GVisor);
    assert_eq!(case().admitted().runtime_class(), Some("gvisor"));
    let kata = case().context(|c| c.isolation_default = Some(Kata));
    assert_eq!(kata.admitted().isolation(), Kata);
    assert_eq!(kata.admitted().runtime_class(), Some("kata"));
    assert_eq!(kata.asks(|r| r.isolation = Some(GVisor)).admitted().isolation(), GVisor);
}

#[test]
fn an_isolation_that_the_context_does_not_allow_is_denied() {
    let case = case().context(|c| c.isolations_allowed = vec![Kata]);
    case.clone().says(
        r#"isolation "GVisor": not allowed, and the default where the context has none; allowed: Kata; name one, or ask the context's author to set spec.isolation.default"#,
    );
    case.clone().asks(|r| r.isolation = Some(GVisor)).says(r#"isolation "GVisor": not allowed; allowed: Kata"#);
    assert_eq!(case.asks(|r| r.isolation = Some(Kata)).admitted().isolation(), Kata);
}

#[test]
fn sandboxed_never_runs_in_a_container_even_if_its_list_says_so() {
    everything()
        .context(|c| {
            c.level = Level::Sandboxed;
            c.isolations_allowed = vec![Container, GVisor];
        })
        .asks(|r| r.isolation = Some(Container))
        .denied_for(&[(IsolationNotAllowed, "isolation"), (Unenforceable, "isolation")]);
}

#[test]
fn wasm_is_not_held_yet() {
    everything().asks(|r| r.isolation = Some(Wasm)).says(
        "isolation \"Wasm\": does not hold file, command, process, environment, IPC and limit rules yet; use GVisor",
    );
}

#[test]
fn what_the_cluster_does_not_have_or_can_not_do_names_what_could() {
    let case = case().sees(|s| s.isolations = cluster(&[(GVisor, false), (Kata, true)]));
    case.clone().says(
        r#"isolation "GVisor": the cluster's can't hold file rules: its processes can't make user namespaces; use Kata"#,
    );
    case.sees(|s| s.isolations = Isolations::default()).says(r#"isolation "GVisor": the cluster does not have it"#);
}
