//! The other replicas, and which of them could have connections. Pure: times are arguments.
//!
//! Wrong in one direction only: a replica that could have connections and is not asked would break `maxConnections`; one that
//! is asked for nothing costs time. So a replica is out only by proof, or after a time in which it has cut what it had.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// A replica's pod, as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The pod's UID.
    pub uid: String,
    /// Where it is, once it is.
    pub address: Option<IpAddr>,
    /// Whether it is ready.
    pub ready: bool,
    /// How long it may take to end, if it was told to.
    pub ends_within: Option<Duration>,
    /// Whether its process may run: not, where the kubelet says that it waits or has terminated.
    pub runs: bool,
}

/// How long things are good for.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For so long after it was last sure of its place, a replica keeps what it has.
    pub lease: Duration,
    /// Others wait so much longer: for what differs between clocks, and for the cutting.
    pub margin: Duration,
    /// Between questions to the API server, and to each other replica.
    pub beat: Duration,
    /// For all others to give an execution away.
    pub claim: Duration,
}

impl Times {
    /// Of a real cluster. A replica that dies is noticed by its sockets; the lease is for one whose node is gone.
    pub const USUAL: Self = Self {
        lease: Duration::from_secs(10),
        margin: Duration::from_secs(3),
        beat: Duration::from_millis(500),
        claim: Duration::from_secs(8),
    };
}

/// One other replica.
#[derive(Debug)]
struct Peer {
    address: Option<IpAddr>,
    /// While there is a link.
    link: Option<Link>,
    /// Which of its processes there was a link to last.
    incarnation: Option<String>,
    /// A link to it ended by itself: its process closed it by ending, or something between did.
    ended: bool,
    /// Whether its process is proved to have ended.
    dead: bool,
    /// Since when the API server says what ends in being out.
    out_since: Option<Instant>,
    /// The last time that it was told to be a member.
    promised: Option<Instant>,
    listed: bool,
    ends_within: Duration,
}

#[derive(Debug)]
struct Link {
    beat: Instant,
    serves: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Roster(BTreeMap<String, Peer>);

impl Peer {
    fn new(address: Option<IpAddr>) -> Self {
        Self {
            address,
            link: None,
            incarnation: None,
            ended: false,
            dead: false,
            out_since: None,
            promised: None,
            listed: false,
            ends_within: Duration::ZERO,
        }
    }

    /// Whether it could have connections, or open some.
    fn may_hold(&self, now: Instant, times: &Times) -> bool {
        if self.link.is_some() {
            return true;
        }
        if self.dead {
            return false;
        }
        let Some(since) = self.out_since else { return true };
        let last = self.promised.map_or(since, |promised| promised.max(since));
        now.saturating_duration_since(last) <= times.lease + times.margin + self.ends_within
    }
}

impl Roster {
    /// What the API server has, but for this replica itself.
    pub fn listed(&mut self, seen: &[Seen], now: Instant) {
        for peer in self.0.values_mut() {
            peer.listed = false;
        }
        for Seen { uid, address, ready, ends_within, runs } in seen {
            let peer = self.0.entry(uid.clone()).or_insert_with(|| Peer::new(*address));
            peer.listed = true;
            peer.address = address.or(peer.address);
            // Neither of a pod that has not been ready yet: nothing is held by it that was not asked for here.
            let out = ends_within.is_some() || !ready;
            peer.out_since = if out { peer.out_since.or(Some(now)) } else { None };
            peer.ends_within = ends_within.unwrap_or_default();
            // What the API server has can be older than a process of which there is a link.
            peer.dead |= !runs && peer.link.is_none();
        }
        for peer in self.0.values_mut().filter(|peer| !peer.listed) {
            peer.out_since = peer.out_since.or(Some(now));
            peer.ends_within = Duration::ZERO;
            // It was seen to end, and its pod is gone.
            peer.dead |= peer.ended;
        }
    }

    /// Forgets those that are out, and says which.
    pub fn sweep(&mut self, now: Instant, times: &Times) -> Vec<String> {
        let out: Vec<String> =
            self.0.iter().filter(|(_, peer)| !peer.may_hold(now, times)).map(|(uid, _)| uid.clone()).collect();
        self.0.retain(|_, peer| peer.listed || peer.may_hold(now, times));
        out
    }

    /// Another replica has shown who it is, which can be sooner than the API server's list has it.
    pub fn heard(&mut self, uid: &str, address: IpAddr, now: Instant) {
        let peer = self.0.entry(uid.to_owned()).or_insert_with(|| Peer::new(Some(address)));
        peer.dead = false;
        peer.ended = false;
        peer.out_since = peer.out_since.map(|_| now);
    }

    /// There is a link to one of its processes. Where it is another one, the one before has ended.
    pub fn linked(&mut self, uid: &str, incarnation: &str, now: Instant) -> bool {
        let Some(peer) = self.0.get_mut(uid) else { return false };
        let another = peer.incarnation.as_deref().is_some_and(|known| known != incarnation);
        peer.incarnation = Some(incarnation.to_owned());
        peer.link = Some(Link { beat: now, serves: false });
        peer.dead = false;
        peer.ended = false;
        another
    }

    /// It answered what was sent at this time, and says whether it serves.
    pub fn beat(&mut self, uid: &str, serves: bool, sent: Instant) {
        if let Some(link) = self.0.get_mut(uid).and_then(|peer| peer.link.as_mut()) {
            *link = Link { beat: sent, serves };
        }
    }

    /// The link is no more. `ended`: by the other side's doing.
    pub fn broke(&mut self, uid: &str, ended: bool) {
        if let Some(peer) = self.0.get_mut(uid) {
            peer.link = None;
            peer.ended |= ended;
        }
    }

    /// Nothing listens where it was. Together with a link that ended, its process has: it does neither before. Alone, it
    /// proves nothing: a firewall can say so.
    pub fn refused(&mut self, uid: &str) {
        if let Some(peer) = self.0.get_mut(uid) {
            peer.dead |= peer.ended;
        }
    }

    /// Whether it can be told that it is a member. From then on it is one for the time of a lease.
    pub fn promise(&mut self, uid: &str, now: Instant, times: &Times) -> bool {
        let Some(peer) = self.0.get_mut(uid) else { return false };
        let member = peer.link.is_some() || peer.may_hold(now, times);
        if member {
            peer.promised = Some(now);
        }
        member
    }

    /// The others that could have connections.
    #[must_use]
    pub fn to_ask(&self, now: Instant, times: &Times) -> Vec<String> {
        self.0.iter().filter(|(_, peer)| peer.may_hold(now, times)).map(|(uid, _)| uid.clone()).collect()
    }

    /// When the others last said, all of them, that this replica is a member. Without others, nobody did.
    #[must_use]
    pub fn confirmed(&self, now: Instant, times: &Times) -> Option<Instant> {
        let mut all = self.0.values().filter(|peer| peer.may_hold(now, times)).peekable();
        all.peek()?;
        all.map(|peer| peer.link.as_ref().map(|link| link.beat)).min()?
    }

    /// Where to find one.
    #[must_use]
    pub fn address(&self, uid: &str) -> Option<IpAddr> {
        self.0.get(uid)?.address
    }

    /// All that are known.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Who should serve the execution: of those that serve, the one with the greatest hash of both (rendezvous hashing), so
    /// that one more or less moves as few executions as can be. `None`: nobody serves. `Some(None)`: this replica.
    #[must_use]
    #[allow(clippy::option_option, reason = "nobody, this one, another one")]
    pub fn owner(&self, execution: &str, me: Option<&str>) -> Option<Option<IpAddr>> {
        let others = self.0.iter().filter(|(_, peer)| peer.link.as_ref().is_some_and(|link| link.serves));
        let others = others.map(|(uid, peer)| (uid.as_str(), Some(peer.address)));
        let all = others.chain(me.map(|uid| (uid, None)));
        let best = all.max_by_key(|(uid, _)| <[u8; 32]>::from(Sha256::digest(format!("{uid}/{execution}"))));
        match best {
            None => None,
            Some((_, None)) => Some(None),
            Some((_, Some(address))) => address.map(Some),
        }
    }
}

#[cfg(test)]
mod tests;
