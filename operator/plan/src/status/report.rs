//! What a runner said of its attempt, in status.

use ccos_crds::execution::{ConfigMapRef, Enforcement, ResultStatus, Usage};
use ccos_crds::{Duration, Quantity, conditions};
use ccos_profile::{Proof, Report};

use super::{Draft, network};
use crate::end::{End, EndReason};
use crate::reported::result_name;

impl Draft {
    pub(super) fn reported(&mut self, report: &Report, end: &End, pod: &str) {
        let Report {
            version: _,
            end: _,
            message: _,
            exit_code: _,
            signal: _,
            result,
            result_digest,
            usage,
            proven,
            network,
        } = report;
        if end.reason == EndReason::ConfinementFailed.as_str() {
            self.set(conditions::ISOLATED, "False", end.reason, &end.message);
        } else if !proven.is_empty() {
            self.set(
                conditions::ISOLATED,
                "True",
                "Proven",
                "the runner's probes were refused before the code started",
            );
        }
        self.status.enforcement = proven
            .iter()
            .map(|Proof { field, mechanism }| Enforcement {
                field: field.clone(),
                mechanism: mechanism.clone(),
                proven: "True".to_owned(),
            })
            .collect();
        if let Some(result) = result {
            self.status.result =
                Some(ResultStatus { inline: Some(result.clone()), config_map_ref: None, sha256: None });
        }
        if let Some(digest) = result_digest {
            self.status.result = Some(ResultStatus {
                inline: None,
                config_map_ref: Some(ConfigMapRef { name: result_name(pod) }),
                sha256: Some(digest.trim_start_matches("sha256:").to_owned()),
            });
        }
        if let Some(ccos_profile::Usage { cpu_time_millis, peak_memory_bytes, wall_time_millis, disk_bytes }) = usage {
            self.status.usage = Some(Usage {
                cpu_time: Some(Duration(ccos_policy::limits::Millis(*cpu_time_millis).to_string())),
                peak_memory: Some(Quantity(ccos_policy::Bytes(*peak_memory_bytes).to_string())),
                wall_time: Some(Duration(ccos_policy::limits::Millis(*wall_time_millis).to_string())),
                disk_written: Some(Quantity(ccos_policy::Bytes(*disk_bytes).to_string())),
                ..Usage::default()
            });
        }
        if let Some(network) = network {
            network::write_down(network, &mut self.status);
        }
    }
}
