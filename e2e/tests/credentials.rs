//! A header that the proxy adds: the host gets it, by TLS, and the code has no way to it.

use ccos_e2e::fixture::to;
use ccos_e2e::world::{free_port, hears};
use ccos_e2e::{cluster, context, execution, kubectl, namespace, until};
use serde_json::json;

const VALUE: &str = "Bearer hush-9f3c21";

/// Asks with a header of its own, then looks for the value in all that it can read.
const CURIOUS: &str = r"
import json, os, urllib.request, urllib.error
def ask():
    request = urllib.request.Request(url, headers={'Authorization': 'mine'})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return [answer.status, answer.read().decode(), str(answer.headers)]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode(), str(error.headers)]
answer, found, files = ask(), [], 0
needle = bytes(reversed(b'12c3f9-hsuh'))
for folder, _, names in os.walk('/'):
    for name in names:
        path = os.path.join(folder, name)
        try:
            if os.path.isfile(path) and os.path.getsize(path) < 4000000:
                with open(path, 'rb') as one:
                    files += 1
                    if needle in one.read(4000000):
                        found.append(path)
        except OSError:
            pass
print(json.dumps({'answer': answer, 'found': found, 'files': files, 'env': any('hush-' in one for one in os.environ.values())}))
";

#[test]
fn a_header_is_added_for_its_host_and_the_code_has_no_way_to_it() {
    let ns = namespace("credentials");
    let port = free_port();
    let server = hears(port);
    ns.kubectl(["create", "secret", "generic", "api", &format!("--from-literal=token={VALUE}")]);
    let there = to("world-a.test", port);
    let credential = json!({"host": "world-a.test", "pathPrefix": "/v1", "header": "Authorization",
        "secretKeyRef": {"name": "api", "key": "token"}});
    let grants = context("analysts").set("permissions.network.outbound", json!([there]));
    ns.apply(grants.set("permissions.network.credentials", json!([credential])));
    let ask = |name: &str, path: &str| {
        let script = format!("url = 'http://world-a.test:{port}{path}'\n{CURIOUS}");
        let ended = ns.accepts(execution(name).python(&script).connects(there.clone())).completes();
        ended.result().clone()
    };

    let refused = ask("too-early", "/v1/items");
    assert_eq!(refused["answer"][0], 502, "nobody let the proxy read the Secret: {refused}");
    assert!(!refused.to_string().contains("hush-"), "{refused}");
    assert_eq!(server.takes(), "");

    ns.kubectl(["create", "role", "credential", "--verb=get", "--resource=secrets", "--resource-name=api"]);
    let account = format!("--serviceaccount={}:ccos-egress", cluster::OPERATOR);
    ns.kubectl(["create", "rolebinding", "credential", "--role=credential", &account]);
    let as_proxy = format!("--as=system:serviceaccount:{}:ccos-egress", cluster::OPERATOR);
    until("the proxy may read it", 20, || {
        let answer = kubectl(["auth", "can-i", "get", "secrets/api", &as_proxy]).inside(&ns.name).run();
        answer.out.starts_with("yes").then_some(())
    });

    let result = ask("asks", "/v1/items?all=1");
    assert_eq!(result["answer"][0], 200, "{result}");
    assert_eq!((&result["answer"][1], &result["found"], &result["env"]), (&json!("hello"), &json!([]), &json!(false)));
    assert!(result["files"].as_u64().unwrap() > 100, "it looked: {result}");
    let heard = server.takes();
    assert!(heard.contains("GET /v1/items?all=1 HTTP/1.1"), "{heard}");
    let values: Vec<&str> =
        heard.lines().filter(|line| line.to_ascii_lowercase().starts_with("authorization:")).collect();
    assert_eq!(values, [format!("authorization: {VALUE}")], "{heard}");

    ask("elsewhere", "/v1/../admin");
    let heard = server.takes();
    assert!(heard.contains("Authorization: mine") && !heard.contains("hush-"), "{heard}");
}

#[test]
fn what_could_not_be_added_is_refused_with_its_field() {
    let ns = namespace("credentials-odd");
    let odd = json!([
        {"host": "*.test", "header": "Authorization", "secretKeyRef": {"name": "api", "key": "token"}},
        {"host": "a.test", "header": "Host", "pathPrefix": "/v1/../x", "secretKeyRef": {"name": "api", "key": "token"}},
    ]);
    let refused = ns.rejects(context("odd").set("permissions.network.credentials", odd)).of(3);
    let refused = refused.invalid("spec.permissions.network.credentials[0].host");
    let refused = refused.invalid("spec.permissions.network.credentials[1].header");
    refused.invalid("spec.permissions.network.credentials[1].pathPrefix");
}
