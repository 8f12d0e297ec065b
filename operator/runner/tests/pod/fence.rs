//! A stand-in for the network policy of a pod: nothing gets to the world but what is for the proxy's first port.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Pod, ip};

/// When the policy is applied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fence {
    AtOnce,
    Late(Duration),
    Never,
}

const RULES: &str = "table inet fence {
  chain input {
    type filter hook input priority 0; policy drop;
    tcp dport 3128 accept
    meta l4proto ipv6-icmp accept
  }
}
";

impl Pod {
    /// The policy is applied this long after the start.
    pub(crate) fn fenced_after(mut self, seconds: u64) -> Self {
        self.fence = Fence::Late(Duration::from_secs(seconds));
        self
    }

    /// It never is.
    pub(crate) fn unfenced(mut self) -> Self {
        self.fence = Fence::Never;
        self
    }

    /// As the kubelet makes it of the pod's spec: any port may be listened on. And the policy, if it is in time.
    pub(super) fn make_shared_network(&mut self) {
        self.make_network();
        ip(&["-n", &self.name, "link", "set", "lo", "up"]);
        let sysctl = ["netns", "exec", &self.name, "sysctl", "-qw", "net.ipv4.ip_unprivileged_port_start=0"];
        ip(&sysctl);
        let world = format!("{}-w", self.name);
        match self.fence {
            Fence::AtOnce => apply(&world),
            Fence::Late(after) => {
                std::thread::spawn(move || {
                    std::thread::sleep(after);
                    apply(&world);
                });
            }
            Fence::Never => {}
        }
    }
}

fn apply(world: &str) {
    let mut nft =
        Command::new("ip").args(["netns", "exec", world, "nft", "-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft");
    std::io::Write::write_all(&mut nft.stdin.take().unwrap(), RULES.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success());
}
