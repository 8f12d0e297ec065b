//! Headers that the egress proxy adds for the code: which, and to which requests. Shared by admission and the proxy, so that
//! what one takes the other understands.

use serde::{Deserialize, Serialize};

/// A header that is added to requests to one host, below one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    /// One name; no pattern.
    pub host: String,
    /// As [`PathPrefix`] reads it.
    pub path_prefix: String,
    /// As [`header`] reads it.
    pub header: String,
    /// Where its value is, in the namespace of the pod.
    pub secret: SecretKey,
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// The Secret.
    pub name: String,
    /// The key.
    pub key: String,
}

/// Headers that say where a request ends, whose it is, or what is on its way only.
const NOT_TO_SET: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// A header that may be set, in lower case.
/// # Errors
/// What it should be.
pub fn header(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let name = text.to_ascii_lowercase();
    if !fits {
        return Err("expected letters, digits and -");
    }
    if NOT_TO_SET.contains(&name.as_str()) {
        return Err("this header says how a request is sent; choose another one");
    }
    Ok(name)
}

/// A path and all below it, by whole segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix(Vec<String>);

impl PathPrefix {
    /// `/` is every path.
    /// # Errors
    /// What it should be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let segments = plain(text.as_bytes()).filter(|_| !text.contains('%'));
        let mut segments = segments.ok_or("expected a path such as /v1, without %, ;, \\, //, . and ..")?;
        if segments.last().is_some_and(String::is_empty) {
            segments.pop();
        }
        Ok(Self(segments))
    }

    /// Whether a path can be below both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }

    /// Whether this path of a request, without its query, is below the prefix for every server, however it reads paths. One
    /// that some server could read as another path is not: `..` in any spelling, empty segments, encoded slashes, parameters.
    #[must_use]
    pub fn has(&self, path: &[u8]) -> bool {
        plain(path).is_some_and(|segments| segments.starts_with(&self.0))
    }
}

/// The segments of a path that has one reading.
fn plain(path: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(path).ok()?.strip_prefix('/')?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b";\\#?".contains(&byte)) || !decodes(text) {
        return None;
    }
    let segments: Vec<String> = text.split('/').map(str::to_owned).collect();
    let (last, others) = segments.split_last()?;
    let odd = |segment: &String| matches!(segment.as_str(), "." | "..");
    (others.iter().all(|segment| !segment.is_empty()) && !segments.iter().any(odd) && !odd(last)).then_some(segments)
}

/// Whether each `%` begins an encoded byte that means nothing in a path, however often it is decoded.
fn decodes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| byte >= b' ' && byte != 0x7f && !b"./\\;%?#".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_whole_segments() {
        let v1 = PathPrefix::parse("/v1").unwrap();
        assert_eq!(PathPrefix::parse("/v1/"), Ok(v1.clone()));
        for path in
            ["/v1", "/v1/", "/v1/x", "/v1/x/y.json", "/v1/a%20b", "/v1/%C3%A4", "/v1/...", "/v1/.x", "/v1/x:y@z"]
        {
            assert!(v1.has(path.as_bytes()), "{path}");
        }
        for path in ["/", "/v10", "/v", "/V1", "v1", "", "/x/v1", "*"] {
            assert!(!v1.has(path.as_bytes()), "{path}");
        }
        let all = PathPrefix::parse("/").unwrap();
        assert!(all.overlaps(&v1) && v1.overlaps(&all) && !v1.overlaps(&PathPrefix::parse("/v10").unwrap()));
        assert!(all.has(b"/") && all.has(b"/x/") && !all.has(b"/../x") && !all.has(b"*"));
    }

    #[test]
    fn a_path_that_could_be_read_as_another_is_below_no_prefix() {
        let v1 = PathPrefix::parse("/v1").unwrap();
        for path in [
            "/v1/../admin",
            "/v1/..",
            "/v1/./x",
            "/v1/.",
            "/v1//admin",
            "//v1/x",
            "/v1/%2e%2e/admin",
            "/v1/%2E./admin",
            "/v1/.%2e/admin",
            "/v1/..%2fadmin",
            "/v1/..%5cadmin",
            "/v1/..\\admin",
            "/v1/..;/admin",
            "/v1;/../admin",
            "/v1/%252e%252e/admin",
            "/v1/x%00",
            "/v1/%0d%0ax",
            "/v1/%",
            "/v1/%2",
            "/v1/%zz",
            "/v1/x#/../y",
            "/v1/x?y",
            "/v1/ä",
            "/%76%31/%2e%2e/x",
            "/v1/%3b/..%3b/x",
            "/v1/\u{7f}",
        ] {
            assert!(!v1.has(path.as_bytes()), "{path}");
        }
        for text in ["", "v1", "/v1/..", "/v1//x", "/v1?x", "/%76", "/v1;x", "/v 1", "/ä"] {
            assert!(PathPrefix::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_header_is_one_that_is_the_requests_own() {
        assert_eq!(header("Authorization"), Ok("authorization".to_owned()));
        assert_eq!(header("X-Api-Key"), Ok("x-api-key".to_owned()));
        for text in ["", "Host", "content-length", "Transfer-Encoding", "connection", "X Y", "X:", "X_Y", "X\r\nY", "ä"]
        {
            assert!(header(text).is_err(), "{text}");
        }
    }
}
