//! Hosts of up to three labels below one domain, sixteen addresses, and a few ports.

use ccos_policy::decision::{Cause, Why};
use ccos_policy::{
    Capability, Context, Decision, Expiry, Found, Isolation, IsolationProfile, Isolations, Level, Limits, List,
    NoPolicies, OnExpiry, Outbound, Peer, Permissions, PortRange, Request, RequiredPermissions, Requires, Snapshot,
    Use, decide,
};
use fastrand::Rng;

use super::{Difference, World};

const LAST_PORT: u16 = 7;

/// Targets, and peers with the targets that each means, as bits.
pub struct Networks {
    targets: Vec<String>,
    peers: Vec<(String, Peer, u64)>,
}

/// A rule: a peer and its ports.
type Rule = (usize, Vec<(u16, u16)>);

impl Networks {
    /// The world.
    #[must_use]
    pub fn new() -> Self {
        let mut targets = vec!["x".to_owned()];
        let mut last = targets.clone();
        for _ in 0..3 {
            last = last.iter().flat_map(|host| ["a", "b", "c"].map(|label| format!("{label}.{host}"))).collect();
            targets.extend(last.iter().cloned());
        }
        targets.extend((0..16).map(|last| format!("10.0.0.{last}")));
        assert!(targets.len() <= 64, "they must fit into a word");
        // `c` stands for what no pattern names.
        let named = targets.iter().filter(|host| !host.contains('c') && !host.starts_with("10.") && host.len() < 6);
        let mut texts: Vec<String> = named.flat_map(|host| [host.clone(), format!("*.{host}")]).collect();
        for length in 28..=32_u8 {
            let size = 1_u16 << (32 - length);
            texts.extend((0..16 / size).map(|block| format!("10.0.0.{}/{length}", block * size)));
        }
        texts.extend(["0.0.0.0/0", "::/0", "10.0.0.0/8", "11.0.0.0/8"].map(String::from));
        let peer = |text: String| {
            let parsed = text.parse().map(Peer::Cidr).or_else(|_| text.parse().map(Peer::Host)).unwrap();
            let set =
                targets.iter().enumerate().fold(0, |set, (at, target)| set | u64::from(is_in(&text, target)) << at);
            (text, parsed, set)
        };
        let peers = texts.into_iter().map(peer).collect();
        Self { targets, peers }
    }

    fn rule(&self, random: &mut Rng) -> Rule {
        let ports = |random: &mut Rng| {
            let first = random.u16(1..6);
            (first, random.u16(first..LAST_PORT))
        };
        (random.usize(..self.peers.len()), (0..random.usize(1..3)).map(|_| ports(random)).collect())
    }

    fn outbound(&self, (peer, ports): &Rule) -> Outbound {
        let range = |&(first, last): &(u16, u16)| PortRange::new(first, last).unwrap();
        Outbound { peer: self.peers[*peer].1.clone(), ports: ports.iter().map(range).collect() }
    }

    /// Targets that the rule means at this port.
    fn at(&self, (peer, ports): &Rule, port: u16) -> u64 {
        let has = ports.iter().any(|&(first, last)| (first..=last).contains(&port));
        if has { self.peers[*peer].2 } else { 0 }
    }
}

impl Default for Networks {
    fn default() -> Self {
        Self::new()
    }
}

impl World for Networks {
    const NAME: &'static str = "networks";

    fn judge(&self, random: &mut Rng) -> Result<(), Difference> {
        let required = self.rule(random);
        let granted: Vec<Rule> = (0..random.usize(0..7)).map(|_| self.rule(random)).collect();
        let peers = |random: &mut Rng| super::some(random, self.peers.len(), 0..=2);
        let (blocked, without) = (peers(random), peers(random));

        let any = |peers: &[usize]| peers.iter().fold(0, |set, &peer| set | self.peers[peer].2);
        let outside: Vec<(u16, u64)> = (1..=LAST_PORT)
            .map(|port| {
                let granted = granted.iter().fold(0, |set, rule| set | self.at(rule, port));
                (port, self.at(&required, port) & !any(&without) & (!granted | any(&blocked)))
            })
            .collect();
        let parsed = |peers: &[usize]| peers.iter().map(|&peer| self.peers[peer].1.clone()).collect::<List<_>>();
        let mut permissions = Permissions::default();
        permissions.network.outbound = granted.iter().map(|rule| self.outbound(rule)).collect();
        permissions.network.blocked = parsed(&blocked);
        let needs = RequiredPermissions {
            outbound: Some(vec![self.outbound(&required)].into()),
            network_blocked: Some(parsed(&without)),
            ..RequiredPermissions::default()
        };

        let judged = match why(permissions, needs) {
            None if outside.iter().all(|(_, targets)| *targets == 0) => Ok(()),
            None => Err("said to be inside".to_owned()),
            Some(Why::TooComplex) => Err("too complex".to_owned()),
            Some(Why::NotGranted { counterexample } | Why::Blocked { counterexample, by: _ }) => {
                let (host, port) = counterexample.rsplit_once(':').unwrap();
                let (host, port) = (host.trim_matches(['[', ']']), port.parse::<u16>().unwrap());
                let at = self.targets.iter().position(|target| target == host);
                let known = at.map(|at| outside.iter().any(|&(p, targets)| p == port && targets >> at & 1 == 1));
                // What is not in this world, such as another address of 10.0.0.0/8, can only be looked at by itself.
                let is_one = known.unwrap_or_else(|| {
                    let means = |peer: usize| is_in(&self.peers[peer].0, host);
                    let has = |(peer, ports): &Rule| {
                        means(*peer) && ports.iter().any(|&(first, last)| (first..=last).contains(&port))
                    };
                    has(&required)
                        && !without.iter().any(|&peer| means(peer))
                        && (!granted.iter().any(has) || blocked.iter().any(|&peer| means(peer)))
                });
                if is_one { Ok(()) } else { Err(format!("{counterexample} is no counterexample")) }
            }
        };
        judged.map_err(|difference| {
            let rule = |(peer, ports): &Rule| format!("{} {ports:?}", self.peers[*peer].0);
            let texts = |peers: &[usize]| peers.iter().map(|&peer| self.peers[peer].0.clone()).collect::<Vec<_>>();
            let granted: Vec<_> = granted.iter().map(rule).collect();
            let (required, blocked, without) = (rule(&required), texts(&blocked), texts(&without));
            format!(
                "{difference}: required {required:?}, granted {granted:?}, blocked {blocked:?}, without {without:?}"
            )
        })
    }
}

/// What the decision says of the only rule.
fn why(permissions: Permissions, required: RequiredPermissions) -> Option<Why> {
    let context = Context {
        display: "context".to_owned(),
        level: Level::Controlled,
        permissions,
        limits: Limits::default(),
        isolations_allowed: Vec::new(),
        isolation_default: None,
        volumes: Vec::new(),
        expiry: Expiry { at: None, on_expiry: OnExpiry::Stop },
        unheld: Vec::new(),
    };
    let capability = Capability {
        display: "capability".to_owned(),
        requires: Requires { permissions: required, limits: Limits::default() },
        command: "/app/run".parse().unwrap(),
        unheld: Vec::new(),
    };
    let request = Request {
        now: jiff::Timestamp::UNIX_EPOCH,
        requires: Requires::default(),
        environment: Vec::new(),
        isolation: None,
        unheld: Vec::new(),
    };
    let gvisor = IsolationProfile { user_namespaces: true, ..IsolationProfile::default() };
    let snapshot = Snapshot {
        policies: std::sync::Arc::new(NoPolicies),
        context: Found::Valid(context),
        may_use: Use::NotAsked,
        capability: Found::Valid(capability),
        isolations: Isolations([(Isolation::GVisor, gvisor)].into()),
    };
    match decide(&request, &snapshot) {
        Decision::Admitted(_) => None,
        Decision::Denied(denials) => denials.into_iter().find_map(|denial| match denial.cause {
            Cause::Network(outside) => Some(outside.why),
            _ => None,
        }),
    }
}

/// What the documentation says of hosts and blocks of addresses.
fn is_in(peer: &str, target: &str) -> bool {
    if let Some((block, length)) = peer.split_once('/') {
        let bits = |text: &str| {
            let bytes = text.split('.').map(|byte| byte.parse::<u32>().ok()).collect::<Option<Vec<_>>>()?;
            (bytes.len() == 4).then(|| bytes.iter().fold(0, |bits, byte| bits << 8 | byte))
        };
        let (Some(block), Some(target)) = (bits(block), bits(target)) else {
            return length == "0" && block.contains(':') && target.contains(':');
        };
        let shift = 32 - length.parse::<u32>().unwrap();
        return shift == 32 || block >> shift == target >> shift;
    }
    match peer.strip_prefix("*.") {
        Some(domain) => target == domain || target.ends_with(&format!(".{domain}")),
        None => target == peer,
    }
}
