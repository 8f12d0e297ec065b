//! Where the egress proxy is. Asked for at the start of an attempt, and only if it connects to something.

use std::net::{IpAddr, SocketAddr};

use ccos_plan::build::egress::{Proxy, is_required};
use ccos_policy::Admitted;
use ccos_profile::egress::{PORT, SERVICE};
use k8s_openapi::api::core::v1::Service;
use kube::Api;

use crate::ctx::Ctx;
use crate::dereference::DereferenceError;

/// The proxy, if it is needed; or what of it is missing.
pub(crate) async fn proxy(ctx: &Ctx, admitted: &Admitted) -> Result<Result<Option<Proxy>, String>, DereferenceError> {
    if !is_required(admitted) {
        return Ok(Ok(None));
    }
    let namespace = ctx.namespace.clone();
    let service = Api::<Service>::namespaced(ctx.client.clone(), &namespace).get_opt(SERVICE).await;
    let service = service.map_err(|error| DereferenceError::Get(format!("Service {namespace}/{SERVICE}"), error))?;
    Ok(address(service.as_ref())
        .map(|address| Some(Proxy { namespace: namespace.clone(), address: SocketAddr::new(address, PORT) }))
        .map_err(|what| {
            format!(
                "the egress proxy's Service {namespace}/{SERVICE} {what}: is egress.enabled set in the chart's values?"
            )
        }))
}

fn address(service: Option<&Service>) -> Result<IpAddr, &'static str> {
    let spec = service.ok_or("does not exist")?.spec.as_ref();
    // "None" of a headless one is no address.
    spec.and_then(|spec| spec.cluster_ip.as_deref()?.parse().ok()).ok_or("has no cluster IP")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ServiceSpec;

    use super::*;

    #[test]
    fn only_an_address_is_one() {
        let service = |ip: Option<&str>| Service {
            spec: Some(ServiceSpec { cluster_ip: ip.map(str::to_owned), ..ServiceSpec::default() }),
            ..Service::default()
        };
        assert_eq!(address(None), Err("does not exist"));
        assert_eq!(address(Some(&Service::default())), Err("has no cluster IP"));
        for ip in [None, Some(""), Some("None")] {
            assert_eq!(address(Some(&service(ip))), Err("has no cluster IP"), "{ip:?}");
        }
        assert_eq!(address(Some(&service(Some("10.96.7.8")))), Ok([10, 96, 7, 8].into()));
        assert_eq!(address(Some(&service(Some("fd00::7")))), Ok("fd00::7".parse().unwrap()));
    }
}
