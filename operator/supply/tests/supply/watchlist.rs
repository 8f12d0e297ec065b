use ccos_supply::image::{Digest, Image};
use ccos_supply::watchlist::{By, Suspect, Watchlist};
use semver::Version;
use serde_json::{Value, json};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn list(record: &Value) -> Watchlist {
    let list = Watchlist::read([("list.json".to_owned(), record.to_string().as_str())]);
    assert_eq!(list.faults(), &[] as &[String]);
    list
}

/// By what `weather` of namespace `data`, of a version, is listed.
fn by(list: &Watchlist, version: &str) -> Option<By> {
    let (version, image) = (Version::parse(version).ok(), Image::parse("registry.example.com/weather:1").unwrap());
    let digest = Digest::parse(DIGEST).unwrap();
    let suspect = Suspect {
        namespace: Some("data"),
        name: "weather",
        version: version.as_ref(),
        image: Some(&image),
        digest: Some(&digest),
        publisher: Some(("https://issuer.example.com", "ann@example.com")),
    };
    list.of(&suspect).first().map(|listed| listed.by)
}

#[expect(clippy::needless_pass_by_value, reason = "called with json!, which makes one")]
fn affected(affected: Value) -> Value {
    json!({"id": "MAL-2026-0001", "affected": [affected]})
}

#[test]
fn a_name_an_image_a_digest_and_a_publisher_are_recognised() {
    let package = |ecosystem: &str, name: &str| affected(json!({"package": {"ecosystem": ecosystem, "name": name}}));
    let ours = |specific: Value| affected(json!({"database_specific": {"ccos": specific}}));
    let other = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    for (record, expected) in [
        (package("ccos", "weather"), Some(By::Name)),
        (package("ccos", "data/weather"), Some(By::Name)),
        (package("ccos", "other/weather"), None),
        (package("ccos", "weathers"), None),
        (package("OCI", "registry.example.com/weather"), Some(By::Image)),
        (package("OCI", "registry.example.com/weather2"), None),
        (package("OCI", "Registry.Example.com:443/weather"), Some(By::Image)),
        (package("OCI", "registry.example.com:5000/weather"), None),
        (ours(json!({"digests": [other, DIGEST]})), Some(By::Digest)),
        (ours(json!({"digests": [other]})), None),
        (ours(json!({"publishers": [{"issuer": "https://issuer.example.com"}]})), Some(By::Publisher)),
        (ours(json!({"publishers": [{"identity": "ann@example.com"}]})), Some(By::Publisher)),
        (ours(json!({"publishers": [{"issuer": "https://issuer.example.com", "identity": "bob@example.com"}]})), None),
    ] {
        assert_eq!(by(&list(&record), "1.0.0"), expected, "{record}");
    }
}

#[test]
fn versions_are_listed_by_range_and_one_by_one() {
    let of = |versions: Value, ranges: Value| {
        list(&affected(
            json!({"package": {"ecosystem": "ccos", "name": "weather"}, "versions": versions, "ranges": ranges}),
        ))
    };
    let range = |events: Value| of(json!([]), json!([{"type": "SEMVER", "events": events}]));
    let all = of(json!([]), json!([]));
    let some = of(json!(["1.2.3"]), json!([]));
    let fixed = range(json!([{"introduced": "1.0.0"}, {"fixed": "1.4.0"}]));
    let last = range(json!([{"introduced": "0"}, {"last_affected": "1.4.0"}]));
    // Out of order, as OSV allows.
    let twice = range(json!([{"introduced": "2.0.0"}, {"fixed": "1.1.0"}, {"introduced": "0"}]));
    for (name, list, version, expected) in [
        ("all", &all, "1.2.3", true),
        ("some", &some, "1.2.3", true),
        ("some", &some, "1.2.3+again", true),
        ("some", &some, "1.2.4", false),
        ("fixed", &fixed, "0.9.9", false),
        ("fixed", &fixed, "1.0.0", true),
        ("fixed", &fixed, "1.4.0-rc.1", true),
        ("fixed", &fixed, "1.4.0", false),
        ("last", &last, "0.0.1-alpha", true),
        ("last", &last, "1.4.0", true),
        ("last", &last, "1.4.1", false),
        ("twice", &twice, "1.0.9", true),
        ("twice", &twice, "1.5.0", false),
        ("twice", &twice, "2.0.0", true),
        ("a version that is none", &fixed, "one", true),
    ] {
        assert_eq!(by(list, version).is_some(), expected, "{name} {version}");
    }
}

#[test]
fn a_record_that_was_withdrawn_lists_nothing() {
    let mut record = affected(json!({"package": {"ecosystem": "ccos", "name": "weather"}}));
    assert_eq!(by(&list(&record), "1.0.0"), Some(By::Name));
    record["withdrawn"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(by(&list(&record), "1.0.0"), None);
}

#[test]
fn a_record_that_could_match_nothing_is_a_fault_and_hides_no_other() {
    let package = json!({"ecosystem": "ccos", "name": "weather"});
    for (record, expected) in [
        (json!("no record"), "is no OSV record"),
        (json!({"affected": []}), "missing field `id`"),
        (json!({"id": "MAL-1", "affected": []}), "MAL-1: affected: expected at least one"),
        (affected(json!({})), "affected[0]: expected a package"),
        (affected(json!({"package": {"ecosystem": "npm", "name": "weather"}})), "ecosystem \"npm\": expected ccos"),
        (affected(json!({"package": package, "versions": ["one"]})), "version \"one\""),
        (affected(json!({"package": package, "ranges": [{"type": "GIT", "events": []}]})), "\"GIT\": expected SEMVER"),
        (
            affected(json!({"package": package, "ranges": [{"type": "SEMVER", "events": [{"fixed": "1.0.0"}]}]})),
            "introduced",
        ),
        (
            affected(json!({"package": package, "ranges": [{"type": "SEMVER", "events": [{"limit": "1.0.0"}]}]})),
            "limit",
        ),
        (affected(json!({"versions": ["1.0.0"]})), "versions without a package"),
        (affected(json!({"database_specific": {"ccos": {"digest": [DIGEST]}}})), "unknown field `digest`"),
        (affected(json!({"database_specific": {"ccos": {"digests": ["sha256:1"]}}})), "expected @sha256:"),
        (affected(json!({"database_specific": {"ccos": {"publishers": [{}]}}})), "expected an issuer or an identity"),
    ] {
        let good = json!([{"id": "MAL-2", "affected": [{"package": package}]}]).to_string();
        let lists = [("bad".to_owned(), record.to_string()), ("good".to_owned(), good)];
        let list = Watchlist::read(lists.iter().map(|(place, text)| (place.clone(), text.as_str())));
        assert_eq!(list.faults().len(), 1, "{record}");
        assert!(list.faults()[0].starts_with("bad: ") && list.faults()[0].contains(expected), "{:?}", list.faults());
        assert_eq!(by(&list, "1.0.0"), Some(By::Name), "{record}");
    }
}

#[test]
fn what_osv_has_besides_is_left_alone() {
    let record = json!({
        "schema_version": "1.7.0", "id": "MAL-2026-0002", "modified": "2026-01-01T00:00:00Z", "published": "2026-01-01T00:00:00Z",
        "summary": "Malicious code in weather", "details": "…", "references": [{"type": "WEB", "url": "https://example.com"}],
        "affected": [{
            "package": {"ecosystem": "ccos", "name": "weather", "purl": "pkg:oci/weather"},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
            "database_specific": {"source": "x", "cwes": []},
        }],
        "credits": [{"name": "x"}], "database_specific": {"malicious-packages-origins": []},
    });
    assert_eq!(by(&list(&json!([record])), "1.0.0"), Some(By::Name));
}
