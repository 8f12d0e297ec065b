//! What tests apply: the YAML that a user would write, by sentences.

use serde_json::{Map, Value, json};

use crate::cluster;

/// Reads its code from the inputs, so that a probe needs no volume.
const PYTHON: &str = "import json,sys;i=json.load(sys.stdin);exec(i['code'],{'inputs':i})";

/// The capability that every provider here has.
pub const CAPABILITY: &str = "tools.run";

/// A context.
#[derive(Clone, Debug)]
#[must_use]
pub struct Context {
    pub(crate) object: Value,
    pub(crate) before: Vec<Value>,
}

/// A provider, with one capability.
#[derive(Clone, Debug)]
#[must_use]
pub struct Provider {
    pub(crate) object: Value,
}

/// An execution, with a provider of its own whose capability requires what the execution needs.
#[derive(Clone, Debug)]
#[must_use]
pub struct Execution {
    pub(crate) object: Value,
    pub(crate) provider: Option<Provider>,
}

/// A `Controlled` context that does not expire and grants nothing yet.
pub fn context(name: &str) -> Context {
    let object = json!({
        "apiVersion": "security.ccos.dev/v1alpha1",
        "kind": "SecurityContext",
        "metadata": {"name": name},
        "spec": {"level": "Controlled", "expiry": {"type": "Never"}},
    });
    Context { object, before: Vec::new() }
}

/// A provider of busybox, whose capability runs `true`.
pub fn provider(name: &str) -> Provider {
    let object = json!({
        "apiVersion": "security.ccos.dev/v1alpha1",
        "kind": "CapabilityProvider",
        "metadata": {"name": name},
        "spec": {
            "version": "1.0.0",
            "source": {"image": {"reference": cluster::image("CCOS_BUSYBOX_IMAGE")}},
            "capabilities": [{
                "id": CAPABILITY,
                "command": ["/bin/true"],
                // Small: many run on one node of two cores.
                "requires": {"limits": {"memory": "64Mi", "cpu": "100m", "wallTime": "45s", "disk": "4Mi"}},
            }],
        },
    });
    Provider { object }
}

/// An execution of `true`, under the context `analysts`.
pub fn execution(name: &str) -> Execution {
    let object = json!({
        "apiVersion": "security.ccos.dev/v1alpha1",
        "kind": "CapabilityExecution",
        "metadata": {"name": name},
        "spec": {
            "contextRef": {"kind": "SecurityContext", "name": "analysts"},
            "capabilityRef": {"kind": "CapabilityProvider", "name": name, "id": CAPABILITY},
            "inputs": {},
        },
    });
    Execution { object, provider: Some(provider(name)) }
}

impl Context {
    /// One that every namespace can use. Its name has to be unique in the cluster.
    pub fn for_all_namespaces(mut self) -> Self {
        self.object["kind"] = json!("ClusterSecurityContext");
        self
    }

    /// Sets a field of the spec, such as `limits.memory`.
    pub fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        put(&mut self.object["spec"], field, value.into());
        self
    }

    /// Grants reading.
    pub fn reads(mut self, pattern: &str) -> Self {
        push(&mut self.object["spec"], "permissions.filesystem.read", json!(pattern));
        self
    }

    /// Grants writing.
    pub fn writes(mut self, pattern: &str) -> Self {
        push(&mut self.object["spec"], "permissions.filesystem.write", json!(pattern));
        self
    }

    /// Blocks.
    pub fn blocks(mut self, pattern: &str) -> Self {
        push(&mut self.object["spec"], "permissions.filesystem.blocked", json!(pattern));
        self
    }

    /// Grants executing a program.
    pub fn commands(mut self, pattern: &str) -> Self {
        push(&mut self.object["spec"], "permissions.system.commands", json!(pattern));
        self
    }

    /// Grants the creation of processes.
    pub fn processes(self) -> Self {
        self.set("permissions.system.processCreation", "Allowed")
    }

    /// Grants setting a variable.
    pub fn environment(mut self, name: &str) -> Self {
        push(&mut self.object["spec"], "permissions.environment.read", json!(name));
        push(&mut self.object["spec"], "permissions.environment.write", json!(name));
        self
    }

    /// Bounds how many run at one time.
    pub fn capacity(self, executions: u32) -> Self {
        self.set("capacity.executions", executions)
    }

    /// Has a volume from a ConfigMap of this content.
    pub fn config_map(mut self, name: &str, mount_path: &str, files: &[(&str, &str)]) -> Self {
        let data: Map<String, Value> = files.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect();
        self.before.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}));
        self.volume(name, mount_path, json!({"configMap": {"name": name}}))
    }

    /// Has a volume.
    pub fn volume(mut self, name: &str, mount_path: &str, source: Value) -> Self {
        let Value::Object(mut volume) = source else { panic!("{source}: expected an object") };
        volume.insert("name".to_owned(), json!(name));
        volume.insert("mountPath".to_owned(), json!(mount_path));
        push(&mut self.object["spec"], "volumes", Value::Object(volume));
        self
    }
}

impl Provider {
    /// One that every namespace can use. Its name has to be unique in the cluster.
    pub fn for_all_namespaces(mut self) -> Self {
        self.object["kind"] = json!("ClusterCapabilityProvider");
        self
    }

    /// Sets a field of the spec.
    pub fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        put(&mut self.object["spec"], field, value.into());
        self
    }

    /// Sets a field of the capability, such as `command`.
    pub fn capability(mut self, field: &str, value: impl Into<Value>) -> Self {
        put(&mut self.object["spec"]["capabilities"][0], field, value.into());
        self
    }

    /// The object, to be changed by hand.
    #[must_use]
    pub fn json(self) -> Value {
        self.object
    }

    /// Runs this instead of `true`.
    pub fn runs(self, command: &[&str]) -> Self {
        self.capability("command", json!(command))
    }

    fn requires(mut self, field: &str, value: Value) -> Self {
        push(&mut self.object["spec"]["capabilities"][0]["requires"], field, value);
        self
    }
}

impl Execution {
    fn of_provider(mut self, change: impl FnOnce(Provider) -> Provider) -> Self {
        self.provider = self.provider.map(change);
        self
    }

    /// Sets a field of the spec.
    pub fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        put(&mut self.object["spec"], field, value.into());
        self
    }

    /// Without this field of its spec.
    pub fn without(mut self, field: &str) -> Self {
        self.object["spec"].as_object_mut().map(|spec| spec.remove(field));
        self
    }

    /// Under this context.
    pub fn under(self, context: &str) -> Self {
        self.set("contextRef.name", context)
    }

    /// Under this context of the cluster.
    pub fn under_cluster(self, context: &str) -> Self {
        self.set("contextRef.kind", "ClusterSecurityContext").under(context)
    }

    /// Of a provider that is there already, instead of one of its own.
    pub fn of(mut self, kind: &str, provider: &str) -> Self {
        self.provider = None;
        self.set("capabilityRef.kind", kind).set("capabilityRef.name", provider)
    }

    /// With this in its provider's spec.
    pub fn provider(self, field: &str, value: impl Into<Value>) -> Self {
        self.of_provider(|provider| provider.set(field, value))
    }

    /// With this of its capability.
    pub fn capability(self, field: &str, value: impl Into<Value>) -> Self {
        self.of_provider(|provider| provider.capability(field, value))
    }

    /// Runs this of busybox.
    pub fn runs(self, command: &[&str]) -> Self {
        self.of_provider(|provider| provider.runs(command))
    }

    /// Runs a script of busybox's shell.
    pub fn shell(self, script: &str) -> Self {
        self.runs(&["/bin/sh", "-c", script])
    }

    /// Runs a script of Debian's python3, which finds the inputs in `inputs`.
    pub fn python(self, code: &str) -> Self {
        self.provider("source.image.reference", cluster::image("CCOS_PYTHON_IMAGE"))
            .runs(&["/usr/bin/python3", "-c", PYTHON])
            // At 100m of CPU, Python takes seconds to start.
            .limit("cpu", "250m")
            .set("inputs.code", code)
    }

    /// Tries these attacks (`operator/runner/tests/attack`), each with its expected answer, and answers with those that were
    /// answered otherwise.
    pub fn attacks(self, attacks: &[(&str, &str)]) -> Self {
        let attacks = attacks.iter().map(|(attack, answer)| format!("{attack} = {answer}"));
        let command: Vec<_> = ["/app/attack", "--only-others"].map(str::to_owned).into_iter().chain(attacks).collect();
        self.provider("source.image.reference", cluster::image("CCOS_ATTACK_IMAGE"))
            .capability("command", json!(command))
    }

    /// Waits about so long, and answers `"slept"`.
    pub fn sleeps(self, seconds: u32) -> Self {
        self.runs(&["/bin/sleep", &seconds.to_string()])
    }

    /// Requires reading.
    pub fn reads(self, path: &str) -> Self {
        self.of_provider(|provider| provider.requires("permissions.filesystem.read", json!(path)))
    }

    /// Requires writing.
    pub fn writes(self, path: &str) -> Self {
        self.of_provider(|provider| provider.requires("permissions.filesystem.write", json!(path)))
    }

    /// Blocks for itself.
    pub fn blocks(self, path: &str) -> Self {
        self.of_provider(|provider| provider.requires("permissions.filesystem.blocked", json!(path)))
    }

    /// Requires executing a program.
    pub fn commands(self, path: &str) -> Self {
        self.of_provider(|provider| provider.requires("permissions.system.commands", json!(path)))
    }

    /// Requires the creation of processes.
    pub fn processes(self) -> Self {
        self.capability("requires.permissions.system.processCreation", "Allowed")
    }

    /// Requires connecting to a destination.
    pub fn connects(self, to: Value) -> Self {
        self.of_provider(|provider| provider.requires("permissions.network.outbound", to))
    }

    /// Requires that others connect in.
    pub fn visited(self, from: Value) -> Self {
        self.of_provider(|provider| provider.requires("permissions.network.inbound", from))
    }

    /// Requires a variable, and sets it.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        push(&mut self.object["spec"], "env", json!({"name": name, "value": value}));
        self.requires_variable(name)
    }

    /// Requires a variable.
    pub fn requires_variable(self, name: &str) -> Self {
        self.of_provider(|provider| {
            provider
                .requires("permissions.environment.read", json!(name))
                .requires("permissions.environment.write", json!(name))
        })
    }

    /// Requires this limit.
    pub fn limit(self, name: &str, amount: impl Into<Value>) -> Self {
        self.capability(&format!("requires.limits.{name}"), amount)
    }

    /// Is annotated.
    pub fn annotated(mut self, name: &str, value: &str) -> Self {
        self.object["metadata"]["annotations"][name] = json!(value);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }
}

/// Something that can be applied: what has to be there before, then itself.
pub trait Fixture {
    /// What has to be there before.
    fn before(&self) -> Vec<Value>;
    /// The object.
    fn object(&self) -> &Value;

    /// All of it, as the YAML that a user would apply.
    fn manifest(&self) -> String {
        let all = self.before();
        let documents: Vec<String> = all.iter().chain([self.object()]).map(yaml).collect();
        documents.join("---\n")
    }
}

impl Fixture for Context {
    fn before(&self) -> Vec<Value> {
        self.before.clone()
    }
    fn object(&self) -> &Value {
        &self.object
    }
}

impl Fixture for Provider {
    fn before(&self) -> Vec<Value> {
        Vec::new()
    }
    fn object(&self) -> &Value {
        &self.object
    }
}

impl Fixture for Execution {
    fn before(&self) -> Vec<Value> {
        self.provider.iter().map(|provider| provider.object.clone()).collect()
    }
    fn object(&self) -> &Value {
        &self.object
    }
}

impl Fixture for Value {
    fn before(&self) -> Vec<Value> {
        Vec::new()
    }
    fn object(&self) -> &Value {
        self
    }
}

/// An object as YAML.
pub fn yaml(object: &Value) -> String {
    serde_saphyr::to_string(object).unwrap()
}

/// The value at a field such as `a.b[0].c`; objects on the way there are made.
fn at<'a>(value: &'a mut Value, field: &str) -> &'a mut Value {
    field.split('.').fold(value, |value, part| {
        let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index)) => (name, index.parse::<usize>().ok()),
            None => (part, None),
        };
        if !value.is_object() {
            *value = json!({});
        }
        let value = &mut value[name];
        match index {
            Some(index) => &mut value[index],
            None => value,
        }
    })
}

fn put(value: &mut Value, field: &str, to: Value) {
    *at(value, field) = to;
}

fn push(value: &mut Value, field: &str, item: Value) {
    match at(value, field) {
        Value::Array(items) => items.push(item),
        empty => *empty = json!([item]),
    }
}

/// A destination by name, at one port.
pub fn to(host: &str, port: u16) -> Value {
    json!({"host": host, "ports": [{"port": port}]})
}

/// A pod that is no execution, as Pod Security `restricted` allows it: the twin of one.
pub fn pod(name: &str, image: &str, command: &[&str], environment: &[(&str, &str)]) -> Value {
    let env: Vec<Value> = environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": image, "command": command, "env": env,
                "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}
