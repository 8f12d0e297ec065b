//! The report on its way to the operator, while the pod still runs: the kubelet tells of its end one or two seconds
//! late, and a termination message has no room for a large result.
//!
//! By then the workload is gone. What can't be delivered is still in the termination message, but for a large result:
//! that is lost then, and the end says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ccos_profile::{Delivery, End, INLINE_RESULT_LIMIT, Report, ReportTo, place};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// For a report that the termination message can replace.
const SHORT: Duration = Duration::from_secs(2);

/// For one with a large result. Well below the time that the pod has after its wall time.
const LONG: Duration = Duration::from_secs(20);

/// Between two tries: another replica may lead by then.
const PAUSE: Duration = Duration::from_millis(50);

/// For the first connection; each later one has twice as long. Network policies of a new pod are applied late, and what is
/// dropped until then would be sent again only after a second.
const CONNECT: Duration = Duration::from_millis(250);

/// Of an answer that is shown in a message.
const MOST_ANSWER_BYTES: u64 = 4096;

/// Why a report was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The result does not fit what the capability promises; the text says where.
    Unfit(String),
    /// Any other: nobody has it.
    Lost(String),
}

/// Delivers, if there is somebody to deliver to, and makes of it what the termination message will say. `post` sends a
/// text, and tries again for as long as it is told to.
#[must_use]
pub fn deliver<P>(delivery: Delivery, post: Option<P>) -> Report
where
    P: FnOnce(&str, Duration) -> Result<(), Refusal>,
{
    let large = delivery.result.as_ref().map(String::len);
    let sent = match post {
        None => Err(Refusal::Lost(format!("only {INLINE_RESULT_LIMIT} have room where the operator takes no reports"))),
        Some(post) => serde_json::to_string(&delivery)
            .map_err(|error| Refusal::Lost(error.to_string()))
            .and_then(|text| post(&text, if large.is_some() { LONG } else { SHORT })),
    };
    let Delivery { report, result: _ } = delivery;
    match (sent, large) {
        (Ok(()), _) | (Err(Refusal::Lost(_)), None) => report,
        (Err(Refusal::Unfit(why)), _) => without_result(report, End::InvalidResult, why),
        (Err(Refusal::Lost(why)), Some(size)) => {
            without_result(report, End::ResultTooLarge, format!("a result of {size} bytes was lost: {why}"))
        }
    }
}

fn without_result(report: Report, end: End, message: String) -> Report {
    Report { end, message, result: None, result_digest: None, ..report }
}

/// Sends a text to the operator's endpoint, again and again until it is taken, refused for good, or `patience` is over.
///
/// # Errors
/// [`Refusal`].
pub fn post(to: &ReportTo, text: &str, patience: Duration) -> Result<(), Refusal> {
    let deadline = Instant::now() + patience;
    let agent = agent(to)?;
    let mut connect = CONNECT;
    loop {
        match attempt(&agent, to, text, connect, deadline) {
            Ok(answer) => return answer,
            Err(why) if Instant::now() + PAUSE >= deadline => return Err(Refusal::Lost(why)),
            Err(_) => std::thread::sleep(PAUSE),
        }
        connect = connect.saturating_mul(2);
    }
}

/// An agent that believes one certificate, follows nothing and asks no proxy.
fn agent(to: &ReportTo) -> Result<ureq::Agent, Refusal> {
    let certificate = Certificate::from_pem(to.certificate.as_bytes())
        .map_err(|error| Refusal::Lost(format!("report.certificate: {error}")))?;
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(vec![certificate.to_owned()])))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .build();
    Ok(config.new_agent())
}

/// One try. The outer error is worth another.
fn attempt(
    agent: &ureq::Agent,
    to: &ReportTo,
    text: &str,
    connect: Duration,
    deadline: Instant,
) -> Result<Result<(), Refusal>, String> {
    // Each time: the kubelet renews it.
    let token =
        std::fs::read_to_string(place::REPORT_TOKEN).map_err(|error| format!("{}: {error}", place::REPORT_TOKEN))?;
    let answer = agent
        .post(format!("https://{}/v1/report", to.address))
        .header("Authorization", format!("Bearer {}", token.trim()))
        .header("Content-Type", "application/json")
        .config()
        .timeout_connect(Some(connect))
        .timeout_global(Some(deadline.saturating_duration_since(Instant::now())))
        .build()
        .send(text);
    let mut answer = answer.map_err(|error| format!("{}: {error}", to.address))?;
    let status = answer.status().as_u16();
    let mut said = || {
        let text = answer.body_mut().with_config().limit(MOST_ANSWER_BYTES).read_to_string();
        text.unwrap_or_else(|error| error.to_string())
    };
    match status {
        200 => Ok(Ok(())),
        422 => Ok(Err(Refusal::Unfit(said()))),
        // Not heard, or not understood yet: a cache that is behind, a token that can't be verified now.
        401 | 404 | 429 | 500.. => Err(format!("{}: {status}: {}", to.address, said())),
        _ => Ok(Err(Refusal::Lost(format!("{}: {status}: {}", to.address, said())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::failed;

    fn given(result: Option<&str>) -> Delivery {
        let Delivery { report, .. } = failed(End::Completed, String::new());
        let result_digest = result.map(|text| ccos_profile::digest(text.as_bytes()));
        Delivery { report: Report { result_digest, ..report }, result: result.map(str::to_owned) }
    }

    type Post = fn(&str, Duration) -> Result<(), Refusal>;
    const NOBODY: Option<Post> = None;

    #[test]
    fn what_is_delivered_is_whole() {
        let large = given(Some("[1]"));
        let mut sent = None;
        let report = deliver(
            large.clone(),
            Some(|text: &str, patience| {
                sent = Some((serde_json::from_str::<Delivery>(text).unwrap(), patience));
                Ok(())
            }),
        );
        assert_eq!((report, sent), (large.report.clone(), Some((large, LONG))));
    }

    #[test]
    fn a_large_result_that_is_lost_is_no_success() {
        let report = deliver(given(Some("[1]")), NOBODY);
        assert_eq!((report.end, report.result_digest), (End::ResultTooLarge, None), "{}", report.message);
        let lost = |_: &str, _| Err(Refusal::Lost("nobody listens".to_owned()));
        let report = deliver(given(Some("[1]")), Some(lost));
        assert_eq!(report.message, "a result of 3 bytes was lost: nobody listens");
    }

    #[test]
    fn a_small_report_needs_no_delivery() {
        assert_eq!(deliver(given(None), NOBODY), given(None).report);
        let lost = |_: &str, patience| {
            assert_eq!(patience, SHORT);
            Err(Refusal::Lost("nobody listens".to_owned()))
        };
        assert_eq!(deliver(given(None), Some(lost)), given(None).report);
    }

    #[test]
    fn a_result_that_does_not_fit_is_not_kept() {
        let unfit = |_: &str, _| Err(Refusal::Unfit("result/a: too long".to_owned()));
        let report = deliver(given(Some("[1]")), Some(unfit));
        let expected = (End::InvalidResult, "result/a: too long", None);
        assert_eq!((report.end, report.message.as_str(), report.result_digest), expected);
    }

    #[test]
    fn nobody_but_the_certificates_owner_is_believed() {
        let to = ReportTo { address: "127.0.0.1:9".parse().unwrap(), certificate: "no certificate".to_owned() };
        let refusal = post(&to, "{}", Duration::ZERO).unwrap_err();
        assert!(matches!(&refusal, Refusal::Lost(why) if why.starts_with("report.certificate: ")), "{refusal:?}");
    }
}
