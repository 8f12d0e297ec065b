//! What policies look at, as Cedar's entities.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use ccos_policy::policies::Judged;
use ccos_policy::{Isolation, Level, PathPattern, Peer, Permissions, ProcessCreation};
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression as Value,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What is known besides what is required: whoever asks a question has found it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Who asks.
    pub principal: Principal,
    /// The namespace of the execution.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The kind of the context, such as `SecurityContext`.
    pub context_kind: &'static str,
    /// Its name.
    pub context_name: String,
    /// The capability's id.
    pub capability: String,
    /// Its provider.
    pub provider: Provider,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// The user's name, as the API server knows it.
    pub user: String,
    /// Its groups.
    pub groups: Vec<String>,
}

/// Where the capability is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Such as `CapabilityProvider`.
    pub kind: &'static str,
    /// Empty of a cluster-scoped one.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The image without tag and digest; empty of a module.
    pub image: String,
    /// The digest of its source; empty where it is not known.
    pub source_digest: String,
    /// Who signed it.
    pub signature: Signature,
}

/// A version, by semver.org.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "semver.org's own words")]
pub struct Version {
    pub text: String,
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    pub prerelease: String,
}

/// What is known of a provider's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// The provider asks for none.
    None,
    /// It asks for one that was not verified.
    Unverified,
    /// It asks for one that was.
    Verified,
}

/// The names of the schema's types, parsed once.
static TYPES: LazyLock<HashMap<&'static str, EntityTypeName>> = LazyLock::new(|| {
    [
        "Action",
        "User",
        "Group",
        "ServiceAccount",
        "Capability",
        "Namespace",
        "ProviderKind",
        "ContextKind",
        "Signature",
        "Isolation",
        "Level",
        "Weekday",
    ]
    .into_iter()
    .filter_map(|name| Some((name, name.parse().ok()?)))
    .collect()
});

/// The question, in Cedar's terms.
///
/// # Errors
/// What Cedar can't take; the caller denies.
pub(crate) fn request(facts: &Facts, judged: &Judged<'_>) -> Result<(Request, Entities), String> {
    let principal = principal(&facts.principal)?;
    let namespace = uid("Namespace", &facts.namespace)?;
    let capability = uid("Capability", &facts.capability)?;
    let context = context(facts, judged, namespace.clone())?;
    let tags = facts.labels.iter().map(|(key, value)| (key.clone(), text(value)));
    let name = HashMap::from([("name".to_owned(), text(&facts.namespace))]);
    let entities = [
        Entity::new_with_tags(namespace, name, [], tags).map_err(|error| error.to_string())?,
        Entity::new(capability.clone(), resource(facts, judged)?, HashSet::new()).map_err(|error| error.to_string())?,
        principal.clone(),
    ];
    // Not held to the schema once more at each request: the tests hold the most and the least that there can be to it.
    let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
    let request = Request::new(principal.uid(), uid("Action", "execute")?, capability, context, None);
    Ok((request.map_err(|error| error.to_string())?, entities))
}

fn principal(principal: &Principal) -> Result<Entity, String> {
    let Principal { user, groups } = principal;
    let parents: Result<HashSet<EntityUid>, String> = groups.iter().map(|group| uid("Group", group)).collect();
    // As the API server names them; RBAC sees no other difference either.
    let account = user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    let (uid, named) = match account {
        Some((namespace, name)) => (
            uid("ServiceAccount", &format!("{namespace}/{name}"))?,
            vec![("namespace", text(namespace)), ("name", text(name))],
        ),
        None => (uid("User", user)?, vec![("name", text(user))]),
    };
    let groups = ("groups", Value::new_set(groups.iter().map(|group| text(group))));
    let attributes = named.into_iter().chain([groups]).map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid, attributes, parents?).map_err(|error| error.to_string())
}

fn context(facts: &Facts, judged: &Judged<'_>, namespace: EntityUid) -> Result<Context, String> {
    let Judged { now, isolation, level, permissions: _, limits: _ } = judged;
    let security_context =
        record([("kind", entity("ContextKind", facts.context_kind)?), ("name", text(&facts.context_name))])?;
    let pairs = [
        ("now", datetime(*now)),
        ("weekday", entity("Weekday", weekday(*now))?),
        ("namespace", Value::new_entity_uid(namespace)),
        ("securityContext", security_context),
        ("level", entity("Level", self::level(*level))?),
        ("isolation", entity("Isolation", self::isolation(*isolation))?),
    ];
    Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).map_err(|error| error.to_string())
}

fn resource(facts: &Facts, judged: &Judged<'_>) -> Result<HashMap<String, Value>, String> {
    let Provider { kind, namespace, name, version, image, source_digest, signature } = &facts.provider;
    let Version { text: full, major, minor, patch, prerelease } = version;
    let provider =
        record([("kind", entity("ProviderKind", kind)?), ("namespace", text(namespace)), ("name", text(name))])?;
    let version = record([
        ("text", text(full)),
        ("major", long(*major)),
        ("minor", long(*minor)),
        ("patch", long(*patch)),
        ("prerelease", text(prerelease)),
    ])?;
    let signature = match signature {
        Signature::None => "None",
        Signature::Unverified => "Unverified",
        Signature::Verified => "Verified",
    };
    let attributes = [
        ("id", text(&facts.capability)),
        ("provider", provider),
        ("version", version),
        ("image", text(image)),
        ("sourceDigest", text(source_digest)),
        ("signature", entity("Signature", signature)?),
        ("requires", requirements(judged)?),
    ];
    Ok(attributes.map(|(name, value)| (name.to_owned(), value)).into())
}

fn requirements(judged: &Judged<'_>) -> Result<Value, String> {
    // Destructured: a permission that is added must not be forgotten here. What is blocked requires nothing.
    let Permissions { filesystem, network, system, environment, ipc } = judged.permissions;
    let ccos_policy::Filesystem { read, write, execute, blocked: _ } = filesystem;
    let ccos_policy::Network { outbound, inbound, blocked: _, max_connections: _ } = network;
    let ccos_policy::System { commands, process_creation } = system;
    let hosts = outbound.iter().filter(|one| matches!(one.peer, Peer::Host(_))).map(|one| &one.peer);
    let cidrs = outbound.iter().filter(|one| matches!(one.peer, Peer::Cidr(_))).map(|one| &one.peer);
    record([
        ("filesystem", record([("read", trees(read)), ("write", trees(write)), ("execute", trees(execute))])?),
        ("network", record([("hosts", set(hosts)), ("cidrs", set(cidrs)), ("inbound", set(inbound))])?),
        (
            "system",
            record([
                ("commands", set(commands)),
                ("processCreation", Value::new_bool(*process_creation == ProcessCreation::Allowed)),
            ])?,
        ),
        ("environment", record([("read", set(&environment.read)), ("write", set(&environment.write))])?),
        ("ipc", record([("connect", set(&ipc.connect))])?),
        ("limits", limits(judged)?),
    ])
}

fn limits(judged: &Judged<'_>) -> Result<Value, String> {
    let ccos_policy::LimitsInForce {
        memory,
        cpu,
        cpu_time,
        wall_time,
        disk,
        file_descriptors,
        threads,
        network_bytes_per_second,
    } = judged.limits;
    let bandwidth = network_bytes_per_second.map(|bytes| ("networkBytesPerSecond", long(bytes.0)));
    let always = [
        ("memoryBytes", long(memory.0)),
        ("cpuMillis", long(cpu.millis)),
        ("cpuTimeMillis", long(cpu_time.0)),
        ("wallTimeMillis", long(wall_time.0)),
        ("diskBytes", long(disk.0)),
        ("fileDescriptors", long(*file_descriptors)),
        ("threads", long(*threads)),
    ];
    record(always.into_iter().chain(bandwidth))
}

fn uid(kind: &'static str, id: &str) -> Result<EntityUid, String> {
    let name = TYPES.get(kind).ok_or_else(|| format!("{kind} is no type of the schema"))?;
    Ok(EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)))
}

fn entity(kind: &'static str, id: &str) -> Result<Value, String> {
    uid(kind, id).map(Value::new_entity_uid)
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

/// More than a Long can say is as much as it can say: a bound that is exceeded stays exceeded.
fn long(number: u64) -> Value {
    Value::new_long(i64::try_from(number).unwrap_or(i64::MAX))
}

fn set<T: ToString>(items: impl IntoIterator<Item = T>) -> Value {
    Value::new_set(items.into_iter().map(|item| Value::new_string(item.to_string())))
}

/// `/etc` and `/etc/**` are the same files: told in one way, else a policy that forbids the one lets the other pass.
fn trees<'a>(patterns: impl IntoIterator<Item = &'a PathPattern>) -> Value {
    set(patterns.into_iter().map(|pattern| pattern.literal().map_or_else(|| pattern.to_string(), str::to_owned)))
}

fn record(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Result<Value, String> {
    Value::new_record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)))
        .map_err(|error| error.to_string())
}

/// Cedar takes exactly three digits of a second.
fn datetime(now: Timestamp) -> Value {
    Value::new_datetime(format!("{now:.3}"))
}

fn weekday(now: Timestamp) -> &'static str {
    use jiff::civil::Weekday;
    match now.to_zoned(TimeZone::UTC).weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Pure => "Pure",
        Level::Controlled => "Controlled",
        Level::Full => "Full",
        Level::Sandboxed => "Sandboxed",
    }
}

const fn isolation(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::GVisor => "GVisor",
        Isolation::Kata => "Kata",
        Isolation::Container => "Container",
        Isolation::Wasm => "Wasm",
    }
}
