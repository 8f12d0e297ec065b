//! What went over the network, and what of it was refused.

use ccos_crds::Quantity;
use ccos_crds::execution::{CapabilityExecutionStatus, Refusal, Usage};
use ccos_policy::{Bytes, Reason};
use ccos_profile::egress::{self, Denial, MAX_DENIALS, MAX_TARGET};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Adds what the runner counted to what it measured otherwise.
pub(super) fn write_down(network: &egress::Usage, status: &mut CapabilityExecutionStatus) {
    let egress::Usage { bytes_sent, bytes_received, connections, connections_in, denials, denied_more } = network;
    let amount = |bytes: u64| Some(Quantity(Bytes(bytes).to_string()));
    status.usage = Some(Usage {
        bytes_sent: amount(*bytes_sent),
        bytes_received: amount(*bytes_received),
        connections: Some(number(*connections)),
        connections_in: (*connections_in > 0).then_some(number(*connections_in)),
        ..status.usage.take().unwrap_or_default()
    });
    status.denials = denials.iter().take(MAX_DENIALS).map(refusal).collect();
    status.denied_more = (*denied_more > 0).then_some(number(*denied_more));
}

fn refusal(Denial { reason, target, count, first_seen }: &Denial) -> Refusal {
    Refusal {
        kind: kind(*reason).as_str().to_owned(),
        target: format!("{target}: {}", reason.token()).chars().take(MAX_TARGET).collect(),
        count: number(*count),
        first_seen: Time(Timestamp::from_second(number(*first_seen)).unwrap_or(Timestamp::UNIX_EPOCH)),
    }
}

/// The reason that a denial at admission would have had.
const fn kind(refusal: egress::Refusal) -> Reason {
    match refusal {
        egress::Refusal::TooManyConnections => Reason::LimitExceeded,
        egress::Refusal::BadRequest
        | egress::Refusal::Unidentified
        | egress::Refusal::BadRules
        | egress::Refusal::NotGranted
        | egress::Refusal::Blocked
        | egress::Refusal::AddressRefused
        | egress::Refusal::NotResolved
        | egress::Refusal::Unreachable
        | egress::Refusal::NotReady
        | egress::Refusal::Elsewhere
        | egress::Refusal::TimedOut
        | egress::Refusal::ServerNameMismatch
        | egress::Refusal::HostMismatch => Reason::NetworkDenied,
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_named_by_the_reason_at_admission() {
        let denial =
            |reason, target: &str| Denial { reason, target: target.to_owned(), count: 3, first_seen: 1_764_000_000 };
        let network = egress::Usage {
            bytes_sent: 2048,
            bytes_received: u64::MAX,
            connections: 2,
            connections_in: 5,
            denials: vec![
                denial(egress::Refusal::Blocked, "b.test:443"),
                denial(egress::Refusal::TooManyConnections, &"x".repeat(300)),
            ],
            denied_more: 7,
        };
        let mut status = CapabilityExecutionStatus::default();
        write_down(&network, &mut status);
        let usage = status.usage.unwrap();
        assert_eq!((usage.bytes_sent, usage.connections), (Some(Quantity("2Ki".to_owned())), Some(2)));
        assert_eq!(usage.connections_in, Some(5));
        assert_eq!(status.denied_more, Some(7));
        let [blocked, many] = status.denials.as_slice() else { panic!() };
        assert_eq!(
            (blocked.kind.as_str(), blocked.target.as_str(), blocked.count),
            ("NetworkDenied", "b.test:443: blocked", 3)
        );
        assert_eq!(blocked.first_seen.0.as_second(), 1_764_000_000);
        assert_eq!((many.kind.as_str(), many.target.len()), ("LimitExceeded", 256));
    }
}
