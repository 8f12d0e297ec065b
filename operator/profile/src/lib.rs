//! The wire between the controller and the runner: a [`Profile`] goes into the pod, a [`Report`] comes out.
//!
//! Both ends parse strictly (`deny_unknown_fields`): a runner that does not understand a restriction must refuse to
//! run, not skip it. This crate decides nothing and knows neither Kubernetes nor the decision, so that the runner
//! stays small.

pub mod credential;
pub mod egress;
pub mod inbound;
pub mod mounts;
pub mod probe;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Where things are inside the runner's own container, before the view is built. Nothing below is visible to the
/// workload.
pub mod place {
    /// The profile, as the file `profile.json` of a read-only ConfigMap volume.
    pub const PROFILE: &str = "/ccos/profile/profile.json";
    /// The capability's image, read-only, as an image volume (isolation GVisor).
    pub const IMAGE: &str = "/ccos/image";
    /// Each volume of the context, by its name.
    pub const VOLUMES: &str = "/ccos/volumes";
    /// Referenced Secrets and ConfigMaps: one folder for each reference, by its number.
    pub const REFERENCES: &str = "/ccos/references";
    /// An empty folder on which the runner builds the view.
    pub const VIEW: &str = "/ccos/view";
    /// The pod's token for the operator's endpoint of reports. The kubelet renews it: read when it is used.
    pub const REPORT_TOKEN: &str = "/ccos/tokens/report";
    /// The folder with the token for the egress proxy, where the profile has one to reach.
    pub const EGRESS: &str = "/ccos/egress";
    /// The token itself.
    pub const EGRESS_TOKEN: &str = "/ccos/egress/token";
    /// Where Kubernetes reads the termination message.
    pub const TERMINATION_LOG: &str = "/dev/termination-log";
    /// The runner's program in its own image.
    pub const RUNNER: &str = "/ccos-runner";
    /// How the folder begins in which the runner's image is mounted, in a container that runs the capability's.
    pub const RUNNER_FOLDER: &str = "/ccos-";
    /// Where below it: deeper than any volume of a context may be, and so after all of them, since runtimes mount by depth.
    pub const RUNNER_BELOW: &str = "/deeper/than/any/volume/of/a/context/is";
    /// An empty folder for the input document, where there is no view (isolation Container).
    pub const RUN: &str = "/run/ccos";

    /// Where the runner's image is mounted in a container that runs the capability's, by what nobody knew who made the image. A
    /// link of it, which is its author's, leads the mount of a volume where it likes, and an image may have volumes of its own,
    /// as deep as it likes: neither may lie on the runner.
    #[must_use]
    pub fn runner_volume(unknown: &str) -> String {
        format!("{RUNNER_FOLDER}{unknown}{RUNNER_BELOW}")
    }
}

/// The version of this wire: a runner refuses a profile of any other.
pub const VERSION: u32 = 1;

/// The kubelet keeps this much of a termination message, in bytes; the rest is cut.
pub const TERMINATION_MESSAGE_LIMIT: usize = 4096;

/// A result of up to this size, in bytes of JSON, is reported inline.
pub const INLINE_RESULT_LIMIT: usize = 2048;

/// The largest result, in bytes of JSON: a `ConfigMap` holds no more. One above [`INLINE_RESULT_LIMIT`] reaches the operator
/// by its endpoint alone.
pub const RESULT_LIMIT: usize = 1024 * 1024;

/// The largest [`Delivery`], in bytes: a result may double in quotation, and the rest is a termination message.
pub const DELIVERY_LIMIT: usize = 2 * RESULT_LIMIT + 64 * 1024;

/// Whom the pod's token for the endpoint of reports is for.
pub const REPORT_AUDIENCE: &str = "ccos-report";

/// Different ports that a workload may connect to: each is a socket that the runner holds for it.
pub const MAX_PORTS: usize = 64;

/// All that the runner needs to confine and run one attempt. Paths are absolute, normalised (no `.`, `..`, empty
/// segment, or trailing slash but for `/`), and as the workload will see them, unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// [`VERSION`].
    pub version: u32,
    /// Where the capability's image is: [`place::IMAGE`], or `/` where the container runs that image itself.
    pub image_root: String,
    /// Confine by Landlock, where the kernel has at least this ABI of it. Absent: by a view in namespaces of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock_abi: Option<u32>,
    /// The program and its arguments; the program is an absolute path.
    pub command: Vec<String>,
    /// The working directory; absent: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// What of the file system exists in the view.
    pub files: Files,
    /// What of the file system is shown of what there is at the start; absent: nothing. A runner of before refuses a
    /// profile that has it.
    #[serde(default, skip_serializing_if = "Globs::is_none")]
    pub globs: Globs,
    /// The context's volumes that the view may show, at their place; only what `files` requires of them is shown.
    pub volumes: Vec<Volume>,
    /// Programs that may be executed besides the command itself: files. One that is a folder is refused.
    pub programs: Vec<String>,
    /// Folders in which every program may be executed.
    pub program_folders: Vec<String>,
    /// Whether the workload may create processes; threads are always possible.
    pub process_creation: ProcessCreation,
    /// The environment besides the runner's own `PATH`, `HOME`, `LANG` and `CCOS_*`.
    pub environment: BTreeMap<String, Text>,
    /// What the workload may connect to; absent: nothing. A runner of before refuses a profile that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// What may connect to the workload; absent: nothing. A runner of before refuses a profile that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<inbound::Inbound>,
    /// The inputs.
    pub inputs: Inputs,
    /// Bounds of this attempt.
    pub limits: Limits,
    /// Where the end is reported, besides the termination message; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportTo>,
}

/// The operator's endpoint of reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportTo {
    /// An IP address with a port: the pod has no resolver.
    pub address: SocketAddr,
    /// The certificate that it shows, in PEM. No other is believed.
    pub certificate: String,
}

/// Paths with all that is below them. What no list names does not exist in the view, but for the baseline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Files {
    /// Shown read-only.
    pub read: Vec<String>,
    /// Writable: from the volume that holds the path, otherwise an empty folder of scratch space.
    pub write: Vec<String>,
    /// Shown read-only, and programs and libraries in it may be executed.
    pub execute: Vec<String>,
    /// Out of reach, whatever else names them.
    pub blocked: Vec<String>,
}

/// Patterns, as the API has them, of files that don't change: each is expanded once, to what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Globs {
    /// As [`Files::read`].
    pub read: Vec<String>,
    /// As [`Files::execute`].
    pub execute: Vec<String>,
    /// As [`Files::blocked`].
    pub blocked: Vec<String>,
    /// As [`Profile::programs`], or as [`Profile::program_folders`] where it ends in `/**`.
    pub programs: Vec<String>,
}

impl Globs {
    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Paths that the globs of one profile may expand to, all together.
pub const MAX_EXPANDED: usize = 1024;

/// A volume of the context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Its folder in the runner's container, below [`place::VOLUMES`].
    pub source: String,
    /// Where the workload sees it.
    pub mount_path: String,
}

/// Whether fork, vfork and clone without `CLONE_THREAD` succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessCreation {
    /// They do.
    Allowed,
    /// They fail with `EPERM`.
    Denied,
}

/// Destinations by name, and the proxy that connects to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Egress {
    /// The address of its Service.
    pub proxy: SocketAddr,
    /// As the proxy reads them, too.
    pub rules: egress::Rules,
}

/// The digest of a profile's text, as the pod's command names it: `sha256:` and lower-case hexadecimal.
#[must_use]
pub fn digest(text: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().fold(String::from("sha256:"), |mut digest, byte| {
        // Writing to a String can't fail.
        let _ = write!(digest, "{byte:02x}");
        digest
    })
}

/// A text, given or read from a file of the runner's container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Text {
    /// The text itself.
    Value(String),
    /// The path of a file below [`place::REFERENCES`] that holds it.
    File(String),
}

/// The input document: `document`, with each of `fields` set to the text of its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inputs {
    /// What the execution gives inline: any JSON; an object where there are `fields`.
    pub document: Value,
    /// Name of a top-level field to the path of a file below [`place::REFERENCES`].
    pub fields: BTreeMap<String, String>,
}

/// Bounds of one attempt that the runner holds. Memory and CPU are the pod's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// CPU time of the whole process tree, in milliseconds.
    pub cpu_time_millis: u64,
    /// Time from the start of the workload to its end, in milliseconds.
    pub wall_time_millis: u64,
    /// Scratch space, `/tmp` and `/dev/shm` included, in bytes.
    pub disk_bytes: u64,
    /// Open file descriptors of each process.
    pub file_descriptors: u64,
    /// Threads and processes of the workload, together.
    pub threads: u64,
    /// Thousandths of a processor that the pod's quota gives, where the sandbox counts its CPU time without knowing of it;
    /// absent: the count is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
}

/// What the runner says at the end, as the termination message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// Why it ended.
    pub end: End,
    /// For people: what happened, cut to fit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The workload's exit status, where it exited by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The result, where there is one. In a termination message of at most [`INLINE_RESULT_LIMIT`] bytes, otherwise of
    /// [`RESULT_LIMIT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// In place of a result that the operator keeps: its [`digest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_digest: Option<String>,
    /// What it used; absent where the workload never started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What was proven before the workload started.
    pub proven: Vec<Proof>,
    /// What went over the network and what of it was refused; absent where the workload had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<egress::Usage>,
}

/// What a runner tells the operator's endpoint: the termination message to be, and the result that is too large for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// As the termination message will have it.
    pub report: Report,
    /// The text whose digest the report has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// Why an attempt ended, as far as the runner can tell. The names are those of the design's reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Exit status 0, and the result could be read.
    Completed,
    /// Another exit status, or a command that could not be started: 127 then.
    NonZeroExit,
    /// Ended by a signal that the runner did not send.
    Signaled,
    /// Stopped at its wall time.
    WallTimeExceeded,
    /// Stopped at its CPU time.
    CPUTimeExceeded,
    /// Failed with its scratch space full.
    DiskExceeded,
    /// Wrote more to its outputs than is kept.
    OutputTooLarge,
    /// Exit status 0, but the result is no JSON.
    InvalidResult,
    /// Exit status 0, but the result is too large to report.
    ResultTooLarge,
    /// The runner was told to stop.
    Cancelled,
    /// The confinement could not be set up, or a probe got through it. The workload did not start.
    ConfinementFailed,
    /// The runner failed in another way.
    InternalError,
}

/// Measured by the runner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    /// CPU time, user and system, of the whole process tree, in milliseconds.
    pub cpu_time_millis: u64,
    /// The most memory that counted against the pod's limit, in bytes, as far as the sandbox shows it; at least the
    /// largest resident set of one process.
    pub peak_memory_bytes: u64,
    /// From the start of the workload to its end, in milliseconds.
    pub wall_time_millis: u64,
    /// Scratch space in use at the end, in bytes.
    pub disk_bytes: u64,
}

/// A restriction, what holds it, and that a probe was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proof {
    /// The field that it holds, such as `permissions.filesystem`.
    pub field: String,
    /// By what, such as `mount namespace`; short: all proofs share the termination message.
    pub mechanism: String,
}

/// What holds which field: what the runner proves before it starts code, what status lists of that, and what
/// `ccos check --explain` announces.
pub mod mechanism {
    /// A field of the API and what holds it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Mechanism {
        /// The field.
        pub field: &'static str,
        /// What holds it by a view in namespaces.
        pub name: &'static str,
        /// What holds it by Landlock.
        pub by_landlock: &'static str,
    }

    macro_rules! mechanisms {
        ($($id:ident: $field:literal, $name:literal, $by_landlock:literal;)*) => {
            $(
                #[doc = concat!("Of `", $field, "`.")]
                pub const $id: Mechanism = Mechanism { field: $field, name: $name, by_landlock: $by_landlock };
            )*
            /// All of them.
            pub const ALL: &[Mechanism] = &[$($id),*];
        };
    }

    mechanisms! {
        FILES: "permissions.filesystem", "mount namespace", "Landlock";
        NETWORK: "permissions.network", "network namespace", "seccomp, Landlock";
        OUTBOUND: "permissions.network.outbound", "own loopback, egress proxy", "NetworkPolicy, Landlock, egress proxy";
        INBOUND: "permissions.network.inbound", "network policy, runner", "not held";
        COMMANDS: "permissions.system.commands", "noexec, seccomp", "Landlock, seccomp";
        PROCESSES: "permissions.system.processCreation", "seccomp", "seccomp";
        ENVIRONMENT: "permissions.environment", "built from nothing", "built from nothing";
        IPC: "permissions.ipc", "ipc namespace", "seccomp, Landlock";
        DISK: "limits.disk", "sized tmpfs", "sized tmpfs";
        DESCRIPTORS: "limits.fileDescriptors", "RLIMIT_NOFILE", "RLIMIT_NOFILE";
        THREADS: "limits.threads", "RLIMIT_NPROC", "RLIMIT_NPROC, user namespace";
        CPU_TIME: "limits.cpuTime", "RLIMIT_CPU, sum", "RLIMIT_CPU, sum";
        WALL_TIME: "limits.wallTime", "timer, pid namespace", "timer, pid 1";
    }
}
