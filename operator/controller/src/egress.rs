//! Where the egress proxy is. Asked for at the start of an attempt, and only if it connects to something.

use std::net::SocketAddr;

use ccos_plan::build::egress::is_required;
use ccos_policy::Admitted;
use ccos_profile::egress::{PORT, SERVICE};
use k8s_openapi::api::core::v1::Service;
use kube::Api;

use crate::ctx::Ctx;
use crate::dereference::DereferenceError;
use crate::service::address;

/// The proxy, if it is needed; or what of it is missing.
pub(crate) async fn proxy(
    ctx: &Ctx,
    admitted: &Admitted,
) -> Result<Result<Option<SocketAddr>, String>, DereferenceError> {
    if !is_required(admitted) {
        return Ok(Ok(None));
    }
    let namespace = &ctx.namespace;
    let service = Api::<Service>::namespaced(ctx.client.clone(), namespace).get_opt(SERVICE).await;
    let service = service.map_err(|error| DereferenceError::Get(format!("Service {namespace}/{SERVICE}"), error))?;
    Ok(address(service.as_ref()).map(|address| Some(SocketAddr::new(address, PORT))).map_err(|what| {
        format!("the egress proxy's Service {namespace}/{SERVICE} {what}: is egress.enabled set in the chart's values?")
    }))
}
