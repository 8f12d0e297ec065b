//! What the profile asks for, parsed: paths are paths, limits are sane, texts are read.
//!
//! The profile comes from the controller, but a runner that believes it blindly would turn a bug there into an open
//! door here. What is not understood is refused.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ccos_profile::{
    self as wire, Egress, End, Files, Inputs, Limits, ProcessCreation, Profile, ReportTo, Text, VERSION, Volume,
    mounts, place,
};
use serde_json::Value;
use thiserror::Error;

use crate::globs::{Glob, GlobError, Globs};
use crate::grants::LEAST_ABI;
use crate::inbound::{self, OrderError};
use crate::path::{AbsolutePath, PathError};
use crate::relay;
use crate::relay::names::{Names, NamesError};
use crate::view::rules::{INPUT_FILE, RESULT_FILE};

/// A `ConfigMap` holds no more.
const MOST_PROFILE_BYTES: u64 = 1024 * 1024;

/// Inputs are at most 256 KiB (DESIGN.md, Resources), and so is each text that replaces a part of them.
const MOST_TEXT_BYTES: u64 = 256 * 1024;

/// The document goes into the view's own tmpfs, which is memory of the pod.
const MOST_INPUT_BYTES: usize = 2 * 1024 * 1024;

/// Linux rounds a tmpfs up to pages and takes 0 for "unlimited".
const LEAST_DISK_BYTES: u64 = 4096;

/// Three standard streams, the loader's one, and what the proof opens after the limit holds.
const LEAST_DESCRIPTORS: u64 = 8;

/// Names [`RESULT_FILE`] to the workload.
pub const RESULT_VARIABLE: &str = "CCOS_RESULT_FILE";

/// Why a profile is refused.
#[derive(Debug, Error)]
pub enum RequestError {
    /// A file is not readable.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is too long.
    #[error("{path}: expected at most {most} bytes, but found more")]
    TooLong {
        /// Which.
        path: String,
        /// The bound.
        most: u64,
    },
    /// A text is not UTF-8.
    #[error("{path}: expected UTF-8, but found other bytes")]
    Encoding {
        /// Which.
        path: String,
    },
    /// Not the profile that the pod was made for.
    #[error(
        "{path}: expected the digest {expected}, but found {found}: it is not the profile that this pod was made for"
    )]
    OtherProfile {
        /// Which file.
        path: String,
        /// What the pod's command says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// Not a profile.
    #[error("{path}: expected a profile, but found something else")]
    Syntax {
        /// Which file.
        path: String,
        /// Where it stops being one.
        source: serde_json::Error,
    },
    /// Another version of the wire.
    #[error("version: expected {VERSION}, but found {0}")]
    Version(u64),
    /// A path is not in normal form.
    #[error("{field}: {source}")]
    Path {
        /// Of the profile.
        field: &'static str,
        /// What is wrong. Part of the text, so no source.
        source: PathError,
    },
    /// A pattern is none.
    #[error("{field}: {source}")]
    Glob {
        /// Of the profile.
        field: &'static str,
        /// What is wrong. Part of the text, so no source.
        source: GlobError,
    },
    /// What may be connected to can't be relayed.
    #[error("egress: {0}")]
    Names(#[from] NamesError),
    /// What may connect in can't be carried.
    #[error("inbound: {0}")]
    Inbound(#[from] OrderError),
    /// Anything else.
    #[error("{field}: expected {expected}, but found {found}")]
    Value {
        /// Of the profile.
        field: String,
        /// What was wanted.
        expected: String,
        /// What there is.
        found: String,
    },
}

/// A volume with its places.
#[derive(Clone, Debug)]
pub struct VolumeRequest {
    /// Outside of the view.
    pub source: AbsolutePath,
    /// In the view.
    pub mount_path: AbsolutePath,
}

impl RequestError {
    /// The end that it is.
    #[must_use]
    pub const fn end(&self) -> End {
        match self {
            Self::OtherProfile { .. } => End::ConfinementFailed,
            _ => End::InternalError,
        }
    }
}

/// A profile that was understood.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of ccos_profile::Profile")]
pub struct Request {
    pub uid: u32,
    pub gid: u32,
    pub image_root: AbsolutePath,
    pub landlock_abi: Option<u32>,
    pub program: AbsolutePath,
    pub arguments: Vec<String>,
    pub working_dir: AbsolutePath,
    pub read: Vec<AbsolutePath>,
    pub write: Vec<AbsolutePath>,
    pub execute: Vec<AbsolutePath>,
    pub blocked: Vec<AbsolutePath>,
    /// In place of which [`crate::globs::expand`] puts paths.
    pub globs: Globs,
    /// Links of trees that are shown as such, beside what is listed.
    pub links: Vec<(AbsolutePath, String)>,
    pub volumes: Vec<VolumeRequest>,
    pub programs: Vec<AbsolutePath>,
    pub program_folders: Vec<AbsolutePath>,
    pub process_creation: ProcessCreation,
    pub environment: BTreeMap<String, String>,
    pub egress: Option<relay::Order>,
    pub inbound: Option<inbound::Order>,
    pub input: String,
    pub cpu_time: Duration,
    pub wall_time: Duration,
    pub disk_bytes: u64,
    pub file_descriptors: u64,
    pub threads: u64,
    pub cpu_millis: Option<u64>,
    pub report: Option<ReportTo>,
}

/// Reads the profile and all that it refers to.
///
/// The digest comes with the pod's command: whoever may write ConfigMaps of the namespace, but no pods, can put another
/// profile in place of ours before it is mounted.
///
/// # Errors
/// [`RequestError`] with the field and what was expected there.
pub fn read(path: &str, digest: &str, (uid, gid): (u32, u32)) -> Result<Request, RequestError> {
    let text = read_text(path, MOST_PROFILE_BYTES)?;
    let found = ccos_profile::digest(text.as_bytes());
    if found != digest {
        return Err(RequestError::OtherProfile { path: path.to_owned(), expected: digest.to_owned(), found });
    }
    let syntax = |source| RequestError::Syntax { path: path.to_owned(), source };
    // The version first: a newer profile fails for its fields otherwise, which says nothing to anyone.
    let value: Value = serde_json::from_str(&text).map_err(syntax)?;
    match value.get("version").and_then(Value::as_u64) {
        Some(version) if version != u64::from(VERSION) => Err(RequestError::Version(version)),
        Some(_) | None => parse(serde_json::from_value(value).map_err(syntax)?, (uid, gid)),
    }
}

/// Parses a profile and reads all that it refers to.
///
/// # Errors
/// [`RequestError`] with the field and what was expected there.
pub fn parse(profile: Profile, (uid, gid): (u32, u32)) -> Result<Request, RequestError> {
    let Profile {
        version,
        image_root,
        landlock_abi,
        command,
        working_dir,
        files: Files { read, write, execute, blocked },
        globs: wire::Globs { read: read_globs, execute: execute_globs, blocked: blocked_globs, programs: program_globs },
        volumes,
        programs,
        program_folders,
        process_creation,
        environment,
        egress,
        inbound,
        inputs,
        limits: Limits { cpu_time_millis, wall_time_millis, disk_bytes, file_descriptors, threads, cpu_millis },
        report,
    } = profile;
    if version != VERSION {
        return Err(RequestError::Version(version.into()));
    }
    let program = command.first().ok_or_else(|| value("command", "a program", "nothing"))?;
    let request = Request {
        uid,
        gid,
        image_root: path("imageRoot", &image_root)?,
        landlock_abi,
        program: path("command", program)?,
        working_dir: path("workingDir", working_dir.as_deref().unwrap_or("/"))?,
        read: paths("files.read", &read)?,
        write: paths("files.write", &write)?,
        execute: paths("files.execute", &execute)?,
        blocked: paths("files.blocked", &blocked)?,
        globs: Globs {
            read: globs("globs.read", &read_globs)?,
            execute: globs("globs.execute", &execute_globs)?,
            blocked: globs("globs.blocked", &blocked_globs)?,
            programs: globs("globs.programs", &program_globs)?,
        },
        links: Vec::new(),
        volumes: volumes.iter().map(volume).collect::<Result<_, _>>()?,
        programs: paths("programs", &programs)?,
        program_folders: paths("programFolders", &program_folders)?,
        process_creation,
        environment: environment_of(environment)?,
        egress: egress.map(egress_of).transpose()?,
        inbound: inbound.as_ref().map(inbound::Order::new).transpose()?,
        input: input_of(inputs)?,
        cpu_time: Duration::from_millis(at_least("limits.cpuTimeMillis", cpu_time_millis, 1)?),
        wall_time: Duration::from_millis(at_least("limits.wallTimeMillis", wall_time_millis, 1)?),
        disk_bytes: at_least("limits.diskBytes", disk_bytes, LEAST_DISK_BYTES)?,
        file_descriptors: at_least("limits.fileDescriptors", file_descriptors, LEAST_DESCRIPTORS)?,
        threads: at_least("limits.threads", threads, 1)?,
        cpu_millis: cpu_millis.map(|millis| at_least("limits.cpuMillis", millis, 1)).transpose()?,
        arguments: command,
        report,
    };
    if let Some(text) = request.arguments.iter().find(|text| text.contains('\0')) {
        return Err(value("command", "no NUL", &format!("{text:?}")));
    }
    if let Some(abi) = landlock_abi.filter(|abi| *abi < LEAST_ABI) {
        return Err(value("landlockAbi", &format!("at least {LEAST_ABI}"), &abi.to_string()));
    }
    if landlock_abi.is_some() && request.image_root != AbsolutePath::root() {
        // Nothing can be moved to where the workload expects it.
        return Err(value("imageRoot", "\"/\" with landlockAbi", &format!("{:?}", request.image_root.as_str())));
    }
    let moved = request.volumes.iter().find(|volume| volume.source != volume.mount_path);
    if let (Some(_), Some(VolumeRequest { source, mount_path })) = (landlock_abi, moved) {
        return Err(value("volumes.source", &format!("{mount_path} with landlockAbi"), source.as_str()));
    }
    let of_blocks = request.egress.as_ref().is_some_and(|order| !order.names.blocks().is_empty());
    if request.landlock_abi.is_some() && of_blocks {
        // The pod's loopback can't be given addresses without a capability.
        return Err(value("egress", "names alone where landlockAbi is given", "a block of addresses"));
    }
    if request.landlock_abi.is_some() && request.inbound.is_some() {
        // So are connections carried to one.
        return Err(value("inbound", "nothing where landlockAbi is given", "sources"));
    }
    if request.write.contains(&AbsolutePath::root()) {
        // Its baseline would be mounted into a tree in which the workload renames as it likes.
        return Err(value("files.write", "folders below \"/\"", "\"/\" itself"));
    }
    Ok(request)
}

fn value(field: &str, expected: &str, found: &str) -> RequestError {
    RequestError::Value { field: field.to_owned(), expected: expected.to_owned(), found: found.to_owned() }
}

fn at_least(field: &str, found: u64, least: u64) -> Result<u64, RequestError> {
    if found < least { Err(value(field, &format!("at least {least}"), &found.to_string())) } else { Ok(found) }
}

fn path(field: &'static str, text: &str) -> Result<AbsolutePath, RequestError> {
    AbsolutePath::parse(text).map_err(|source| RequestError::Path { field, source })
}

fn paths(field: &'static str, texts: &[String]) -> Result<Vec<AbsolutePath>, RequestError> {
    texts.iter().map(|text| path(field, text)).collect()
}

fn globs(field: &'static str, texts: &[String]) -> Result<Vec<Glob>, RequestError> {
    texts.iter().map(|text| Glob::parse(text).map_err(|source| RequestError::Glob { field, source })).collect()
}

fn volume(volume: &Volume) -> Result<VolumeRequest, RequestError> {
    let Volume { source, mount_path } = volume;
    let request =
        VolumeRequest { source: path("volumes.source", source)?, mount_path: path("volumes.mountPath", mount_path)? };
    if !mounts::may_be_at(request.mount_path.as_str()) {
        return Err(value(
            "volumes.mountPath",
            "a folder of at most 8 segments, not the baseline's",
            &format!("{mount_path:?}"),
        ));
    }
    Ok(request)
}

fn environment_of(given: BTreeMap<String, Text>) -> Result<BTreeMap<String, String>, RequestError> {
    let own = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/tmp"), ("LANG", "C.UTF-8")];
    let mut all: BTreeMap<String, String> = own.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    for (name, text) in given {
        let field = format!("environment[{name:?}]");
        if name.is_empty() || name.contains(['=', '\0']) || name.starts_with("CCOS_") {
            return Err(value(&field, "a name without \"=\" that does not begin with CCOS_", "another"));
        }
        let text = match text {
            Text::Value(text) => text,
            Text::File(file) => read_reference(&file)?,
        };
        if text.contains('\0') {
            return Err(value(&field, "a text without NUL", "one"));
        }
        all.insert(name, text);
    }
    all.insert("CCOS_INPUT_FILE".to_owned(), INPUT_FILE.to_owned());
    all.insert(RESULT_VARIABLE.to_owned(), RESULT_FILE.to_owned());
    Ok(all)
}

fn egress_of(Egress { proxy, rules }: Egress) -> Result<relay::Order, RequestError> {
    let names = Names::new(&rules)?;
    let ports = names.ports().ok_or(NamesError::TooManyPorts)?.into_iter().collect();
    Ok(relay::Order { names, ports, proxy, token: place::EGRESS_TOKEN.into() })
}

fn input_of(inputs: Inputs) -> Result<String, RequestError> {
    let Inputs { mut document, fields } = inputs;
    if !fields.is_empty() {
        let object = document
            .as_object_mut()
            .ok_or_else(|| value("inputs.document", "an object, since there are fields", "another kind of value"))?;
        for (name, file) in fields {
            object.insert(name, Value::String(read_reference(&file)?));
        }
    }
    let text = document.to_string();
    if text.len() > MOST_INPUT_BYTES {
        return Err(value("inputs", &format!("at most {MOST_INPUT_BYTES} bytes"), &text.len().to_string()));
    }
    Ok(text)
}

fn read_reference(file: &str) -> Result<String, RequestError> {
    let path = path("references", file)?;
    if !Path::new(path.as_str()).starts_with(place::REFERENCES) {
        return Err(value("references", &format!("a path below {}", place::REFERENCES), &format!("{file:?}")));
    }
    read_text(file, MOST_TEXT_BYTES)
}

fn read_text(path: &str, most: u64) -> Result<String, RequestError> {
    let failed = |source| RequestError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(RequestError::TooLong { path: path.to_owned(), most });
    }
    String::from_utf8(bytes).map_err(|_| RequestError::Encoding { path: path.to_owned() })
}
