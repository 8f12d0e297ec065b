//! What this release does not hold yet. Each feature is refused as `Unenforceable` where it is used, and is a row of
//! `docs/status.md`, which is written from here: there is no other list.

use ccos_policy::{FieldPath, Unheld};

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident: $fields:literal, $advice:literal;)*) => {
        /// A field of the API that is refused for now.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Feature { $($(#[$doc])* $name),* }
        impl Feature {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// The fields, as users write them.
            #[must_use]
            pub const fn fields(self) -> &'static str { match self { $(Self::$name => $fields),* } }
            /// Why, and what to do instead.
            #[must_use]
            pub const fn advice(self) -> &'static str { match self { $(Self::$name => $advice),* } }
        }
    };
}

features! {
    /// UDP ports.
    Udp: "spec.permissions.network.*.ports[].protocol UDP", "UDP can't be held; use TCP";
    /// A volume without a size.
    UnsizedEmptyDir: "SecurityContext spec.volumes[].emptyDir without sizeLimit", "an emptyDir without a size is not bounded; give emptyDir.sizeLimit";
    /// A volume on the node's disk.
    DiskEmptyDir: "SecurityContext spec.volumes[].emptyDir without medium Memory", "the size of an emptyDir on disk is only looked at now and then; give emptyDir.medium Memory, which counts as memory";
    /// WebAssembly.
    Wasm: "CapabilityProvider spec.source.wasm, spec.capabilities[].export", "this release runs no WebAssembly; use an image";
    /// References into other namespaces.
    ForeignPullSecret: "ClusterCapabilityProvider spec.source.image.pullSecrets[].namespace", "a pod can pull with Secrets of its own namespace only; remove namespace";
}

/// Collects what is used and not held.
#[derive(Debug, Default)]
pub(crate) struct Unhelds(pub(crate) Vec<Unheld>);

impl Unhelds {
    pub(crate) fn add(&mut self, field: impl Into<String>, feature: Feature) {
        self.0.push(Unheld { field: FieldPath::new(field), advice: feature.advice().to_owned() });
    }
}
