//! Clients of the network that know nothing of proxies reach the hosts that they were granted, and nothing else: that fails at once
//! and says why. Their sources are in `e2e/programs`; the servers are real, over TLS.

use ccos_e2e::fixture::to;
use ccos_e2e::world::{Authority, Server};
use ccos_e2e::{Execution, Namespace, cluster, context, execution, namespace};
use serde::Deserialize;
use serde_json::json;

/// `world-a.test` of the cluster's DNS, which is granted; `world-b.test` is there too, and is not.
const NAME: &str = "world-a.test";
const ADDRESS: &str = cluster::WORLD_A;

const AT_ONCE_MILLIS: u64 = 100;

/// One program that runs the clients of Python and those that are programs.
const PYTHON: &[&str] = &["/usr/bin/python3", "/programs/fetch.py"];

/// A client, by what it says of a name that is unknown, an address that nobody is at, and a port that nobody listens at.
struct Client {
    name: &'static str,
    command: &'static [&'static str],
    says: [&'static str; 3],
    /// What it says of a port that is not granted in Container, where it is its own to be refused.
    refused: &'static str,
    /// The program that it is, with what that starts.
    programs: &'static [&'static str],
}

const CLIENTS: &[Client] = &[
    Client {
        name: "curl",
        command: PYTHON,
        says: ["Could not resolve host: world-b.test", "Couldn't connect to server", "Couldn't connect to server"],
        refused: "Couldn't connect to server",
        programs: &["/usr/bin/curl"],
    },
    Client {
        name: "urllib",
        command: PYTHON,
        says: ["Name or service not known", "Network is unreachable", "Connection refused"],
        refused: "Permission denied",
        programs: &[],
    },
    Client {
        name: "requests",
        command: PYTHON,
        says: ["Name or service not known", "Network is unreachable", "Connection refused"],
        refused: "Permission denied",
        programs: &[],
    },
    Client {
        name: "node",
        command: &["/usr/bin/node", "/programs/fetch.js"],
        says: ["ENOTFOUND", "ENETUNREACH", "ECONNREFUSED"],
        refused: "EACCES",
        programs: &[],
    },
    Client {
        name: "go",
        command: &["/programs/fetch-go"],
        says: ["no such host", "network is unreachable", "connection refused"],
        refused: "permission denied",
        programs: &[],
    },
    Client {
        name: "java",
        command: &[
            "/usr/lib/jvm/bin/java",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xmx48m",
            // What it remembers would make the second try of a name quick.
            "-Dsun.net.inetaddr.negative.ttl=0",
            "-cp",
            "/programs",
            "Fetch",
        ],
        says: ["UnresolvedAddressException", "Network is unreachable", "ClosedChannelException"],
        refused: "Permission denied",
        programs: &[],
    },
    Client {
        name: "git",
        command: PYTHON,
        says: ["Could not resolve host: world-b.test", "Couldn't connect to server", "Couldn't connect to server"],
        refused: "Couldn't connect to server",
        programs: &["/usr/bin/git", "/usr/lib/git-core/git-remote-https"],
    },
    Client {
        name: "psql",
        command: PYTHON,
        says: ["Name or service not known", "Network is unreachable", "Connection refused"],
        refused: "Permission denied",
        programs: &["/usr/lib/postgresql/bin/psql"],
    },
];

#[derive(Debug, Deserialize)]
struct Answer {
    body: Option<String>,
    error: Option<String>,
    millis: u64,
}

impl Client {
    /// The URL of a place, as this client has them.
    fn url(&self, host: &str, port: u16) -> String {
        match self.name {
            "psql" => format!("postgresql://tester@{host}:{port}/postgres?sslmode=verify-full&sslrootcert=/ca/ca.pem"),
            "git" => format!("https://{host}:{port}/repository.git"),
            _ => format!("https://{host}:{port}/"),
        }
    }

    fn greeting(&self) -> String {
        match self.name {
            "psql" => "42".to_owned(),
            "git" => "hello git".to_owned(),
            _ => format!("hello {NAME}"),
        }
    }

    fn execution(&self, isolation: &str, port: u16, urls: &[String]) -> Execution {
        let there = to(NAME, port);
        let one = execution(self.name)
            .provider("source.image.reference", cluster::image("CCOS_LANGUAGES_IMAGE"))
            .set("isolation", isolation)
            .set("inputs", json!({"client": self.name, "urls": urls, "times": 3}))
            .runs(self.command)
            .reads("/programs")
            .reads("/ca")
            .connects(there)
            // Debian keeps a part of Node there.
            .reads("/usr/share/nodejs")
            .limit("memory", "192Mi")
            // A small share of the CPU comes late, by up to a tenth of a second.
            .limit("cpu", "1");
        // The authority, where no argument of the client's says it.
        let one = match self.name {
            "node" => one.variable("NODE_EXTRA_CA_CERTS", "/ca/ca.pem"),
            "go" => one.variable("SSL_CERT_FILE", "/ca/ca.pem"),
            _ => one,
        };
        if self.programs.is_empty() {
            return one;
        }
        let one = self.programs.iter().fold(one.processes(), |one, program| one.commands(program));
        if self.name == "git" { one.writes("/work").limit("disk", "16Mi") } else { one }
    }

    /// Reaches the host that is granted, and neither another, nor its address, nor another port of it.
    fn works(&self, ns: &Namespace, isolation: &str, port: u16) {
        // Ports that no client shuns by itself. In Container the policy keeps the address from it, and lets it wait. Last how long the
        // client takes when it is refused by its own loopback, without anybody between.
        let mut places = vec![
            (NAME, port, self.greeting()),
            ("world-b.test", port, self.says[0].to_owned()),
            (ADDRESS, port, self.says[1].to_owned()),
            (NAME, 4443, self.says[2].to_owned()),
            ("127.0.0.1", 4443, String::new()),
        ];
        if isolation == "Container" {
            places.remove(2);
            self.refused.clone_into(&mut places[2].2);
        }
        let urls: Vec<_> = places.iter().map(|(host, port, _)| self.url(host, *port)).collect();
        let ended = ns.accepts(self.execution(isolation, port, &urls)).completes();
        let answers: Vec<Answer> = serde_json::from_value(ended.result().clone()).unwrap();
        let [granted, refused @ .., itself] = answers.as_slice() else { panic!("{answers:#?}") };
        assert_eq!(granted.body, Some(self.greeting()), "{}: {answers:#?}", self.name);
        for (answer, (_, _, says)) in refused.iter().zip(&places[1..]) {
            let error = answer.error.as_deref().unwrap_or_default();
            assert!(error.contains(says.as_str()), "{}: expected {says:?}, but found {answers:#?}", self.name);
            // Programs take their time to start, which is theirs.
            let took = answer.millis.saturating_sub(if self.programs.is_empty() { 0 } else { itself.millis });
            assert!(took < AT_ONCE_MILLIS, "{}: {took} ms: {answers:#?}", self.name);
        }
        let status = &ended.object["status"];
        let denials: Vec<_> =
            status["denials"].as_array().unwrap().iter().map(|one| one["target"].as_str().unwrap()).collect();
        assert!(denials.contains(&"world-b.test.: not-granted"), "{}: {denials:?}", self.name);
        assert_eq!(status["decision"]["isolation"], isolation);
    }
}

fn grants(ns: &Namespace, authority: &Authority, servers: &[&Server]) {
    let ports: Vec<_> = servers.iter().map(|server| json!({"port": server.port})).collect();
    let context = context("analysts")
        .config_map("ca", "/ca", &[("ca.pem", &authority.certificate())])
        .reads("/ca/**")
        .reads("/programs/**")
        .reads("/usr/share/nodejs")
        .writes("/work/**")
        .commands("/usr/**")
        .environment("NODE_EXTRA_CA_CERTS")
        .environment("SSL_CERT_FILE")
        .processes()
        .set("limits.cpu", "1");
    ns.apply(context.set("permissions.network.outbound", json!([{"host": NAME, "ports": ports}])));
}

#[test]
#[ignore = "alone: it measures time"]
fn clients_that_know_nothing_of_proxies_reach_what_is_granted_and_nothing_else_in_gvisor() {
    all("GVisor", |_| true);
}

/// But git, which writes: in Container a loader can't be had beside a folder that is written.
#[test]
#[ignore = "alone: it measures time"]
fn clients_that_know_nothing_of_proxies_reach_what_is_granted_and_nothing_else_in_container() {
    all("Container", |client| client.name != "git");
}

fn all(isolation: &str, which: impl Fn(&Client) -> bool) {
    let authority = Authority::of(NAME);
    let (web, postgres) = (authority.serves(ADDRESS), authority.postgres(ADDRESS));
    let ns = namespace("clients");
    grants(&ns, &authority, &[&web, &postgres]);
    for client in CLIENTS.iter().filter(|client| which(client)) {
        let server = if client.name == "psql" { &postgres } else { &web };
        client.works(&ns, isolation, server.port);
    }
}

/// The twin of their certificates: whoever is there without one that the client believes is not spoken to.
#[test]
#[ignore = "alone: it takes a whole processor"]
fn a_server_that_is_another_is_not_believed() {
    let (authority, other) = (Authority::of(NAME), Authority::of(NAME));
    let web = other.serves(ADDRESS);
    let ns = namespace("clients-ca");
    grants(&ns, &authority, &[&web]);
    let client = CLIENTS.iter().find(|client| client.name == "urllib").unwrap();
    let ended = ns.accepts(client.execution("GVisor", web.port, &[client.url(NAME, web.port)])).completes();
    let answers: Vec<Answer> = serde_json::from_value(ended.result().clone()).unwrap();
    assert!(answers[0].error.as_deref().unwrap_or_default().contains("CERTIFICATE_VERIFY_FAILED"), "{answers:#?}");
}
