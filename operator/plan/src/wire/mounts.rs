//! Where volumes may be mounted.

use ccos_crds::security_context as wire;
use ccos_policy::PathPattern;
use ccos_profile::mounts;

use super::faults::{Faults, quoted};

/// Notes the places at which the runner would refuse to mount a volume, and those that two volumes share.
pub(super) fn check(faults: &mut Faults, volumes: &[wire::Volume]) {
    for (at, wire::Volume { mount_path: place, .. }) in volumes.iter().enumerate() {
        let field = format!("spec.volumes[{at}].mountPath");
        if volumes.iter().take(at).any(|earlier| earlier.mount_path == *place) {
            faults.add(field.as_str(), format!("{}: is given twice", quoted(place)));
        }
        // What is no path was noted where it was read.
        let is_path = place.parse().is_ok_and(|pattern: PathPattern| pattern.literal() == Some(place));
        if is_path && mounts::is_too_deep(place) {
            let deep = format!("expected at most {} segments", mounts::MAX_SEGMENTS);
            faults.add(field, format!("{}: {deep}; use a shorter path, such as /data", quoted(place)));
        } else if is_path && !mounts::may_be_at(place) {
            let own = "expected a folder that is not the runner's own: not /, /proc, /dev, /tmp or /dev/shm";
            faults.add(field, format!("{}: {own}; use another, such as /data", quoted(place)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(places: &[&str]) -> Vec<String> {
        let volume = |place: &&str| wire::Volume {
            name: "v".to_owned(),
            mount_path: (*place).to_owned(),
            persistent_volume_claim: None,
            config_map: None,
            secret: None,
            empty_dir: None,
        };
        let mut faults = Faults::default();
        check(&mut faults, &places.iter().map(volume).collect::<Vec<_>>());
        faults.into_errors().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_place_of_the_runner_is_refused_where_the_context_is_written() {
        for place in ["/", "/proc", "/proc/x", "/dev", "/dev/fuse", "/dev/shm", "/tmp"] {
            assert_eq!(
                faults(&["/data", place]),
                [format!(
                    "spec.volumes[1].mountPath: {place:?}: expected a folder that is not the runner's own: not /, /proc, /dev, /tmp or /dev/shm; use another, such as /data"
                )]
            );
        }
        assert_eq!(faults(&["/data", "/tmp/x", "/device", "/etc/app"]), Vec::<String>::new());
    }

    #[test]
    fn a_place_that_is_deeper_than_the_runner_s_is_refused() {
        let deep = "spec.volumes[0].mountPath: \"/1/2/3/4/5/6/7/8/9\": expected at most 8 segments; use a shorter path, such as /data";
        assert_eq!(faults(&["/1/2/3/4/5/6/7/8/9", "/1/2/3/4/5/6/7/8"]), [deep]);
    }

    #[test]
    fn two_volumes_at_one_place_are_refused() {
        assert_eq!(faults(&["/a", "/b", "/a"]), [r#"spec.volumes[2].mountPath: "/a": is given twice"#]);
    }
}
