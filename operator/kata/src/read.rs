//! From the files of a node to one configuration, as both runtimes merge them.

use std::fmt;

use toml::{Table, Value};

use crate::model::{Agent, Configuration, Factory, Hypervisor, MemAgent, Runtime};

/// The longest file, in bytes. Upstream's longest template has 40 KiB, most of it comments.
pub const FILE_LIMIT: usize = 1 << 20;
/// The most drop-ins.
pub const DROP_INS_LIMIT: usize = 64;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name, for messages; drop-ins are merged in the order of their names.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Which of Kata's runtimes reads the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shim {
    /// The older one.
    Go,
    /// The default since 4.0.
    RuntimeRs,
}

impl fmt::Display for Shim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go => "Kata's Go runtime",
            Self::RuntimeRs => "runtime-rs",
        })
    }
}

/// The configuration of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Kata {
    /// All files together.
    pub configuration: Configuration,
    /// Who reads it.
    pub shim: Shim,
    /// The name of the hypervisor's table that is used.
    pub hypervisor_name: String,
    /// That table.
    pub hypervisor: Hypervisor,
    /// The files, first to last, by name.
    sources: Vec<(String, Table)>,
    /// All of them together.
    merged: Table,
}

/// Why files are no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ReadError {
    #[error("{file}: has more than {FILE_LIMIT} bytes; a configuration of Kata has less than 100 KiB: is it one?")]
    TooLong { file: String },
    #[error("there are {count} drop-ins; at most {DROP_INS_LIMIT} are read: merge some")]
    TooMany { count: usize },
    #[error("{file}: is no TOML: {message}")]
    Syntax { file: String, message: String },
    #[error("{file}: {path}: {message}")]
    Type { file: String, path: String, message: String },
    #[error("{file}: has no table [hypervisor.*]; give Kata's configuration.toml, not a drop-in alone")]
    NoHypervisor { file: String },
    #[error(
        "{file}: has tables [hypervisor.*] for {found}, and nothing says which is used; give a file with one, or set runtime.hypervisor_name"
    )]
    ManyHypervisors { file: String, found: String },
    #[error("{file}: runtime.hypervisor_name is {given:?}, but there are tables [hypervisor.*] only for {found}")]
    OtherHypervisor { file: String, given: String, found: String },
}

/// Reads a configuration and its drop-ins (`config.d/*` beside it).
///
/// # Errors
/// Everything that is wrong, of all files at once.
pub fn read(main: Source, mut drop_ins: Vec<Source>) -> Result<Kata, Vec<ReadError>> {
    let file = main.name.clone();
    if drop_ins.len() > DROP_INS_LIMIT {
        return Err(vec![ReadError::TooMany { count: drop_ins.len() }]);
    }
    drop_ins.sort_by(|one, other| one.name.cmp(&other.name));
    let (mut sources, mut errors) = (Vec::new(), Vec::new());
    for source in std::iter::once(main).chain(drop_ins) {
        match table(&source) {
            Ok(table) => sources.push((source.name, table)),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut merged = Table::new();
    for (_, table) in &sources {
        merge(&mut merged, table.clone());
    }
    // Each part was of these types, and merging changes none of them but where a table took another value's place.
    let configuration = typed(&file, merged.clone()).map_err(|error| vec![error])?;
    let (hypervisor_name, hypervisor) = chosen(&configuration, &file).map_err(|error| vec![error])?;
    let shim = shim(&configuration.runtime);
    Ok(Kata { configuration, shim, hypervisor_name, hypervisor, sources, merged })
}

fn table(source: &Source) -> Result<Table, ReadError> {
    let Source { name, text } = source;
    if text.len() > FILE_LIMIT {
        return Err(ReadError::TooLong { file: name.clone() });
    }
    let parsed = text.parse::<Table>();
    let table = parsed
        .map_err(|error| ReadError::Syntax { file: name.clone(), message: error.to_string().trim_end().to_owned() })?;
    typed(name, table.clone())?;
    Ok(table)
}

fn typed(file: &str, table: Table) -> Result<Configuration, ReadError> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| ReadError::Type {
        file: file.to_owned(),
        path: error.path().to_string(),
        message: error.inner().message().to_owned(),
    })
}

/// Tables are merged, all else is replaced: as both runtimes do.
fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Only runtime-rs has these keys, and it can't do without.
fn shim(runtime: &Runtime) -> Shim {
    if runtime.name.is_some() || runtime.hypervisor_name.is_some() { Shim::RuntimeRs } else { Shim::Go }
}

fn chosen(configuration: &Configuration, file: &str) -> Result<(String, Hypervisor), ReadError> {
    let all = &configuration.hypervisor;
    let file = file.to_owned();
    let found = all.keys().cloned().collect::<Vec<_>>().join(", ");
    match &configuration.runtime.hypervisor_name {
        _ if all.is_empty() => Err(ReadError::NoHypervisor { file }),
        Some(name) => match all.get(name) {
            Some(hypervisor) => Ok((name.clone(), hypervisor.clone())),
            None => Err(ReadError::OtherHypervisor { file, given: name.clone(), found }),
        },
        None => match all.iter().next() {
            Some((name, hypervisor)) if all.len() == 1 => Ok((name.clone(), hypervisor.clone())),
            _ => Err(ReadError::ManyHypervisors { file, found }),
        },
    }
}

impl Kata {
    /// The file whose word counts for a key, such as `["runtime", "sandbox_cgroup_only"]`.
    #[must_use]
    pub fn origin(&self, path: &[&str]) -> Option<&str> {
        let has = |table: &Table| lookup(table, path).is_some();
        self.sources.iter().rev().find(|(_, table)| has(table)).map(|(name, _)| name.as_str())
    }

    /// All files together, with what is not of the model, too.
    #[must_use]
    pub fn merged(&self) -> &Table {
        &self.merged
    }

    /// A value as it is written.
    #[must_use]
    pub fn value(&self, path: &[&str]) -> Option<&Value> {
        lookup(&self.merged, path)
    }

    /// The agent's table.
    #[must_use]
    pub fn agent(&self) -> Option<(&String, &Agent)> {
        let Configuration { agent, runtime, .. } = &self.configuration;
        let named = runtime.agent_name.as_ref().and_then(|name| agent.get_key_value(name));
        named.or_else(|| agent.iter().next())
    }

    /// Keys that neither runtime knows.
    #[must_use]
    pub fn unknown(&self) -> Vec<Vec<String>> {
        let Configuration { hypervisor, agent, runtime, factory, unknown } = &self.configuration;
        let mut found = Vec::new();
        let mut all = |prefix: &[&str], table: &Table| {
            let prefix = prefix.iter().map(|part| (*part).to_owned());
            found.extend(table.keys().map(|key| prefix.clone().chain([key.clone()]).collect()));
        };
        all(&[], unknown);
        for (name, hypervisor) in hypervisor {
            all(&["hypervisor", name], &hypervisor.unknown);
            if let Some(factory) = &hypervisor.factory {
                all(&["hypervisor", name, "factory"], &factory.unknown);
            }
            for image in hypervisor.guest_extension_images.iter().flatten() {
                all(&["hypervisor", name, "guest_extension_images"], &image.unknown);
            }
            if let Some(user) = &hypervisor.rootless_user {
                all(&["hypervisor", name, "rootless_user"], &user.unknown);
            }
        }
        for (name, agent) in agent {
            all(&["agent", name], &agent.unknown);
            if let Some(mem_agent) = &agent.mem_agent {
                all(&["agent", name, "mem_agent"], &mem_agent.unknown);
            }
        }
        all(&["runtime"], &runtime.unknown);
        for mount in runtime.shared_mounts.iter().flatten() {
            all(&["runtime", "shared_mounts"], &mount.unknown);
        }
        if let Some(factory) = factory {
            all(&["factory"], &factory.unknown);
        }
        found
    }

    /// Keys that only the other runtime reads, so that this one ignores them.
    #[must_use]
    pub fn of_the_other(&self) -> Vec<Vec<String>> {
        let only = |go: &'static [&'static str], rust: &'static [&'static str]| match self.shim {
            Shim::Go => rust,
            Shim::RuntimeRs => go,
        };
        let (name, agent) = (self.hypervisor_name.as_str(), self.agent().map_or("", |(name, _)| name.as_str()));
        let mut places = vec![
            (vec!["hypervisor", name], only(Hypervisor::GO_ONLY, Hypervisor::RUST_ONLY)),
            (vec!["agent", agent], only(Agent::GO_ONLY, Agent::RUST_ONLY)),
            (vec!["agent", agent, "mem_agent"], only(MemAgent::GO_ONLY, MemAgent::RUST_ONLY)),
            (vec!["runtime"], only(Runtime::GO_ONLY, Runtime::RUST_ONLY)),
            (vec!["hypervisor", name, "factory"], only(Factory::GO_ONLY, Factory::RUST_ONLY)),
        ];
        if self.shim == Shim::RuntimeRs {
            places.push((vec![], &["factory"]));
        }
        let mut found = Vec::new();
        for (place, keys) in places {
            let key = |key: &&'static str| [place.as_slice(), &[*key]].concat();
            let set = keys.iter().map(key).filter(|path| self.origin(path).is_some());
            found.extend(set.map(|path| path.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        }
        found
    }

    /// Values with a placeholder that was never filled in, such as `@FIRMWAREPATH@`: upstream's own rendering leaves one.
    #[must_use]
    pub fn placeholders(&self) -> Vec<(Vec<String>, String)> {
        let mut found = Vec::new();
        walk(&self.merged, &mut Vec::new(), &mut found);
        found
    }
}

fn lookup<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Value> {
    let (last, tables) = path.split_last()?;
    let mut table = table;
    for name in tables {
        table = table.get(*name)?.as_table()?;
    }
    table.get(*last)
}

fn walk(table: &Table, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(inner) => walk(inner, path, found),
            Value::String(text) if is_placeholder(text) => found.push((path.clone(), text.clone())),
            _ => {}
        }
        path.pop();
    }
}

fn is_placeholder(text: &str) -> bool {
    let name = text.strip_prefix('@').and_then(|rest| rest.strip_suffix('@')).unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.bytes().all(fits)
}
