//! The condition types. Each doc lists the reasons and what the message tells; the sets are closed.

/// `True`: the webhook's receipt is valid and the decision still says yes (`Admitted`). `False`: `ReceiptInvalid`, or
/// the reason of the first denial; the message has all of them.
pub const ADMITTED: &str = "Admitted";

/// `True`: waits, for `CapacityExhausted`, `QuotaExceeded`, `Suspended`, `RuntimeUnavailable` or `Unschedulable`; the
/// message says for what. `False`: `Started`, `Ended`, or `Retrying`, for the moments before another attempt.
pub const QUEUED: &str = "Queued";

/// `True`: the network policy, the quota and the profile that confine the pod exist (`Applied`), and, once it has
/// reported, its runner has proven its confinement (`Proven`). `False`: `ConfinementFailed`, or
/// `ConflictingNetworkPolicy`, whose message names the policy. `Unknown`: `Retrying`.
pub const ISOLATED: &str = "Isolated";

/// `True`: the pod's container runs or ran (`Running`). `Unknown`: `Starting`, `Retrying`.
pub const STARTED: &str = "Started";

/// `True`: `Completed`. `False`: why not, one of the ends. `Unknown`: how far it is, the reason for which it waits, or
/// `Starting`, `Running`, `Stopping` or `Retrying`.
pub const SUCCEEDED: &str = "Succeeded";

/// `True` at either end, with the reason of `Succeeded`: for `kubectl wait --for=condition=Finished`.
pub const FINISHED: &str = "Finished";

/// Of contexts and providers. `True`: it was understood (`Valid`). `False`: `Invalid`; the message says what is wrong
/// with which field. Of contexts also `Expired`: it admits nothing any more. Of providers also `False`: `Listed`, as
/// malicious or denied; `Unknown`: `WatchlistUnreadable`.
pub const VALID: &str = "Valid";

/// Of contexts. `True`: anybody who may write contexts could have written it (`WithinCeiling`). `False`:
/// `CeilingExceeded`; the message says what it grants beyond the cluster's ceiling. That is no fault: its author had the
/// right to escalate, or the ceiling was lowered since, and executions run under it all the same.
pub const WITHIN_CEILING: &str = "WithinCeiling";

/// Of providers. `True`: what runs is one digest (`ByDigest`, `Resolved`), also if the tag that named it names another
/// one by now (`TagMoved`). `False`: `RegistryNotAllowed`, `RegistryFailed`, `NoImage`.
pub const PINNED: &str = "Pinned";

/// Of providers that demand a signature. `True`: it was found good, over the digest that runs (`Verified`). `False`:
/// `NotSigned`, `SignatureInvalid`, `KeyInvalid`, `NoTrustRoot`, `NoImage`, `RegistryNotAllowed`. `Unknown`: `NotPinned`,
/// `RegistryFailed`, `KeyUnreadable`.
pub const VERIFIED: &str = "Verified";
