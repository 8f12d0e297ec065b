//! Headers that the proxy adds by TLS of its own, and attacks on them: by a client that wants to see the value, or to have it
//! sent where it was not granted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    dead_code,
    reason = "tests and their helpers, of which each file uses some"
)]

mod common;

use std::sync::{Arc, Mutex};

use ccos_egress::metrics::Metrics;
use ccos_egress::originate::{Originate, Secrets};
use ccos_egress::serve::{Check, Proxy, serve};
use ccos_profile::credential::SecretKey;
use common::{BOUNDS, Known, Names, WORLD, connect, ranges};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const TOKEN: &str = "token";
const VALUE: &str = "Bearer hush";

/// A server by TLS that keeps what it hears, and answers each request.
struct Origin {
    port: u16,
    heard: Arc<Mutex<String>>,
    authority: Vec<u8>,
}

async fn origin(name: &str) -> Origin {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((WORLD, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::<Mutex<String>>::default();
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                let mut buffer = [0; 8192];
                loop {
                    let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
                    kept.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
                    stream.write_all(b"HTTP/1.1 204 No Content\r\nX-Origin: yes\r\n\r\n").await.ok()?;
                }
                #[allow(unreachable_code)]
                Some(())
            });
        }
    });
    Origin { port, heard, authority: cert.pem().into_bytes() }
}

struct Values(Option<&'static str>);

impl Secrets for Values {
    fn value<'a>(&'a self, namespace: &'a str, key: &'a SecretKey) -> BoxFuture<'a, Result<Vec<u8>, String>> {
        async move {
            assert_eq!((namespace, key.name.as_str(), key.key.as_str()), ("n", "api", "token"));
            self.0.map(|value| value.as_bytes().to_vec()).ok_or_else(|| "may not".to_owned())
        }
        .boxed()
    }
}

/// A proxy whose execution has a credential for `/v1` of `a.test`.
async fn proxy(
    origin: &Origin,
    authority: &[u8],
    value: Option<&'static str>,
    without: Option<Check>,
) -> (std::net::SocketAddr, Known) {
    let known = Known::default();
    let port = origin.port;
    known.add(
        TOKEN,
        &format!(
            r#"{{"outbound":[{{"host":"*.test","ports":[{{"port":{port},"endPort":{port}}}]}}],"blocked":[],
            "credentials":[{{"host":"a.test","pathPrefix":"/v1","header":"Authorization","secret":{{"name":"api","key":"token"}}}}]}}"#
        ),
    );
    let names = Names::new(&[("a.test", &[&[WORLD]]), ("b.test", &[&[WORLD]])]);
    let originate = Originate::new(&[authority.to_vec()], Arc::new(Values(value))).unwrap();
    let mut proxy = Proxy::new(known.clone(), names, ranges(), BOUNDS, Metrics::default()).originates(originate);
    if let Some(check) = without {
        proxy = proxy.without(check);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(proxy), std::future::pending()));
    (address, known)
}

async fn answer(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 8192];
    let read = tokio::time::timeout(std::time::Duration::from_secs(5), stream.read(&mut buffer)).await;
    String::from_utf8_lossy(&buffer[..read.expect("an answer").unwrap_or(0)]).into_owned()
}

#[tokio::test]
async fn plain_requests_go_on_by_tls_with_the_header_and_the_client_does_not_see_it() {
    let origin = origin("a.test").await;
    let (address, known) = proxy(&origin, &origin.authority, Some("Bearer hush\n"), None).await;
    let mut stream = connect(address, TOKEN, &format!("a.test:{}", origin.port)).await.unwrap();
    let first = answer(&mut stream, "GET /v1/items HTTP/1.1\r\nHost: a.test\r\nauthorization: mine\r\n\r\n").await;
    assert!(first.contains("X-Origin: yes") && !first.contains("hush"), "{first}");
    answer(&mut stream, "DELETE /v2/items HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(
        *origin.heard.lock().unwrap(),
        format!(
            "GET /v1/items HTTP/1.1\r\nHost: a.test\r\nauthorization: {VALUE}\r\n\r\n\
             DELETE /v2/items HTTP/1.1\r\nHost: a.test\r\n\r\n"
        )
    );
    let usage = known.running(TOKEN).unwrap().account.usage();
    assert!(usage.connections == 1 && usage.bytes_received > 0 && usage.denials.is_empty());
}

/// Twice: for a proxy that compares texts, each of these gets the header.
#[tokio::test]
async fn a_path_that_a_server_could_read_as_another_one_gets_no_header() {
    for (without, sent) in [(None, false), (Some(Check::Prefix), true)] {
        for path in [
            "/v1/../admin",
            "/v1/%2e%2e/admin",
            "/v1//admin",
            "/v1/..%2fadmin",
            "/v1/..;/admin",
            "/v10",
            "/v1/%252e%252e/admin",
        ] {
            let origin = origin("a.test").await;
            let (address, _) = proxy(&origin, &origin.authority, Some(VALUE), without).await;
            let mut stream = connect(address, TOKEN, &format!("a.test:{}", origin.port)).await.unwrap();
            answer(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
            let heard = origin.heard.lock().unwrap().clone();
            assert_eq!(heard.contains("hush"), sent, "{path}: {heard}");
            assert!(heard.starts_with(&format!("GET {path} ")), "{heard}");
        }
    }
}

#[tokio::test]
async fn a_request_for_another_host_in_the_tunnel_is_cut_before_anything_is_sent() {
    let origin = origin("a.test").await;
    let (address, known) = proxy(&origin, &origin.authority, Some(VALUE), None).await;
    for request in [
        "GET /v1 HTTP/1.1\r\nHost: b.test\r\n\r\n",
        "GET http://b.test/v1 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET /v1 HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
        "POST /v2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let mut stream = connect(address, TOKEN, &format!("a.test:{}", origin.port)).await.unwrap();
        assert_eq!(answer(&mut stream, request).await, "", "{request}");
    }
    assert_eq!(*origin.heard.lock().unwrap(), "");
    assert_eq!(known.running(TOKEN).unwrap().account.usage().denials[0].reason.token(), "host-mismatch");
}

#[tokio::test]
async fn a_server_that_is_not_the_host_hears_nothing_and_the_client_is_told() {
    let (origin, other) = (origin("b.test").await, origin("a.test").await);
    for (authority, what) in [(&origin.authority, "another name"), (&other.authority, "nobody's certificate")] {
        let (address, _) = proxy(&origin, authority, Some(VALUE), None).await;
        let mut stream = connect(address, TOKEN, &format!("a.test:{}", origin.port)).await.unwrap();
        let answer = answer(&mut stream, "GET /v1 HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("ccos-reason: unreachable"), "{what}: {answer}");
    }
    assert_eq!(*origin.heard.lock().unwrap(), "");
}

#[tokio::test]
async fn without_the_value_nothing_is_sent() {
    let origin = origin("a.test").await;
    for value in [None, Some("two\nlines"), Some("")] {
        let (address, _) = proxy(&origin, &origin.authority, value, None).await;
        let mut stream = connect(address, TOKEN, &format!("a.test:{}", origin.port)).await.unwrap();
        let answer = answer(&mut stream, "GET /v1 HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("ccos-reason: not-ready"), "{answer}");
        assert!(!answer.contains("may not") && !answer.contains("lines"), "{answer}");
    }
    assert_eq!(*origin.heard.lock().unwrap(), "");
}

#[tokio::test]
async fn another_host_and_other_protocols_pass_without_it() {
    let echo = common::echo(WORLD, 0).await;
    let origin = Origin { port: echo, heard: Arc::default(), authority: Vec::new() };
    let (address, _) = proxy(&origin, b"", Some(VALUE), None).await;
    let mut stream = connect(address, TOKEN, &format!("b.test:{echo}")).await.unwrap();
    let request = "GET /v1 HTTP/1.1\r\nHost: b.test\r\n\r\n";
    assert_eq!(answer(&mut stream, request).await, request, "plain to another host");
    let mut stream = connect(address, TOKEN, &format!("a.test:{echo}")).await.unwrap();
    assert_eq!(answer(&mut stream, "\0ping").await, "\0ping", "bytes that are no HTTP");
}
