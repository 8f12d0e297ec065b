//! Addresses of the operator's own Services.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;

/// Its address in the cluster; or what is missing.
pub(crate) fn address(service: Option<&Service>) -> Result<IpAddr, &'static str> {
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
