//! The webhook's own certificates: when they are renewed, and how they are made. Functions of values.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData as _,
};
use time::{Duration, OffsetDateTime};
use x509_parser::pem::Pem;
use x509_parser::prelude::X509Certificate;

/// The authority outlives releases; its key never leaves the Secret.
const AUTHORITY_LIFETIME: Duration = Duration::days(3650);
/// Short enough that renewal is a habit, not an event.
const SERVING_LIFETIME: Duration = Duration::days(90);
/// Clocks of API servers may be behind.
const BACKDATED: Duration = Duration::minutes(10);

/// What the Secret holds, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// `ca.crt`: the authority that signs, then those before it that have not expired.
    pub bundle: String,
    /// `ca.key`.
    pub authority_key: String,
    /// `tls.crt`.
    pub certificate: String,
    /// `tls.key`.
    pub key: String,
}

/// What to do with what the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It is good.
    Keep(Material),
    /// Write this instead.
    Replace(Material),
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum CertificateError {
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    #[error("the time is none that a certificate can have")]
    Time(#[from] time::error::ComponentRange),
}

impl Material {
    /// Reads the Secret's data; `None` if a part is missing.
    #[must_use]
    pub fn read(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let text = |key: &str| data.get(key).and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
        Some(Self {
            bundle: text("ca.crt")?,
            authority_key: text("ca.key")?,
            certificate: text("tls.crt")?,
            key: text("tls.key")?,
        })
    }

    /// The Secret's data.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let Self { bundle, authority_key, certificate, key } = self;
        [("ca.crt", bundle), ("ca.key", authority_key), ("tls.crt", certificate), ("tls.key", key)]
            .into_iter()
            .map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes())))
            .collect()
    }
}

/// Looks at what is stored. What can't be read or does not fit together is replaced: it serves nobody.
///
/// # Errors
/// If no certificate can be made.
pub fn plan(stored: Option<Material>, names: &[String], now: Timestamp) -> Result<Plan, CertificateError> {
    let before = stored.as_ref().map(|stored| authorities(&stored.bundle, now)).unwrap_or_default();
    let usable = stored.and_then(|stored| authority(&stored, now).map(|authority| (stored, authority)));
    let Some((stored, authority)) = usable else {
        let (authority, certificate) = make_authority(now)?;
        let bundle = std::iter::once(certificate).chain(before).collect();
        return Ok(Plan::Replace(serving(&authority, bundle, names, now)?));
    };
    if serves(&stored, names, now) {
        return Ok(Plan::Keep(stored));
    }
    Ok(Plan::Replace(serving(&authority, stored.bundle, names, now)?))
}

/// The authority that is stored, if it is to be used on.
fn authority(stored: &Material, now: Timestamp) -> Option<Issuer<'static, KeyPair>> {
    let key = KeyPair::from_pem(&stored.authority_key).ok()?;
    let pem = Pem::iter_from_buffer(stored.bundle.as_bytes()).next()?.ok()?;
    let certificate = pem.parse_x509().ok()?;
    let fits = certificate.public_key().raw == key.subject_public_key_info().as_slice();
    (fits && certificate.is_ca() && !due(&certificate, now))
        .then(|| Issuer::from_ca_cert_pem(&stored.bundle, key).ok())?
}

/// Whether the serving certificate is to be used on.
fn serves(stored: &Material, names: &[String], now: Timestamp) -> bool {
    let first = |text: &str| Pem::iter_from_buffer(text.as_bytes()).next().and_then(Result::ok);
    let (Some(authority), Some(certificate)) = (first(&stored.bundle), first(&stored.certificate)) else {
        return false;
    };
    let (Ok(authority), Ok(certificate)) = (authority.parse_x509(), certificate.parse_x509()) else { return false };
    let Ok(key) = KeyPair::from_pem(&stored.key) else { return false };
    certificate.public_key().raw == key.subject_public_key_info().as_slice()
        && certificate.verify_signature(Some(authority.public_key())).is_ok()
        && names_of(&certificate) == names.iter().map(String::as_str).collect::<Vec<_>>()
        && !due(&certificate, now)
}

fn names_of<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a str> {
    use x509_parser::prelude::GeneralName;
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = |name: &GeneralName<'a>| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    };
    names.value.general_names.iter().filter_map(dns).collect()
}

/// Whether less than a third of a certificate's life is left: time for many failed renewals before it ends.
fn due(certificate: &X509Certificate<'_>, now: Timestamp) -> bool {
    let (from, until) = (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
    let left = until.saturating_sub(now.as_second());
    left.saturating_mul(3) < until.saturating_sub(from) || now.as_second() < from
}

/// The authorities of a bundle that have not expired, each as PEM: certificates that they signed are still served while
/// the replicas change over.
#[must_use]
pub fn authorities(bundle: &str, now: Timestamp) -> Vec<String> {
    let unexpired = |pem: &Pem| {
        pem.parse_x509().is_ok_and(|certificate| certificate.validity().not_after.timestamp() > now.as_second())
    };
    Pem::iter_from_buffer(bundle.as_bytes())
        .filter_map(Result::ok)
        .filter(unexpired)
        .map(|pem| encode(&pem.contents))
        .collect()
}

fn encode(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (at, c) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}

fn validity(params: &mut CertificateParams, now: Timestamp, lifetime: Duration) -> Result<(), CertificateError> {
    let now = OffsetDateTime::from_unix_timestamp(now.as_second())?;
    params.not_before = now - BACKDATED;
    params.not_after = now + lifetime;
    Ok(())
}

fn make_authority(now: Timestamp) -> Result<(Issuer<'static, KeyPair>, String), CertificateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "ccos-webhook-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    validity(&mut params, now, AUTHORITY_LIFETIME)?;
    let certificate = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), certificate))
}

fn serving(
    authority: &Issuer<'_, KeyPair>,
    bundle: String,
    names: &[String],
    now: Timestamp,
) -> Result<Material, CertificateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "ccos-webhook");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, now, SERVING_LIFETIME)?;
    Ok(Material {
        bundle,
        authority_key: authority.key().serialize_pem(),
        certificate: params.signed_by(&key, authority)?.pem(),
        key: key.serialize_pem(),
    })
}

/// The names under which the API server calls a Service.
#[must_use]
pub fn names(service: &str, namespace: &str) -> Vec<String> {
    vec![
        service.to_owned(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn made(stored: Option<Material>, now: Timestamp) -> Material {
        match plan(stored, &names("w", "n"), now).unwrap() {
            Plan::Replace(material) => material,
            Plan::Keep(_) => panic!("kept"),
        }
    }

    fn kept(stored: &Material, now: Timestamp) -> bool {
        plan(Some(stored.clone()), &names("w", "n"), now).unwrap() == Plan::Keep(stored.clone())
    }

    #[test]
    fn what_was_just_made_is_kept_until_a_third_of_its_life_is_left() {
        let material = made(None, now());
        assert!(kept(&material, now()));
        assert!(kept(&material, now() + SignedDuration::from_hours(24 * 59)));
        let renewed = made(Some(material.clone()), now() + SignedDuration::from_hours(24 * 61));
        assert_eq!(renewed.bundle, material.bundle, "the authority stays");
        assert_ne!(renewed.certificate, material.certificate);
    }

    #[test]
    fn a_new_authority_comes_with_the_old_one() {
        let material = made(None, now());
        let later = now() + SignedDuration::from_hours(24 * 365 * 7);
        let renewed = made(Some(material.clone()), later);
        let all: Vec<_> = Pem::iter_from_buffer(renewed.bundle.as_bytes()).map(Result::unwrap).collect();
        let old = Pem::iter_from_buffer(material.bundle.as_bytes()).next().unwrap().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].contents, old.contents);
        assert!(kept(&renewed, later));
    }

    #[test]
    fn other_names_make_another_certificate() {
        let material = made(None, now());
        let plan = plan(Some(material.clone()), &names("other", "n"), now()).unwrap();
        assert!(matches!(plan, Plan::Replace(ref new) if new.bundle == material.bundle), "{plan:?}");
    }

    #[test]
    fn what_does_not_fit_together_is_replaced() {
        let (one, two) = (made(None, now()), made(None, now()));
        let broken = [
            Material { key: two.key.clone(), ..one.clone() },
            Material { certificate: two.certificate.clone(), key: two.key.clone(), ..one.clone() },
            Material { authority_key: two.authority_key.clone(), ..one.clone() },
            Material { bundle: two.bundle.clone(), ..one.clone() },
            Material { bundle: "x".to_owned(), ..one.clone() },
            Material { certificate: String::new(), ..one.clone() },
        ];
        for material in broken {
            let renewed = made(Some(material), now());
            assert!(kept(&renewed, now()));
        }
    }
}
