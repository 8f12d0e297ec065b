//! The certificate of the endpoint of reports. It is its own authority: each pod is told to believe this one and no other.

use std::net::{IpAddr, SocketAddr};

use ccos_plan::build::{Operator, REPORT_PORT};
use ccos_profile::{ReportTo, digest};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::PostParams;
use kube::{Api, Client};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use crate::service::address;

/// Of the Service in front of the endpoint, which the chart makes.
const SERVICE: &str = "ccos-report";
/// Of the Secret with the key, which the chart makes, empty: so that the controller needs no right to make Secrets.
const SECRET: &str = "ccos-report-tls";

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportTlsError {
    #[error("cannot {what}")]
    Api { what: &'static str, source: kube::Error },
    #[error("Service {SERVICE:?} {0}")]
    Address(&'static str),
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// What the endpoint serves with, and what pods are told of it.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) operator: Operator,
}

/// Finds the Service's address, and the certificate for it; makes one where there is none, or one for another address.
/// It is kept in the cluster, so that what runs can report to the next leader.
pub(crate) async fn serving(client: &Client, namespace: &str) -> Result<Serving, ReportTlsError> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let read = |what| move |source| ReportTlsError::Api { what, source };
    let service = services.get(SERVICE).await.map_err(read("read Service \"ccos-report\""))?;
    let address = address(Some(&service)).map_err(ReportTlsError::Address)?;

    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut secret = secrets.get(SECRET).await.map_err(read("read Secret \"ccos-report-tls\""))?;
    let (certificate, key) = if let Some(kept) = kept(&secret, address) {
        kept
    } else {
        let made = make(address)?;
        let data = secret.data.get_or_insert_default();
        for (entry, text) in [("address", &address.to_string()), ("tls.crt", &made.0), ("tls.key", &made.1)] {
            data.insert(entry.to_owned(), ByteString(text.clone().into_bytes()));
        }
        // With its resourceVersion: whoever leads is alone, but one that has just lost the Lease may not know yet.
        secrets
            .replace(SECRET, &PostParams::default(), &secret)
            .await
            .map_err(read("write Secret \"ccos-report-tls\""))?;
        made
    };
    let report = ReportTo { address: SocketAddr::new(address, REPORT_PORT), certificate: certificate.clone() };
    // Of the key, so that it is the same for all of them, and says nothing of it.
    let secret = digest(format!("places of runners\n{key}").as_bytes());
    Ok(Serving { certificate, key, operator: Operator { namespace: namespace.to_owned(), report, secret } })
}

fn kept(secret: &Secret, address: IpAddr) -> Option<(String, String)> {
    let text = |entry: &str| String::from_utf8(secret.data.as_ref()?.get(entry)?.0.clone()).ok();
    (text("address")? == address.to_string()).then_some((text("tls.crt")?, text("tls.key")?))
}

/// For the address alone, and for as long as the library lets it: nothing but this certificate is believed, so that its
/// end would only end reports.
fn make(address: IpAddr) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, SERVICE);
    params.subject_alt_names = vec![SanType::IpAddress(address)];
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}
