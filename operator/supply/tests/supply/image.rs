use ccos_supply::image::{Digest, Image, ImageError};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn a_reference_is_a_registry_a_name_and_a_tag_or_a_digest() {
    for (text, repository, tag) in [
        ("registry.example.com/weather:1.4", "registry.example.com/weather", Some("1.4")),
        ("registry.example.com:5000/a/weather", "registry.example.com:5000/a/weather", Some("latest")),
        ("10.245.0.2:5000/weather:v1", "10.245.0.2:5000/weather", Some("v1")),
        ("busybox", "docker.io/library/busybox", Some("latest")),
        // Spellings that lead to the same image.
        ("GHCR.io/evil/x:1", "ghcr.io/evil/x", Some("1")),
        ("ghcr.io:443/evil/x:1", "ghcr.io/evil/x", Some("1")),
        ("registry-1.docker.io/library/busybox", "docker.io/library/busybox", Some("latest")),
        ("index.docker.io/busybox", "docker.io/library/busybox", Some("latest")),
        ("Docker.io:443/busybox", "docker.io/library/busybox", Some("latest")),
        ("docker.io/evil/x", "docker.io/evil/x", Some("latest")),
    ] {
        let image = Image::parse(text).unwrap();
        assert_eq!((image.repository().as_str(), image.tag(), image.digest()), (repository, tag, None), "{text}");
    }
    let pinned = Image::parse(&format!("registry.example.com/weather:1.4@{DIGEST}")).unwrap();
    assert_eq!(pinned.digest().unwrap().as_str(), DIGEST);
    assert_eq!(pinned.tag(), None, "a digest says more than a tag");
}

#[test]
fn what_runs_is_named_by_digest_and_not_by_tag() {
    let digest = Digest::parse(DIGEST).unwrap();
    for (text, expected) in [
        ("registry.example.com/weather:1.4", "registry.example.com/weather"),
        ("registry.example.com:5000/weather", "registry.example.com:5000/weather"),
        ("busybox", "busybox"),
    ] {
        assert_eq!(Image::parse(text).unwrap().at(&digest), format!("{expected}@{DIGEST}"));
    }
    let other = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    let tagged = Image::parse(&format!("registry.example.com/weather:1.4@{other}")).unwrap();
    assert_eq!(tagged.at(&digest), format!("registry.example.com/weather@{DIGEST}"));
}

#[test]
fn a_digest_that_is_none_and_a_name_that_is_none_are_told_apart() {
    for text in [
        "a/b@sha256:12",
        "a/b@sha512:00",
        &format!("a/b@{}", DIGEST.to_uppercase()),
        "a/b@",
        &format!("a@{DIGEST}@{DIGEST}"),
    ] {
        assert_eq!(Image::parse(text), Err(ImageError::Digest), "{text}");
    }
    for text in ["", "a/B", "a/../b", "a b", "a//b", "http://a/b", &format!("@{DIGEST}")] {
        assert!(matches!(Image::parse(text), Err(ImageError::Reference(_))), "{text}");
    }
}
