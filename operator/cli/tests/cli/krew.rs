use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::check::folder;

/// Packs something that stands for the binary, whose debug build takes long to pack.
fn render(version: &str, uri: &str, archive: &Path) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("krew/render.sh");
    let binary = archive.with_file_name("ccos");
    std::fs::write(&binary, "#!/bin/sh\necho packed\n").unwrap();
    Command::new(script).arg(version).arg(binary).arg(uri).arg(archive).output().unwrap()
}

/// What krew's own validation asks of a plug-in.
#[test]
fn a_rendered_manifest_is_one_that_krew_takes() {
    let path = folder("krew", &[("empty", "")]);
    let archive = path.join("ccos.tar.gz");
    let version = env!("CARGO_PKG_VERSION");
    let output = render(version, "https://releases.example/ccos.tar.gz", &archive);
    assert!(output.status.success(), "{output:?}");
    let plugin: Value = serde_saphyr::from_str(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
    assert_eq!(plugin["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!((&plugin["kind"], &plugin["metadata"]["name"]), (&json!("Plugin"), &json!("ccos")));
    assert_eq!(plugin["spec"]["version"], format!("v{version}"));
    let short = plugin["spec"]["shortDescription"].as_str().unwrap();
    assert!(!short.is_empty() && short.len() <= 60 && !short.ends_with('.'), "{short}");
    let fields: BTreeSet<&str> = plugin["spec"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(["caveats", "description", "platforms", "shortDescription", "version"]));
    for platform in plugin["spec"]["platforms"].as_array().unwrap() {
        assert!(platform["selector"]["matchLabels"]["os"].is_string(), "{platform}");
        assert_eq!(platform["uri"], "https://releases.example/ccos.tar.gz");
        assert_eq!(platform["sha256"], sha256(&archive));
        // krew makes `kubectl ccos` of a binary with this name.
        assert_eq!(platform["bin"], "kubectl-ccos");
    }

    let unpacked = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&path).status().unwrap();
    assert!(unpacked.success());
    let said = Command::new(path.join("kubectl-ccos")).output().unwrap();
    assert_eq!(said.stdout, b"packed\n", "it is there, and can be executed");
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn what_would_break_the_manifest_is_refused() {
    let archive = folder("krew-refused", &[("empty", "")]).join("ccos.tar.gz");
    for (version, uri) in [
        ("v0.1.0", "https://a.example/x"),
        ("latest", "https://a.example/x"),
        ("0.1.0", "http://a.example/x"),
        ("0.1.0", "https://a.example/x y"),
    ] {
        let output = render(version, uri, &archive);
        assert!(!output.status.success() && output.stdout.is_empty(), "{version} {uri}");
        assert!(!archive.exists(), "{version} {uri}");
    }
}
