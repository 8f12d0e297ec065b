//! The closed set of reasons for a denial, as the design names them.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($(#[doc = $doc:literal] $name:ident),* $(,)?) => {
        /// Why an execution is denied. Users' tools match on these names: none is ever renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason { $(#[doc = $doc] $name),* }
        impl Reason {
            /// All of them, in the order in which the decision looks.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// The name, as users see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => stringify!($name)),* } }
            /// What it means, for the reference.
            #[must_use]
            pub const fn meaning(self) -> &'static str { match self { $(Self::$name => $doc),* } }
        }
        impl std::fmt::Display for Reason {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

reasons! {
    /// The context does not exist, or can't be understood.
    ContextNotFound,
    /// The context has expired.
    ContextExpired,
    /// The requester lacks the RBAC verb `use` on the context, or `get` on an object that the execution names.
    UseForbidden,
    /// The provider or its capability does not exist.
    CapabilityNotFound,
    /// The provider can't be understood, or is not to be trusted.
    ProviderInvalid,
    /// The inputs do not fit the capability's schema.
    InvalidInputs,
    /// A path may not be read.
    FileReadDenied,
    /// A path may not be written.
    FileWriteDenied,
    /// A path may not be executed.
    FileExecuteDenied,
    /// A destination may not be connected to.
    NetworkDenied,
    /// A source may not connect in.
    InboundDenied,
    /// A program may not be executed.
    CommandDenied,
    /// Processes may not be created.
    ProcessCreationDenied,
    /// A variable may not be given to the code.
    EnvironmentReadDenied,
    /// A variable may not be set.
    EnvironmentWriteDenied,
    /// A socket may not be connected to.
    IpcDenied,
    /// A limit is above the context's.
    LimitExceeded,
    /// A limit is above what is reasonable, and the context does not say so.
    LimitUnreasonable,
    /// The context does not allow this isolation.
    IsolationNotAllowed,
    /// The isolation, or this release, can't hold a restriction exactly.
    Unenforceable,
    /// An `ExecutionPolicy` forbids it.
    PolicyDenied,
    /// A context grants more than the cluster's ceiling.
    CeilingExceeded,
}
