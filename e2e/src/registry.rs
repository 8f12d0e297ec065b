//! The registry of the cluster, spoken to as cosign and a build would: images that are pushed, tags that are moved, and
//! signatures beside them.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

use crate::cluster;
use crate::namespace::unique;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A repository of its own, whose images are busybox by another digest each.
#[derive(Debug)]
pub struct Repository {
    agent: Agent,
    host: String,
    name: String,
}

/// A key pair as cosign makes them, kept in a folder.
#[derive(Debug)]
pub struct Key {
    folder: PathBuf,
}

impl Repository {
    /// A new one.
    #[track_caller]
    pub fn new(title: &str) -> Self {
        let (host, _) = busybox();
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30))).build();
        Self { agent: config.into(), host, name: format!("e2e/{}", unique(title)) }
    }

    /// Registry and name.
    pub fn reference(&self) -> String {
        format!("{}/{}", self.host, self.name)
    }

    /// Pushes an image under a tag; the note makes it another one. Answers with its digest.
    #[track_caller]
    pub fn push(&self, tag: &str, note: &str) -> String {
        let (host, source) = busybox();
        let (from, digest) = source.split_once('@').unwrap();
        let url = format!("http://{host}/v2/{from}/manifests/{digest}");
        let mut answer = self.agent.get(url).header("Accept", MANIFEST).call().expect("the registry answers");
        let mut manifest: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        let layers = manifest["layers"].as_array().unwrap().clone();
        for blob in layers.iter().chain([&manifest["config"]]) {
            let blob = blob["digest"].as_str().unwrap();
            let mount = format!("{}/blobs/uploads/?mount={blob}&from={from}", self.url());
            let answer = self.agent.post(mount).send_empty().expect("the registry answers");
            assert_eq!(answer.status().as_u16(), 201, "{blob} is not mounted");
        }
        manifest["mediaType"] = json!(MANIFEST);
        manifest["annotations"] = json!({"dev.ccos.e2e/note": note});
        self.put(tag, &manifest)
    }

    /// Signs an image, in the form that cosign has for keys: a tag beside it.
    #[track_caller]
    pub fn sign(&self, digest: &str, key: &Key) {
        let payload = json!({"critical": {
            "identity": {"docker-reference": self.reference()},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }, "optional": null})
        .to_string();
        let layer = self.blob(payload.as_bytes());
        let config = self.blob(b"{}");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [{
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": layer,
                "size": payload.len(),
                "annotations": {"dev.cosignproject.cosign/signature": key.sign(&payload)},
            }],
        });
        self.put(&format!("{}.sig", digest.replace(':', "-")), &manifest);
    }

    fn url(&self) -> String {
        format!("http://{}/v2/{}", self.host, self.name)
    }

    #[track_caller]
    fn put(&self, tag: &str, manifest: &Value) -> String {
        let text = manifest.to_string();
        let request = self.agent.put(format!("{}/manifests/{tag}", self.url())).header("Content-Type", MANIFEST);
        let mut answer = request.send(&text).expect("the registry answers");
        let code = answer.status().as_u16();
        assert_eq!(code, 201, "{tag}: {}", answer.body_mut().read_to_string().unwrap_or_default());
        ccos_profile::digest(text.as_bytes())
    }

    #[track_caller]
    fn blob(&self, content: &[u8]) -> String {
        let digest = ccos_profile::digest(content);
        let begun =
            self.agent.post(format!("{}/blobs/uploads/", self.url())).send_empty().expect("the registry answers");
        let place = begun.headers().get("location").expect("a place to upload to").to_str().unwrap().to_owned();
        let place = if place.starts_with('/') { format!("http://{}{place}", self.host) } else { place };
        let and = if place.contains('?') { '&' } else { '?' };
        let request = self.agent.put(format!("{place}{and}digest={digest}"));
        let answer =
            request.header("Content-Type", "application/octet-stream").send(content).expect("the registry answers");
        assert_eq!(answer.status().as_u16(), 201, "{digest} is not uploaded");
        digest
    }
}

/// The registry, and the name and digest of the image that all others are made of.
fn busybox() -> (String, String) {
    let image = cluster::image("CCOS_BUSYBOX_IMAGE");
    let (host, name) = image.split_once('/').unwrap();
    (host.to_owned(), name.to_owned())
}

impl Key {
    /// A new one.
    #[track_caller]
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(unique("key"));
        std::fs::create_dir_all(&folder).unwrap();
        let key = Self { folder };
        key.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"], "");
        key
    }

    /// The public half, in PEM.
    #[track_caller]
    pub fn public(&self) -> String {
        String::from_utf8(self.openssl(&["ec", "-in", "key.pem", "-pubout"], "")).unwrap()
    }

    /// A signature, in base64.
    #[track_caller]
    fn sign(&self, text: &str) -> String {
        let signature = self.openssl(&["dgst", "-sha256", "-sign", "key.pem", "-out", "signature"], text);
        assert!(signature.is_empty());
        String::from_utf8(self.openssl(&["base64", "-A", "-in", "signature"], "")).unwrap()
    }

    #[track_caller]
    fn openssl(&self, arguments: &[&str], input: &str) -> Vec<u8> {
        use std::io::Write as _;
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(&self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("openssl");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}");
        output.stdout
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
