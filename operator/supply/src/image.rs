//! References of images, by the grammar of the OCI distribution specification.

use oci_spec::distribution::Reference;

/// What the hub is called, though other names lead there.
const HUB: &str = "docker.io";

/// Where an image is, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// As it was written, without the digest: what a node pulls.
    written: String,
    /// The host, and the port where there is one, in one spelling of all that lead there.
    registry: String,
    /// The name in the registry.
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The SHA-256 of a manifest, as `sha256:` and 64 hexadecimal digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(String);

/// Why a text is no reference, or no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Its digest is none.
    #[error("expected @sha256: and 64 hexadecimal digits in lower case")]
    Digest,
    /// Something else of it.
    #[error("expected a registry and a name, such as registry.example.com/weather: {0}")]
    Reference(String),
}

impl Digest {
    /// Reads one.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64 && digits.bytes().all(is_digit));
        if digits.is_some() { Ok(Self(text.to_owned())) } else { Err(ImageError::Digest) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One spelling of a host: names of hosts have no case, 443 is the port of those that name none, and the hub has several
/// names. Otherwise a list that speaks of an image would be evaded by writing it in another way.
#[must_use]
pub fn host(written: &str) -> String {
    let lower = written.to_ascii_lowercase();
    let host = lower.strip_suffix(":443").unwrap_or(&lower);
    match host {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" | "hub.docker.com" => HUB.to_owned(),
        host => host.to_owned(),
    }
}

/// The hub's own images have a folder, which the grammar fills in for one of its spellings.
fn repository(registry: &str, name: &str) -> String {
    if registry == HUB && !name.contains('/') { format!("library/{name}") } else { name.to_owned() }
}

impl Image {
    /// Reads a reference.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        // First, since the grammar knows more digests than are held.
        let (written, digest) = match text.split_once('@') {
            Some((written, digest)) => (written, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let parsed: Reference = written
            .parse()
            .map_err(|error: oci_spec::distribution::ParseError| ImageError::Reference(error.to_string()))?;
        let registry = host(parsed.registry());
        let has_tag = written.rsplit('/').next().is_some_and(|name| name.contains(':'));
        Ok(Self {
            written: written.to_owned(),
            repository: repository(&registry, parsed.repository()),
            registry,
            // The grammar fills in `latest`, also beside a digest.
            tag: parsed.tag().filter(|_| has_tag || digest.is_none()).map(str::to_owned),
            digest,
        })
    }

    /// The host, and the port where there is one.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The registry and the name in it, such as `registry.example.com/weather`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Whether neither a tag nor a digest was written.
    #[must_use]
    pub fn is_name_only(&self) -> bool {
        let name = self.written.rsplit('/').next();
        self.digest.is_none() && name.is_none_or(|name| !name.contains(':'))
    }

    /// The digest, where it has one.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The tag that has to be looked up; `None` beside a digest, which says more.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref().filter(|_| self.digest.is_none())
    }

    /// The very image of this digest, as a node pulls it: without the tag, which a node would ignore.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let name = self.written.strip_suffix(&tag).unwrap_or(&self.written);
        format!("{name}@{digest}")
    }
}
