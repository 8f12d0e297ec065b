//! Signatures, as cosign leaves them in a registry, and what is made of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use serde_json::{Value, json};
use sigstore::crypto::SigningScheme;
use sigstore::crypto::signing_key::{SigStoreKeyPair, SigStoreSigner};

use super::*;

const IMAGE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;
const ISSUER: &str = "https://issuer.example.com";
const ANN: &str = "ann@example.com";
/// A moment in 2025.
const LOGGED: i64 = 1_750_000_000;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::from("sha256:"), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A registry with one repository, `app`.
#[derive(Clone, Default)]
struct Registry {
    /// By path: the media type and the content.
    objects: BTreeMap<String, (String, Vec<u8>)>,
    /// By path: a digest that is not the content's.
    claims: BTreeMap<String, String>,
}

impl Registry {
    fn manifest(&mut self, reference: &str, content: &[u8]) {
        let kind = "application/vnd.oci.image.manifest.v1+json".to_owned();
        for name in [reference, &sha256(content)] {
            self.objects.insert(format!("/v2/app/manifests/{name}"), (kind.clone(), content.to_vec()));
        }
    }

    fn blob(&mut self, content: &[u8]) -> Value {
        let digest = sha256(content);
        let kind = "application/octet-stream".to_owned();
        self.objects.insert(format!("/v2/app/blobs/{digest}"), (kind, content.to_vec()));
        json!({"digest": digest, "size": content.len()})
    }

    /// Serves from now on; answers with its address.
    async fn serve(self) -> String {
        async fn answer(State(registry): State<Arc<Registry>>, method: Method, uri: Uri) -> Response {
            let Some((kind, content)) = registry.objects.get(uri.path()) else {
                // As the distribution of the CNCF says it.
                let errors =
                    r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":"unknown tag"}]}"#;
                return (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/json")], errors).into_response();
            };
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            let digest = registry.claims.get(uri.path()).cloned().unwrap_or_else(|| sha256(content));
            headers.insert("docker-content-digest", digest.parse().unwrap());
            let body = if method == Method::HEAD { Vec::new() } else { content.clone() };
            (StatusCode::OK, headers, body).into_response()
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(answer).with_state(Arc::new(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

/// A key of cosign's.
struct Key(SigStoreSigner);

impl Key {
    fn new() -> Self {
        Self(SigningScheme::ECDSA_P256_SHA256_ASN1.create_signer().unwrap())
    }

    fn pem(&self) -> String {
        self.0.to_sigstore_keypair().unwrap().public_key_to_pem().unwrap()
    }

    fn sign(&self, bytes: &[u8]) -> String {
        BASE64.encode(self.0.sign(bytes).unwrap())
    }
}

/// What cosign signs.
fn payload(digest: &str) -> Vec<u8> {
    json!({"critical": {
        "identity": {"docker-reference": "registry.test/app"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }, "optional": null})
    .to_string()
    .into_bytes()
}

/// A registry with the image, and these signatures: payload and annotations.
fn signed(signatures: &[(Vec<u8>, Value)]) -> Registry {
    let mut registry = Registry::default();
    registry.manifest("1", IMAGE.as_bytes());
    beside(registry, &sha256(IMAGE.as_bytes()), signatures)
}

fn beside(mut registry: Registry, digest: &str, signatures: &[(Vec<u8>, Value)]) -> Registry {
    if signatures.is_empty() {
        return registry;
    }
    let mut layers = Vec::new();
    for (payload, annotations) in signatures {
        let mut layer = registry.blob(payload);
        layer["mediaType"] = json!("application/vnd.dev.cosign.simplesigning.v1+json");
        layer["annotations"] = annotations.clone();
        layers.push(layer);
    }
    let mut config = registry.blob(b"{}");
    config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
    let tag = format!("{}.sig", digest.replace(':', "-"));
    registry.manifest(&tag, manifest.to_string().as_bytes());
    registry
}

fn by_key(payload: &[u8], key: &Key) -> (Vec<u8>, Value) {
    (payload.to_vec(), json!({"dev.cosignproject.cosign/signature": key.sign(payload)}))
}

fn ours() -> Vec<u8> {
    payload(&sha256(IMAGE.as_bytes()))
}

/// `Verified`, or the reason why not.
async fn verdict(registry: Registry, signer: &Signer) -> &'static str {
    let address = registry.serve().await;
    let registries =
        Registries { allowed: vec![address.clone()], insecure: vec![address.clone()], authorities: Vec::new() };
    verdict_at(&registries, &address, signer).await
}

async fn verdict_at(registries: &Registries, address: &str, signer: &Signer) -> &'static str {
    verdict_of(registries, address, &sha256(IMAGE.as_bytes()), signer).await
}

async fn verdict_of(registries: &Registries, address: &str, digest: &str, signer: &Signer) -> &'static str {
    let image = Image::parse(&format!("{address}/app:1")).unwrap();
    let digest = Digest::parse(digest).unwrap();
    match verify(registries, &image, &digest, signer, (String::new(), String::new())).await {
        Verification::Verified { digest: over, .. } => {
            assert_eq!(over, digest);
            "Verified"
        }
        Verification::Refused { reason, why } | Verification::Unknown { reason, why } => {
            assert!(!why.is_empty());
            reason
        }
        Verification::NotDemanded => panic!(),
    }
}

#[tokio::test]
async fn a_signature_is_good_by_its_key_over_its_digest_and_by_nothing_else() {
    let (key, other) = (Key::new(), Key::new());
    let signer = Signer::Key(key.pem());
    assert_eq!(verdict(signed(&[by_key(&ours(), &key)]), &signer).await, "Verified");
    // One of many is enough, whoever else signed it.
    assert_eq!(verdict(signed(&[by_key(&ours(), &other), by_key(&ours(), &key)]), &signer).await, "Verified");
    assert_eq!(verdict(signed(&[]), &signer).await, "NotSigned");
    assert_eq!(verdict(signed(&[by_key(&ours(), &other)]), &signer).await, "SignatureInvalid");
    // A good signature, moved here from another image.
    let another = payload(&format!("sha256:{}", "1".repeat(64)));
    assert_eq!(verdict(signed(&[by_key(&another, &key)]), &signer).await, "NotSigned");
    // A good signature, over something else than its payload.
    let (_, annotations) = by_key(&another, &key);
    assert_eq!(verdict(signed(&[(ours(), annotations)]), &signer).await, "SignatureInvalid");
    assert_eq!(verdict(signed(&[by_key(&ours(), &key)]), &Signer::Key("none".to_owned())).await, "KeyInvalid");
}

/// Made by cosign itself: key, payload and signature are those of sigstore-rs's own tests.
#[tokio::test]
async fn a_signature_of_cosigns_own_is_good() {
    const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENptdY/l3nB0yqkXLBWkZWQwo6+cu
OSWS1X9vPavpiQOoTTGC0xX57OojUadxF1cdQmrsiReWg2Wn4FneJfa8xw==
-----END PUBLIC KEY-----";
    const DIGEST: &str = "sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b";
    const SIGNATURE: &str =
        "MEUCIQD6q/COgzOyW0YH1Dk+CCYSt4uAhm3FDHUwvPI55zwnlwIgE0ZK58ZOWpZw8YVmBapJhBqCfdPekIknimuO0xH8Jh8=";
    let payload = r#"{"critical":{"identity":{"docker-reference":"registry-testing.svc.lan/busybox"},"image":{"docker-manifest-digest":"DIGEST"},"type":"cosign container image signature"},"optional":null}"#;
    let payload = payload.replace("DIGEST", DIGEST).into_bytes();
    let verdict = async |signature: &str| {
        let mut registry = Registry::default();
        // The image itself is not here, but for its digest.
        let path = format!("/v2/app/manifests/{DIGEST}");
        registry.manifest(DIGEST, IMAGE.as_bytes());
        registry.claims.insert(path, DIGEST.to_owned());
        let annotations = json!({"dev.cosignproject.cosign/signature": signature});
        let address = beside(registry, DIGEST, &[(payload.clone(), annotations)]).serve().await;
        let registries =
            Registries { allowed: vec![address.clone()], insecure: vec![address.clone()], authorities: Vec::new() };
        verdict_of(&registries, &address, DIGEST, &Signer::Key(KEY.to_owned())).await
    };
    assert_eq!(verdict(SIGNATURE).await, "Verified");
    assert_eq!(verdict(&SIGNATURE.replace("MEUCIQD6q", "MEUCIQD6r")).await, "SignatureInvalid");
}

#[tokio::test]
async fn only_allowed_registries_are_spoken_to_and_one_that_is_away_says_nothing_of_a_signature() {
    let key = Key::new();
    let signer = Signer::Key(key.pem());
    let address = signed(&[by_key(&ours(), &key)]).serve().await;
    let none = Registries { insecure: vec![address.clone()], ..Registries::default() };
    assert_eq!(verdict_at(&none, &address, &signer).await, "RegistryNotAllowed");
    let with_tls = Registries { allowed: vec![address.clone()], ..Registries::default() };
    assert_eq!(verdict_at(&with_tls, &address, &signer).await, "RegistryFailed");
    let away = "127.0.0.1:1".to_owned();
    let registries = Registries { allowed: vec![away.clone()], insecure: vec![away.clone()], authorities: Vec::new() };
    assert_eq!(verdict_at(&registries, &away, &signer).await, "RegistryFailed");
    assert_eq!(verdict(Registry::default(), &signer).await, "NoImage");
}

#[tokio::test]
async fn a_tag_is_what_the_registry_says_now() {
    let address = signed(&[]).serve().await;
    let registries =
        Registries { allowed: vec![address.clone()], insecure: vec![address.clone()], authorities: Vec::new() };
    let image = Image::parse(&format!("{address}/app:1")).unwrap();
    let digest = registries.digest(&image, &format!("{address}/app:1")).await.unwrap();
    assert_eq!(digest.as_str(), sha256(IMAGE.as_bytes()));
    let error = registries.digest(&image, &format!("{address}/app:2")).await.unwrap_err();
    assert_eq!(error.reason(), "NoImage");
}

/// An instance of Sigstore: an authority and a log.
struct Instance {
    authority: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
    log: Key,
}

impl Instance {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Self { authority: Issuer::new(params, key), certificate, log: Key::new() }
    }

    fn root(&self) -> TrustRoot {
        let log = self.log.0.to_sigstore_keypair().unwrap().public_key_to_der().unwrap();
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [{"baseUrl": "https://log.test", "publicKey": {"rawBytes": BASE64.encode(log)}, "logId": {"keyId": BASE64.encode([1; 32])}}],
            "certificateAuthorities": [{"certChain": {"certificates": [{"rawBytes": BASE64.encode(&self.certificate)}]}}],
        });
        TrustRoot::parse(&root.to_string()).unwrap()
    }

    fn signer(&self, identity: &str) -> Signer {
        Signer::Keyless { issuer: ISSUER.to_owned(), identity: identity.to_owned(), root: self.root() }
    }

    /// A key, and a certificate for who has it.
    fn vouch(&self, identity: &str, issuer: &str) -> (Key, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::Rfc822Name(identity.try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 1);
        let oid = [1, 3, 6, 1, 4, 1, 57264, 1, 1];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, issuer.as_bytes().to_vec())];
        let certificate = params.signed_by(&key, &self.authority).unwrap().pem();
        let signer = SigStoreKeyPair::from_der(&key.serialize_der()).unwrap();
        (Key(signer.to_sigstore_signer(&SigningScheme::ECDSA_P256_SHA256_ASN1).unwrap()), certificate)
    }

    /// What the log says of a signature.
    fn log(&self, payload: &[u8], signature: &str, at: i64) -> String {
        let digest = sha256(payload);
        let body = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": digest.strip_prefix("sha256:")}},
            "signature": {"content": signature, "publicKey": {"content": ""}},
        }});
        let entry = json!({
            "body": BASE64.encode(body.to_string()), "integratedTime": at, "logIndex": 7, "logID": "01".repeat(32),
        });
        let promise = self.log.sign(&ccos_plan::digest::canonical(&entry).unwrap());
        json!({"SignedEntryTimestamp": promise, "Payload": entry}).to_string()
    }
}

fn keyless(signature: &str, certificate: &str, entry: Option<&str>) -> (Vec<u8>, Value) {
    let mut annotations = json!({
        "dev.cosignproject.cosign/signature": signature, "dev.sigstore.cosign/certificate": certificate,
    });
    if let Some(entry) = entry {
        annotations["dev.sigstore.cosign/bundle"] = json!(entry);
    }
    (ours(), annotations)
}

#[tokio::test]
async fn an_identity_is_believed_by_the_authority_the_issuer_and_the_log_together() {
    let instance = Instance::new();
    let signer = instance.signer(ANN);
    let (key, certificate) = instance.vouch(ANN, ISSUER);
    let signature = key.sign(&ours());
    let entry = instance.log(&ours(), &signature, LOGGED);
    let good = || signed(&[keyless(&signature, &certificate, Some(&entry))]);
    assert_eq!(verdict(good(), &signer).await, "Verified");
    assert_eq!(verdict(good(), &instance.signer("bob@example.com")).await, "SignatureInvalid");
    assert_eq!(verdict(good(), &Instance::new().signer(ANN)).await, "NotSigned", "another log and authority");

    let (key, elsewhere) = instance.vouch(ANN, "https://other.example.com");
    let signature = key.sign(&ours());
    let entry = instance.log(&ours(), &signature, LOGGED);
    assert_eq!(verdict(signed(&[keyless(&signature, &elsewhere, Some(&entry))]), &signer).await, "SignatureInvalid");
}

#[tokio::test]
async fn a_forged_identity_is_not_believed() {
    let instance = Instance::new();
    let signer = instance.signer(ANN);
    let (key, certificate) = instance.vouch(ANN, ISSUER);
    let (signature, mallory) = (key.sign(&ours()), Key::new());
    let entry = instance.log(&ours(), &signature, LOGGED);

    // The right certificate, beside a signature by another key, logged or not.
    let forged = mallory.sign(&ours());
    let its_entry = instance.log(&ours(), &forged, LOGGED);
    assert_eq!(verdict(signed(&[keyless(&forged, &certificate, Some(&its_entry))]), &signer).await, "SignatureInvalid");
    assert_eq!(
        verdict(signed(&[keyless(&signature, &certificate, None)]), &signer).await,
        "SignatureInvalid",
        "unlogged"
    );
    // The key of an old certificate got out: a new signature by it, with an entry of the time when it was good.
    let old = key.sign(&payload(&format!("sha256:{}", "1".repeat(64))));
    let old_entry = instance.log(b"something else", &old, LOGGED);
    assert_eq!(
        verdict(signed(&[keyless(&signature, &certificate, Some(&old_entry))]), &signer).await,
        "SignatureInvalid"
    );
    // And with an honest entry of today: the certificate is not of today.
    let late = instance.log(&ours(), &signature, LOGGED + 365 * 86_400);
    assert_eq!(verdict(signed(&[keyless(&signature, &certificate, Some(&late))]), &signer).await, "SignatureInvalid");
    // An entry that the log has not signed.
    let moved = entry.replace(&LOGGED.to_string(), &(LOGGED + 1).to_string());
    assert_eq!(verdict(signed(&[keyless(&signature, &certificate, Some(&moved))]), &signer).await, "NotSigned");
    // A certificate of an authority of one's own.
    let (key, own) = Instance::new().vouch(ANN, ISSUER);
    let signature = key.sign(&ours());
    let entry = instance.log(&ours(), &signature, LOGGED);
    assert_eq!(verdict(signed(&[keyless(&signature, &own, Some(&entry))]), &signer).await, "SignatureInvalid");
}
