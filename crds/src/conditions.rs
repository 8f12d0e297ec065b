//! The condition types. Each doc lists the reasons and what the message tells; the sets are closed.

/// `True`: the webhook's receipt is valid and the decision still says yes (`Admitted`). `False`: `ReceiptInvalid`, or
/// the reason of the first denial; the message has all of them.
pub const ADMITTED: &str = "Admitted";

/// `True`: waits, for `CapacityExhausted`, `QuotaExceeded`, `Suspended`, `RuntimeUnavailable` or `Unschedulable`; the
/// message says for what. `False`: `Started` or `Ended`.
pub const QUEUED: &str = "Queued";

/// `True`: the network policy, the quota and the profile that confine the pod exist (`Applied`), and, once it has
/// reported, its runner has proven its confinement (`Proven`). `False`: `ConfinementFailed`.
pub const ISOLATED: &str = "Isolated";

/// `True`: the pod's container runs or ran (`Running`). `Unknown`: `Starting`.
pub const STARTED: &str = "Started";

/// `True`: `Completed`. `False`: why not, one of the ends. `Unknown`: how far it is, the reason for which it waits, or
/// `Starting`, `Running` or `Stopping`.
pub const SUCCEEDED: &str = "Succeeded";

/// `True` at either end, with the reason of `Succeeded`: for `kubectl wait --for=condition=Finished`.
pub const FINISHED: &str = "Finished";

/// Of contexts and providers. `True`: it was understood (`Valid`). `False`: `Invalid`; the message says what is wrong
/// with which field. Of providers also `False`: `Listed`, as malicious or denied; `Unknown`: `WatchlistUnreadable`.
pub const VALID: &str = "Valid";

/// Of providers. `True`: what runs is one digest (`ByDigest`, `Resolved`), also if the tag that named it names another
/// one by now (`TagMoved`). `False`: `RegistryNotAllowed`, `RegistryFailed`, `NoImage`.
pub const PINNED: &str = "Pinned";

/// Of providers that demand a signature. `True`: it was found good, over the digest that runs (`Verified`). `False`:
/// `NotSigned`, `SignatureInvalid`, `KeyInvalid`, `NoTrustRoot`, `RegistryNotAllowed`. `Unknown`: `NotPinned`,
/// `RegistryFailed`, `KeyUnreadable`.
pub const VERIFIED: &str = "Verified";
