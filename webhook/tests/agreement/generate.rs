//! Objects as clients send them, made up: most make sense, and many don't.

use std::fmt;

use ccos_webhook::references::Found;
use serde_json::{Map, Value, json};

/// A die that falls the same way for the same seed (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Of the good ones, and once in so many times of the bad ones.
    fn text(&mut self, good: &[&str], bad: &[&str], times: usize) -> Value {
        let from = if !bad.is_empty() && self.once_in(times) { bad } else { good };
        Value::from(*self.one(from))
    }

    fn list(&mut self, most: usize, mut item: impl FnMut(&mut Self) -> Value) -> Value {
        (0..self.below(most + 1)).map(|_| item(self)).collect()
    }
}

/// Three objects that belong together, or nearly.
pub struct Case {
    pub context: Value,
    pub provider: Value,
    pub execution: Value,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}\n{:#}\n{:#}", self.context, self.provider, self.execution)
    }
}

const PATHS: &[&str] = &[
    "/data",
    "/data/**",
    "/data/in",
    "/data/in/**",
    "/data/*.csv",
    "/data/private/**",
    "/data/*/keys",
    "/work",
    "/work/**",
    "/app/run",
    "/app/lib/**",
    "/etc/ssl/certs",
    "/etc",
    "/opt/**",
    "/opt/tools/**",
    "/**",
    "/tmp/x",
    "/usr/lib",
    "/data/ä",
];
const BAD_PATHS: &[&str] = &[
    "data",
    "",
    "/a//b",
    "/a/../b",
    "/a/",
    "/a[b]",
    "/a**",
    "/*/*/*/*/*",
    "/\u{0}",
    "/\u{7f}",
    "/\u{85}x",
    "/x\u{2028}y",
    "/{a,b}",
    "~/x",
];
const HOSTS: &[&str] = &["example.com", "*.example.com", "api.example.com", "Example.COM.", "bücher.example", "*.org"];
const BAD_HOSTS: &[&str] = &["*", "a.*.com", "https://a.b", "a.b:80", "127.0.0.1", "-a.b", "", "a..b", "0x7f.1"];
const CIDRS: &[&str] =
    &["203.0.113.0/24", "203.0.113.7/32", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::ffff:1.2.3.0/120"];
const BAD_CIDRS: &[&str] = &["203.0.113.1/24", "10.0.0.1", "300.0.0.0/8", "x", "::/129"];
const NAMES: &[&str] = &["LANG", "APP_*", "APP_MODE", "TOKEN", "T?KEN", "*"];
const BAD_NAMES: &[&str] = &["1A", "A-B", "", "A=B", "****_*"];
const BYTES: &[&str] = &["64Mi", "128Mi", "256Mi", "512Mi", "1Gi", "2Gi", "1000000", "1.5Gi"];
const BAD_BYTES: &[&str] = &["512MB", "0", "-1", "lots", "1.0001k", "9999999Ti"];
const CORES: &[&str] = &["100m", "500m", "1", "0.5", "4"];
const BAD_CORES: &[&str] = &["0", "1.0001", "x", "-1"];
const SPANS: &[&str] = &["1s", "30s", "1m", "5m", "1h30m", "10h"];
const BAD_SPANS: &[&str] = &["0s", "1", "1d", "-1s", "1h1h1h1h1h", "999999s"];
const IDS: &[&str] = &["weather.fetch", "csv.summary"];
const ISOLATIONS: &[&str] = &["GVisor", "Kata", "Container", "Wasm"];
const LEVELS: &[&str] = &["Controlled", "Controlled", "Controlled", "Full", "Sandboxed", "Pure"];

impl Case {
    pub fn of(dice: &mut Dice) -> Self {
        // Most cases have one flaw at most, or hardly any would be decided.
        let flaws = [100, 1000, 100_000][dice.below(3)];
        let mut case =
            Self { context: context(dice, flaws), provider: provider(dice, flaws), execution: execution(dice, flaws) };
        if dice.once_in(6) {
            let object = match dice.below(3) {
                0 => &mut case.context,
                1 => &mut case.provider,
                _ => &mut case.execution,
            };
            break_something(dice, object);
        }
        case
    }

    /// What the execution's names lead to among what was stored.
    pub fn finds(&self, stored: &Found) -> Found {
        let named = |reference: &str, object: &Value| {
            let reference = &self.execution["spec"][reference];
            reference["kind"] == object["kind"] && reference["name"] == object["metadata"]["name"]
        };
        Found {
            context: stored.context.clone().filter(|_| named("contextRef", &self.context)),
            provider: stored.provider.clone().filter(|_| named("capabilityRef", &self.provider)),
        }
    }
}

fn object(kind: &str, metadata: &Value, spec: &Value) -> Value {
    json!({"apiVersion": "security.ccos.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn metadata(dice: &mut Dice, name: &str, flaws: usize) -> Value {
    if dice.once_in(flaws) {
        let odd = ["Upper", "under_score", "-dash", "dots..dots", "ü", "", "x\u{1b}[31m"];
        return json!({"name": dice.one(&odd)});
    }
    if dice.once_in(50) { json!({"generateName": format!("{name}-")}) } else { json!({"name": name}) }
}

fn context(dice: &mut Dice, flaws: usize) -> Value {
    let level = dice.text(LEVELS, &["Wild"], flaws);
    let mut spec = json!({"level": level});
    if level != "Pure" || dice.once_in(10) {
        spec["permissions"] = permissions(dice, flaws, 4);
    }
    if dice.once_in(4) {
        spec["limits"] = limits(dice, flaws);
    }
    if dice.once_in(3) {
        // Now and then an empty list, or one that has not the default.
        let allowed =
            if dice.once_in(10) { json!([]) } else { json!([dice.text(ISOLATIONS, &["None"], flaws), "GVisor"]) };
        spec["isolation"] = json!({"allowed": allowed});
        if dice.once_in(2) {
            spec["isolation"]["default"] = dice.text(&["GVisor"], ISOLATIONS, 4);
        }
    }
    if dice.once_in(3) {
        spec["volumes"] = json!([volume(dice, flaws)]);
    }
    if dice.once_in(20) {
        spec["audit"] = json!({"level": "Standard"});
    }
    if dice.once_in(6) {
        spec["capacity"] = json!({"executions": if dice.once_in(flaws) { -1 } else { 10 }, "memory": dice.text(BYTES, BAD_BYTES, flaws)});
    }
    if dice.once_in(3) {
        spec["expiry"] = match dice.below(6) {
            0 => json!({"type": "Never"}),
            1 => json!({"type": "After", "after": dice.text(SPANS, BAD_SPANS, flaws)}),
            2 => json!({"type": "At", "at": "2026-06-01T00:00:00Z", "onExpiry": "Drain"}),
            3 => json!({"type": "At", "at": "2025-06-01T00:00:00Z"}),
            4 => {
                json!({"type": "At", "at": dice.text(&["2027-01-01T00:00:00Z"], &["tomorrow", "2027-13-01T00:00:00Z"], 4)})
            }
            _ => json!({"type": "Never", "onExpiry": "Stop"}),
        };
    }
    let kind = if dice.once_in(10) { "ClusterSecurityContext" } else { "SecurityContext" };
    object(kind, &metadata(dice, "analysts", flaws), &spec)
}

fn volume(dice: &mut Dice, flaws: usize) -> Value {
    let mut volume =
        json!({"name": "data", "mountPath": dice.text(&["/data", "/work", "/opt/x"], &["/data/*", "data"], flaws)});
    let (kind, source) = match dice.below(5) {
        0 => ("configMap", json!({"name": "data"})),
        1 => ("persistentVolumeClaim", json!({"claimName": "data"})),
        2 => ("emptyDir", json!({"medium": "Memory", "sizeLimit": "1Mi"})),
        3 => ("emptyDir", json!({})),
        _ => ("secret", json!({"secretName": "data"})),
    };
    volume[kind] = source;
    if dice.once_in(flaws) {
        volume["configMap"] = json!({"name": "other"});
    }
    volume
}

fn provider(dice: &mut Dice, flaws: usize) -> Value {
    let digest = "ab".repeat(32);
    let reference = match dice.below(flaws.min(100)) {
        0 => "registry.local/tools:1.0".to_owned(),
        1 => format!("registry.local/tools@sha256:{}", "A".repeat(64)),
        2 => format!("@sha256:{digest}"),
        _ => format!("registry.local/tools@sha256:{digest}"),
    };
    let mut spec = json!({
        "version": dice.text(&["1.4.2", "0.1.0-rc.1"], &["latest", "1", "v1.0.0"], flaws),
        "source": {"image": {"reference": reference}},
        "capabilities": [],
    });
    let capabilities: Vec<Value> = IDS
        .iter()
        .take(if dice.once_in(10) { 1 } else { 2 })
        .map(|id| {
            let mut capability = json!({
                "id": dice.text(&[id], &["fetch", "Weather.fetch", "a..b", ""], flaws),
                "command": [dice.text(&["/app/run", "/usr/bin/python3"], &["run", "/app/*", ""], flaws), "--json"],
                "requires": {"permissions": permissions(dice, flaws, 1)},
            });
            if dice.once_in(4) {
                capability["requires"]["limits"] = limits(dice, flaws);
            }
            if dice.once_in(30) {
                capability["workingDir"] = dice.text(&["/work"], BAD_PATHS, 3);
            }
            capability
        })
        .collect();
    spec["capabilities"] = capabilities.into();
    let kind = if dice.once_in(10) { "ClusterCapabilityProvider" } else { "CapabilityProvider" };
    object(kind, &metadata(dice, "tools", flaws), &spec)
}

fn execution(dice: &mut Dice, flaws: usize) -> Value {
    const CONTEXT: &str = "SecurityContext";
    const PROVIDER: &str = "CapabilityProvider";
    let context = dice.text(
        &[CONTEXT, CONTEXT, CONTEXT, CONTEXT, CONTEXT, CONTEXT, "ClusterSecurityContext"],
        &["Context"],
        flaws,
    );
    let provider = dice.text(
        &[PROVIDER, PROVIDER, PROVIDER, PROVIDER, PROVIDER, PROVIDER, "ClusterCapabilityProvider"],
        &["Provider"],
        flaws,
    );
    let mut spec = json!({
        "contextRef": {"kind": context, "name": dice.text(&["analysts"], &["nobody"], 50)},
        "capabilityRef": {"kind": provider, "name": dice.text(&["tools"], &["nothing"], 50), "id": dice.text(IDS, &["no.such"], 50)},
    });
    if dice.once_in(2) {
        spec["inputs"] = match dice.below(4) {
            0 => {
                json!({"city": "Paris", "deep": [[{"x": [null, 1.5, -7, true]}]], "odd": "a\u{2028}\u{7f}\u{85}\u{1b}😀\"\\"})
            }
            1 => json!([1, 2, 3]),
            2 => json!("text: with #signs"),
            _ => json!({"big": 18_446_744_073_709_551_615_u64, "small": i64::MIN, "tiny": 1e-300}),
        };
    }
    if dice.once_in(3) {
        spec["env"] = dice.list(2, |dice| {
            let name = dice.text(&["LANG", "APP_MODE", "TOKEN", "OTHER"], &["CCOS_X", "1A", "A B"], flaws);
            match dice.below(flaws.min(100)) {
                0 => json!({"name": name}),
                1 => json!({"name": name, "value": "v", "secretKeyRef": {"name": "s", "key": "k"}}),
                2..=10 => json!({"name": name, "secretKeyRef": {"name": "s", "key": "k"}}),
                _ => json!({"name": name, "value": "v"}),
            }
        });
    }
    if dice.once_in(3) {
        spec["requires"] = json!({"permissions": permissions(dice, flaws, 1), "limits": limits(dice, flaws)});
    }
    if dice.once_in(5) {
        spec["isolation"] = dice.text(ISOLATIONS, &["gvisor", "None"], flaws);
    }
    if dice.once_in(30) {
        spec["retries"] = json!({"limit": if dice.once_in(flaws) { 10 } else { *dice.one(&[0, 1]) }});
    }
    if dice.once_in(10) {
        spec["ttlSecondsAfterFinished"] = json!(if dice.once_in(flaws) { -5 } else { 3600 });
    }
    if dice.once_in(20) {
        spec["inputsFrom"] = json!([{"configMapKeyRef": {"name": "c", "key": "k"}, "as": "extra"}]);
    }
    object("CapabilityExecution", &metadata(dice, "run", flaws), &spec)
}

/// `width`: how much of it there is; contexts list more than what runs under them requires.
fn permissions(dice: &mut Dice, flaws: usize, width: usize) -> Value {
    if dice.once_in(2) {
        return if width == 1 {
            json!({"filesystem": {"read": ["/data/in"]}})
        } else {
            let names = json!({"read": ["*"], "write": ["*"]});
            json!({"filesystem": {"read": ["/data/**", "/work"], "write": ["/work/**"]}, "environment": names})
        };
    }
    let mut all = Map::new();
    let paths = |dice: &mut Dice, most: usize| dice.list(most, |dice| dice.text(PATHS, BAD_PATHS, flaws));
    let mut filesystem = json!({"read": paths(dice, 2 * width)});
    for name in ["write", "execute", "blocked"] {
        if dice.once_in(3) {
            filesystem[name] = paths(dice, width);
        }
    }
    all.insert("filesystem".to_owned(), filesystem);
    if dice.once_in(4) {
        let outbound = dice.list(width, |dice| {
            let mut rule = peer(dice, flaws);
            rule["ports"] = ports(dice, flaws);
            rule
        });
        let mut network = json!({"outbound": outbound});
        if dice.once_in(2) {
            network["blocked"] = dice.list(width, |dice| peer(dice, flaws));
        }
        if dice.once_in(3) {
            network["inbound"] = dice.list(width, |dice| {
                let mut rule = if dice.once_in(2) {
                    json!({"cidr": dice.text(CIDRS, BAD_CIDRS, flaws)})
                } else {
                    json!({"podSelector": {"matchLabels": {"app": dice.text(&["a", "b"], &[], 1)}}})
                };
                rule["ports"] = ports(dice, flaws);
                rule
            });
        }
        if dice.once_in(3) {
            network["maxConnections"] = json!(if dice.once_in(flaws) { 0 } else { *dice.one(&[1, 16, 100]) });
        }
        all.insert("network".to_owned(), network);
    }
    if dice.once_in(4) {
        let creation = dice.text(&["Allowed", "Denied"], &["Maybe"], flaws);
        all.insert("system".to_owned(), json!({"commands": paths(dice, width), "processCreation": creation}));
    }
    if dice.once_in(2) {
        let names = |dice: &mut Dice| dice.list(width, |dice| dice.text(NAMES, BAD_NAMES, flaws));
        all.insert("environment".to_owned(), json!({"read": names(dice), "write": names(dice)}));
    }
    if dice.once_in(10) {
        all.insert("ipc".to_owned(), json!({"connect": paths(dice, 1)}));
    }
    all.into()
}

fn peer(dice: &mut Dice, flaws: usize) -> Value {
    match dice.below(flaws) {
        0 => json!({"host": "a.example", "cidr": "10.0.0.0/8"}),
        1 => json!({}),
        more if more % 3 == 0 => json!({"cidr": dice.text(CIDRS, BAD_CIDRS, flaws)}),
        _ => json!({"host": dice.text(HOSTS, BAD_HOSTS, flaws)}),
    }
}

fn ports(dice: &mut Dice, flaws: usize) -> Value {
    if dice.once_in(flaws) {
        return json!([]);
    }
    let odd = [
        json!({"port": 0}),
        json!({"port": 70000}),
        json!({"port": 9, "endPort": 8}),
        json!({"port": 53, "protocol": "UDP"}),
    ];
    let usual = [
        json!({"port": 443}),
        json!({"port": 80}),
        json!({"port": 8000, "endPort": 8080}),
        json!({"port": 443, "protocol": "TCP"}),
    ];
    json!([if dice.once_in(flaws) { dice.one(&odd) } else { dice.one(&usual) }])
}

fn limits(dice: &mut Dice, flaws: usize) -> Value {
    let mut all = Map::new();
    for (name, good, bad) in [
        ("memory", BYTES, BAD_BYTES),
        ("disk", BYTES, BAD_BYTES),
        ("networkBytesPerSecond", BYTES, BAD_BYTES),
        ("cpu", CORES, BAD_CORES),
        ("cpuTime", SPANS, BAD_SPANS),
        ("wallTime", SPANS, BAD_SPANS),
    ] {
        if dice.once_in(3) {
            all.insert(name.to_owned(), dice.text(good, bad, flaws));
        }
    }
    for name in ["threads", "fileDescriptors"] {
        if dice.once_in(5) {
            let number = if dice.once_in(flaws) { dice.one(&[0, -1, i64::MAX]) } else { dice.one(&[16, 64, 1024]) };
            all.insert(name.to_owned(), json!(number));
        }
    }
    all.into()
}

/// Changes a value somewhere in the object to something that does not belong there.
fn break_something(dice: &mut Dice, object: &mut Value) {
    let mut pointer = String::new();
    for depth in 0..=dice.below(7) {
        let step = match object.pointer(&pointer).unwrap() {
            Value::Object(fields) => {
                // `apiVersion` and `kind` decide where an object goes: that is not for these two to agree on.
                let names: Vec<&String> =
                    fields.keys().filter(|name| depth > 0 || ["metadata", "spec"].contains(&name.as_str())).collect();
                if names.is_empty() {
                    break;
                }
                (*dice.one(&names)).clone()
            }
            Value::Array(items) if !items.is_empty() => dice.below(items.len()).to_string(),
            _ => break,
        };
        pointer = format!("{pointer}/{step}");
    }
    let at = object.pointer_mut(&pointer).unwrap();
    match (dice.below(3), at) {
        (0, Value::Object(fields)) => {
            fields.insert("extra".to_owned(), json!(1));
        }
        (1, Value::Object(fields)) if !fields.is_empty() => {
            let names: Vec<String> = fields.keys().cloned().collect();
            fields.remove(dice.one(&names));
        }
        (_, at) => {
            let odd = [
                json!(null),
                json!(7),
                json!(-1.5),
                json!(true),
                json!("odd"),
                json!([]),
                json!({}),
                json!([null]),
                json!({"a": {"b": 1}}),
            ];
            *at = dice.one(&odd).clone();
        }
    }
}
