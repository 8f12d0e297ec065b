//! What `kubectl explain` says, where the code says it too.

use ccos_crds::SecurityContext;
use ccos_policy::{Level, LimitsInForce};
use kube::CustomResourceExt as _;

#[test]
fn kubectl_explain_has_the_limits_of_each_level() {
    let crd = serde_json::to_value(SecurityContext::crd()).unwrap();
    let limits = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/limits/description";
    let text = crd.pointer(limits).unwrap().as_str().unwrap().replace('\n', " ");
    for level in [Level::Pure, Level::Controlled, Level::Sandboxed, Level::Full] {
        let LimitsInForce { memory, cpu, cpu_time, wall_time, disk, file_descriptors, threads, .. } =
            level.default_limits();
        let line = format!("`{level}` {memory}, {cpu}, {cpu_time}, {wall_time}, {disk}, {file_descriptors}, {threads}");
        assert!(text.contains(&line), "{line} in {text}");
    }
}
