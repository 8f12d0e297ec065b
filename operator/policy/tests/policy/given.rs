//! A question with an answer: by default, nothing is required of a context that grants nothing, and it is admitted.

use ccos_policy::*;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) request: Request,
    pub(crate) snapshot: Snapshot,
}

pub(crate) fn case() -> Case {
    let context = Context {
        display: r#"SecurityContext "analysts""#.to_owned(),
        level: Level::Controlled,
        permissions: Permissions::default(),
        limits: Limits::default(),
        isolations_allowed: Vec::new(),
        isolation_default: None,
        volumes: Vec::new(),
        expiry: Expiry { at: None, on_expiry: OnExpiry::Stop },
        unheld: Vec::new(),
    };
    let capability = Capability {
        display: r#"weather.fetch of CapabilityProvider "weather""#.to_owned(),
        requires: Requires::default(),
        command: path("/app/fetch"),
        unheld: Vec::new(),
    };
    let able = |runtime_class: &str| IsolationProfile {
        runtime_class: Some(runtime_class.to_owned()),
        user_namespaces: true,
        ..IsolationProfile::default()
    };
    let request = Request {
        now: "2026-01-01T12:00:00Z".parse().unwrap(),
        requires: Requires::default(),
        environment: Vec::new(),
        isolation: None,
        unheld: Vec::new(),
    };
    let isolations = [(Isolation::GVisor, able("gvisor")), (Isolation::Kata, able("kata"))];
    Case {
        request,
        snapshot: Snapshot {
            context: Found::Valid(context),
            may_use: Use::Allowed,
            capability: Found::Valid(capability),
            isolations: Isolations(isolations.into()),
            policies: std::sync::Arc::new(NoPolicies),
        },
    }
}

impl Case {
    pub(crate) fn context(mut self, change: impl FnOnce(&mut Context)) -> Self {
        match &mut self.snapshot.context {
            Found::Valid(context) => change(context),
            Found::Missing(_) | Found::Invalid(_) => panic!("no context to change"),
        }
        self
    }

    pub(crate) fn grants(self, change: impl FnOnce(&mut Permissions)) -> Self {
        self.context(|context| change(&mut context.permissions))
    }

    pub(crate) fn capability(mut self, change: impl FnOnce(&mut Capability)) -> Self {
        match &mut self.snapshot.capability {
            Found::Valid(capability) => change(capability),
            Found::Missing(_) | Found::Invalid(_) => panic!("no capability to change"),
        }
        self
    }

    /// What the capability requires.
    pub(crate) fn needs(self, change: impl FnOnce(&mut RequiredPermissions)) -> Self {
        self.capability(|capability| change(&mut capability.requires.permissions))
    }

    /// What the execution itself requires, of a capability that requires everything, so that only the context bounds it.
    pub(crate) fn requires(mut self, change: impl FnOnce(&mut RequiredPermissions)) -> Self {
        let everything = RequiredPermissions {
            read: Some(paths(&["/"])),
            write: Some(paths(&["/"])),
            execute: Some(paths(&["/"])),
            commands: Some(paths(&["/**"])),
            ipc_connect: Some(paths(&["/"])),
            environment_read: Some(names(&["*"])),
            environment_write: Some(names(&["*"])),
            process_creation: Some(ProcessCreation::Allowed),
            ..RequiredPermissions::default()
        };
        let own = RequiredPermissions {
            read: Some(List::default()),
            write: Some(List::default()),
            execute: Some(List::default()),
            commands: Some(List::default()),
            ipc_connect: Some(List::default()),
            environment_read: Some(List::default()),
            environment_write: Some(List::default()),
            process_creation: Some(ProcessCreation::Denied),
            ..RequiredPermissions::default()
        };
        self.request.requires.permissions = own;
        change(&mut self.request.requires.permissions);
        self.needs(|needs| *needs = everything)
    }

    /// What the execution itself requires, and nothing else of the case.
    pub(crate) fn narrows(mut self, change: impl FnOnce(&mut RequiredPermissions)) -> Self {
        change(&mut self.request.requires.permissions);
        self
    }

    pub(crate) fn asks(mut self, change: impl FnOnce(&mut Request)) -> Self {
        change(&mut self.request);
        self
    }

    pub(crate) fn sees(mut self, change: impl FnOnce(&mut Snapshot)) -> Self {
        change(&mut self.snapshot);
        self
    }

    #[track_caller]
    pub(crate) fn admitted(&self) -> Admitted {
        match decide(&self.request, &self.snapshot) {
            Decision::Admitted(admitted) => admitted,
            Decision::Denied(denials) => panic!("denied:\n{denials}"),
        }
    }

    #[track_caller]
    pub(crate) fn denied(&self) -> Denials {
        match decide(&self.request, &self.snapshot) {
            Decision::Admitted(admitted) => panic!("admitted: {admitted:#?}"),
            Decision::Denied(denials) => denials,
        }
    }

    /// Denied for exactly these reasons, in this order.
    #[track_caller]
    pub(crate) fn denied_for(&self, expected: &[(Reason, &str)]) {
        let denials = self.denied();
        let found: Vec<_> = denials.iter().map(|denial| (denial.reason(), denial.field.as_str())).collect();
        assert_eq!(found, expected, "\n{denials}");
    }

    /// The only denial, as a line.
    #[track_caller]
    pub(crate) fn says(&self, expected: &str) {
        let denials = self.denied();
        assert_eq!(denials.to_string().trim_start(), expected);
    }
}

pub(crate) fn path(text: &str) -> PathPattern {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn paths(texts: &[&str]) -> List<PathPattern> {
    texts.iter().map(|text| path(text)).collect()
}

pub(crate) fn names(texts: &[&str]) -> List<NamePattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// `host-or-cidr ports,…`
pub(crate) fn outbound(text: &str) -> Outbound {
    let (to, ports) = text.split_once(' ').unwrap();
    Outbound { peer: peer(to), ports: ports.split(',').map(|range| range.parse().unwrap()).collect() }
}

pub(crate) fn outbounds(texts: &[&str]) -> List<Outbound> {
    texts.iter().map(|text| outbound(text)).collect()
}

pub(crate) fn peer(text: &str) -> Peer {
    text.parse().map(Peer::Cidr).or_else(|_| text.parse().map(Peer::Host)).unwrap_or_else(|e| panic!("{text}: {e}"))
}
