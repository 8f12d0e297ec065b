//! Credentials of a context, by what the proxy can inject.

use ccos_crds::permissions::Credential;
use ccos_policy::HostName;
use ccos_profile::credential::{PathPrefix, header};

use super::faults::{Faults, quoted};

/// Notes what could not be injected: the proxy would take none of the rules that it is in.
pub(super) fn check(faults: &mut Faults, path: &str, given: &[Credential]) {
    let mut before: Vec<(HostName, String, PathPrefix)> = Vec::new();
    for (at, Credential { host, path_prefix, header: name, secret_key_ref: _ }) in given.iter().enumerate() {
        let at = format!("{path}.network.credentials[{at}]");
        let host = faults.parse::<HostName>(&format!("{at}.host"), host);
        let header =
            header(name).inspect_err(|why| faults.add(format!("{at}.header"), format!("{}: {why}", quoted(name))));
        let text = path_prefix.as_deref().unwrap_or("/");
        let prefix = PathPrefix::parse(text)
            .inspect_err(|why| faults.add(format!("{at}.pathPrefix"), format!("{}: {why}", quoted(text))));
        let (Some(host), Ok(header), Ok(prefix)) = (host, header, prefix) else { continue };
        if before.iter().any(|(h, n, p)| (h, n) == (&host, &header) && p.overlaps(&prefix)) {
            faults.add(at, "an entry before sets the same header for the same requests; give each request one value");
        }
        before.push((host, header, prefix));
    }
}
