//! The pod's tokens: each for one endpoint of the operator alone, and worth nothing once the pod is gone.

use k8s_openapi::api::core::v1::{ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeProjection};

/// A token as a file, in a folder of its own outside of the view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// Of the volume.
    pub(super) name: &'static str,
    /// Of the file.
    pub(super) path: &'static str,
    /// Who believes it.
    pub(super) audience: &'static str,
    /// How long it is good for. The kubelet renews it before.
    pub(super) seconds: i64,
    /// Of the file; `None`: Kubernetes' own.
    pub(super) mode: Option<i32>,
}

impl Token {
    /// Where the volume is mounted, and the volume.
    pub(super) fn volume(self) -> (&'static str, Volume) {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", self.path));
        let token = ServiceAccountTokenProjection {
            audience: Some(self.audience.to_owned()),
            expiration_seconds: Some(self.seconds),
            path: file.to_owned(),
        };
        let source = VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() };
        let projected = ProjectedVolumeSource { default_mode: self.mode, sources: Some(vec![source]) };
        (folder, Volume { name: self.name.to_owned(), projected: Some(projected), ..Volume::default() })
    }
}
