//! What the cluster can do, as its administrators say in Helm values.

use ccos_policy::{Ceiling, Isolations};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{self, FieldErrors};

/// The file that the chart mounts into the controller and the webhook, and that `ccos check --profile` reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterProfile {
    /// The runner's image, by digest.
    #[serde(default)]
    pub runner_image: String,
    /// The PriorityClass of executions, by which their quota is scoped.
    #[serde(default)]
    pub priority_class_name: String,
    /// From the creation of a pod to a running container, and the time for which a missing runtime is waited for: a
    /// Gateway API duration.
    #[serde(default = "start_deadline")]
    pub start_deadline: String,
    /// What each isolation can do. One that is not here is not there.
    pub isolations: Isolations,
    /// What contexts may grant whose author has no right to escalate; absent: whatever they list, but not level `Full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Value>,
}

fn start_deadline() -> String {
    "2m".to_owned()
}

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is no YAML of this shape.
    #[error("{0}")]
    Syntax(String),
    /// What executions are made of is missing.
    #[error("{0}: is required")]
    Missing(&'static str),
    /// A duration can't be understood.
    #[error("startDeadline {found:?}: {reason}")]
    StartDeadline {
        /// What was given.
        found: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The ceiling can't be understood.
    #[error("{0}")]
    Ceiling(FieldErrors),
}

impl ClusterProfile {
    /// Reads the file's text.
    ///
    /// # Errors
    /// If it is no YAML of this shape, or a value in it can't be understood.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let profile = Self::parse_for_decisions(text)?;
        for (field, value) in
            [("runnerImage", &profile.runner_image), ("priorityClassName", &profile.priority_class_name)]
        {
            if value.is_empty() {
                return Err(ProfileError::Missing(field));
            }
        }
        Ok(profile)
    }

    /// The same, of a text that may lack what no decision depends on: somebody wrote it for `ccos check`.
    ///
    /// # Errors
    /// If it is no YAML of this shape, or a value in it can't be understood.
    pub fn parse_for_decisions(text: &str) -> Result<Self, ProfileError> {
        let profile: Self = serde_saphyr::from_str(text).map_err(|error| ProfileError::Syntax(error.to_string()))?;
        profile.start_deadline_millis()?;
        profile.ceiling()?;
        Ok(profile)
    }

    /// The ceiling; the one that bounds nothing where there is none.
    ///
    /// # Errors
    /// If it can't be understood; [`Self::parse`] has looked.
    pub fn ceiling(&self) -> Result<Ceiling, ProfileError> {
        self.ceiling.as_ref().map_or_else(|| Ok(Ceiling::default()), wire::ceiling).map_err(ProfileError::Ceiling)
    }

    /// The start deadline, in milliseconds.
    ///
    /// # Errors
    /// If the text is no duration; [`Self::parse`] has looked.
    pub fn start_deadline_millis(&self) -> Result<u64, ProfileError> {
        self.start_deadline.parse::<ccos_policy::limits::Millis>().map(|millis| millis.0).map_err(|error| {
            ProfileError::StartDeadline { found: self.start_deadline.clone(), reason: error.to_string() }
        })
    }
}
