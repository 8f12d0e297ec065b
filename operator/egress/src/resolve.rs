//! From a name to its addresses. They are only candidates: [`crate::classify::vet`] has to pass each.

use std::net::IpAddr;
use std::time::Duration;

use ccos_policy::HostName;
use ccos_profile::egress::Refusal;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// Addresses of one name that are looked at.
pub const MAX_ADDRESSES: usize = 16;

/// How long an answer is kept at most, whatever its owner says: a name that moves away is followed.
const MAX_TTL: Duration = Duration::from_mins(5);

/// How long "there is no such name" is kept.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// Tells a name's addresses.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of the name, at most [`MAX_ADDRESSES`].
    fn resolve(&self, name: &HostName) -> impl Future<Output = Result<Vec<IpAddr>, Refusal>> + Send;
}

/// Asks name servers.
pub struct Dns(TokioResolver);

impl Dns {
    /// Asks these servers, or those of `/etc/resolv.conf`.
    /// # Errors
    /// If that file can't be read.
    pub fn new(servers: &[IpAddr]) -> Result<Self, NetError> {
        let (config, system) = if servers.is_empty() {
            hickory_resolver::system_conf::read_system_conf()?
        } else {
            let servers = servers.iter().map(|server| NameServerConfig::udp_and_tcp(*server)).collect();
            (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
        };
        // Neither its search domains nor its hosts: a name means the same here as it does in a grant.
        let servers = config.name_servers().to_vec();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.timeout = Duration::from_secs(2).min(system.timeout);
        options.attempts = 2;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 1024;
        options.positive_max_ttl = Some(MAX_TTL);
        options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
        Ok(Self(builder.build()?))
    }
}

impl Resolve for Dns {
    async fn resolve(&self, name: &HostName) -> Result<Vec<IpAddr>, Refusal> {
        // The dot at the end: this very name, and no domain behind it.
        match self.0.lookup_ip(format!("{name}.")).await {
            Ok(found) => Ok(found.iter().take(MAX_ADDRESSES).collect()),
            Err(error) if error.is_no_records_found() => Err(Refusal::NotResolved),
            Err(NetError::Timeout) => Err(Refusal::TimedOut),
            Err(_) => Err(Refusal::NotResolved),
        }
    }
}
