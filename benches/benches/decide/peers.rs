//! Peers. Both answer an easier question than ours, for orientation: whether each *path* is matched, not whether all that
//! a pattern means lies inside; and both are compiled before the clock starts.

use std::str::FromStr;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::question::report;

/// The same grants and blocks in Cedar: `like` patterns of one policy each, forbid wins.
pub(crate) struct Cedar {
    policies: PolicySet,
    requests: Vec<Request>,
}

impl Cedar {
    pub(crate) fn new(n: usize) -> Self {
        let any = |format: &dyn Fn(usize) -> String| {
            (0..n).map(|n| format!("context.path like \"{}\"", format(n))).collect::<Vec<_>>().join(" || ")
        };
        let granted = any(&|n| format!("/data/team-{n}/*"));
        let blocked = any(&|n| format!("/data/team-{n}/private-*"));
        let text = format!(
            "permit(principal, action, resource) when {{ {granted} }}; forbid(principal, action, resource) when {{ {blocked} }};"
        );
        let uid = |text: &str| EntityUid::from_str(text).unwrap();
        let request = |n: usize| {
            let path = cedar_policy::RestrictedExpression::new_string(report(n));
            let context = Context::from_pairs([("path".to_owned(), path)]).unwrap();
            Request::new(uid("User::\"jane\""), uid("Action::\"read\""), uid("File::\"any\""), context, None).unwrap()
        };
        Self { policies: text.parse().unwrap(), requests: (0..n).map(request).collect() }
    }

    /// Whether all paths may be read.
    pub(crate) fn allows(&self) -> bool {
        let entities = Entities::empty();
        let authorizer = Authorizer::new();
        let allows =
            |request| authorizer.is_authorized(request, &self.policies, &entities).decision() == Decision::Allow;
        self.requests.iter().all(allows)
    }
}

/// The same grants as a set of globs; nothing is blocked.
pub(crate) struct Globs {
    set: GlobSet,
    paths: Vec<String>,
}

impl Globs {
    pub(crate) fn new(n: usize) -> Self {
        let add = |set: &mut GlobSetBuilder, n| {
            set.add(Glob::new(&format!("/data/team-{n}/**")).unwrap());
        };
        let mut set = GlobSetBuilder::new();
        (0..n).for_each(|n| add(&mut set, n));
        Self { set: set.build().unwrap(), paths: (0..n).map(report).collect() }
    }

    /// Whether all paths match.
    pub(crate) fn allows(&self) -> bool {
        self.paths.iter().all(|path| self.set.is_match(path))
    }
}
