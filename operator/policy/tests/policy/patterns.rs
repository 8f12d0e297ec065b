//! What is a pattern, what is not, and what it means.

use ccos_policy::pattern::PatternError::*;
use ccos_policy::{Cidr, HostPattern, NamePattern, PathPattern, PatternError, PortRange, Reach};

fn error<T: std::str::FromStr<Err = PatternError> + std::fmt::Debug>(text: &str) -> PatternError {
    text.parse::<T>().expect_err(text)
}

#[test]
fn a_path_that_is_not_understood_is_invalid() {
    let cases = [
        ("", Empty { expected: "an absolute path" }),
        ("data", Relative { found: 'd' }),
        ("**", Relative { found: '*' }),
        ("/a[b]", Metacharacter { at: 2, found: '[' }),
        ("/a{b,c}", Metacharacter { at: 2, found: '{' }),
        (r"/a\*", Metacharacter { at: 2, found: '\\' }),
        ("/data/../etc", DotSegment { at: 6, found: ".." }),
        ("/..", DotSegment { at: 1, found: ".." }),
        ("/./a", DotSegment { at: 1, found: "." }),
        ("//a", EmptySegment { at: 1 }),
        ("/a//b", EmptySegment { at: 3 }),
        ("//", EmptySegment { at: 1 }),
        ("/a/", TrailingSlash { at: 2 }),
        ("/é/", TrailingSlash { at: 2 }),
        ("/a\0", Control { at: 2, found: '\0' }),
        ("/a\x1b[31m", Control { at: 2, found: '\x1b' }),
        ("/a\x7f", Control { at: 2, found: '\x7f' }),
        ("/data**", PartialDoubleStar { at: 1, found: "data**".to_owned() }),
        ("/a/***", PartialDoubleStar { at: 3, found: "***".to_owned() }),
        ("/*/*/*/*/*", TooManyWildcards { found: 5 }),
        ("/a?b?c?/*/**", TooManyWildcards { found: 5 }),
    ];
    for (text, expected) in cases {
        assert_eq!(error::<PathPattern>(text), expected, "{text:?}");
    }
    assert_eq!(error::<PathPattern>(&"/a".repeat(33)), TooManySegments { found: 33 });
    assert_eq!(error::<PathPattern>(&format!("/{}", "a".repeat(1024))), TooLong { found: 1025 });
}

#[test]
fn a_path_shows_as_it_was_written() {
    for text in ["/", "/**", "/data", "/data/**", "/a/*.csv", "/a/**/b?", "/...", "/.git", "/a b", "/é"] {
        assert_eq!(text.parse::<PathPattern>().unwrap().to_string(), text);
    }
    assert!("/a".repeat(32).parse::<PathPattern>().is_ok());
}

#[test]
fn a_literal_is_a_path_with_all_below_it() {
    let cases = [
        ("/", Some("/"), "/"),
        ("/**", Some("/"), "/"),
        ("/data", Some("/data"), "/data"),
        ("/data/**", Some("/data"), "/data"),
        ("/data/x/*", None, "/data/x"),
        ("/da*a/x", None, "/"),
        ("/a/**/b", None, "/a"),
        ("/a/**/**", None, "/a"),
        ("/a/b?/**", None, "/a"),
    ];
    for (text, literal, base) in cases {
        let pattern: PathPattern = text.parse().unwrap();
        assert_eq!(pattern.literal(), literal, "{text}");
        assert_eq!(pattern.literal_base(), base, "{text}");
    }
}

#[test]
fn a_path_matches_by_whole_segments() {
    let yes = [
        ("/", "/"),
        ("/", "/etc"),
        ("/data", "/data"),
        ("/data", "/data/x/y"),
        ("/data/**", "/data"),
        ("/data/**", "/data/x"),
        ("/data/*.csv", "/data/.csv"),
        ("/a/**/b", "/a/b"),
        ("/a/**/b", "/a/x/y/b"),
        ("/a/?", "/a/é"),
        ("/a/*/**", "/a/x"),
        // What lies below a match of a glob is meant, too.
        ("/data/*.csv", "/data/x.csv/y"),
        ("/a/**/b", "/a/b/c"),
        ("/a/*", "/a/x/y/z"),
    ];
    let no = [
        ("/data", "/database"),
        ("/data", "/"),
        ("/data", "/Data"),
        ("/data/**", "/database"),
        ("/data/*.csv", "/data/x/y.csv"),
        ("/a/**/b", "/a/xb"),
        ("/a/*", "/a"),
        ("/a/?", "/a/xy"),
        ("/a/?", "/a"),
        ("/a/*/**", "/a"),
        ("/e\u{301}", "/é"),
    ];
    for (pattern, path) in yes {
        assert!(pattern.parse::<PathPattern>().unwrap().matches(Reach::Below, path), "{pattern} means {path}");
    }
    for (pattern, path) in no {
        assert!(!pattern.parse::<PathPattern>().unwrap().matches(Reach::Below, path), "{pattern} does not mean {path}");
    }
}

#[test]
fn a_program_is_a_file_unless_all_below_a_folder_is_meant() {
    let yes = [
        ("/app/run", "/app/run"),
        ("/app/*", "/app/run"),
        ("/app/**", "/app/x/run"),
        ("/app/**", "/app"),
        ("/**", "/x"),
    ];
    let no = [("/app", "/app/run"), ("/app/*", "/app/x/run"), ("/app/*", "/app"), ("/", "/x"), ("/**/run", "/run/x")];
    for (pattern, path) in yes {
        assert!(pattern.parse::<PathPattern>().unwrap().matches(Reach::Itself, path), "{pattern} means {path}");
    }
    for (pattern, path) in no {
        assert!(
            !pattern.parse::<PathPattern>().unwrap().matches(Reach::Itself, path),
            "{pattern} does not mean {path}"
        );
    }
}

#[test]
fn a_host_that_is_not_understood_is_invalid() {
    let address = |found: &str| AddressAsHost { found: found.to_owned() };
    let numeric = |found: &str| NumericHost { found: found.to_owned() };
    let idna = |found: &str| Idna { found: found.to_owned() };
    let cases = [
        ("*", BareStar),
        ("*.", BareStar),
        ("**.com", StarInHost { at: 0 }),
        ("foo.*.com", StarInHost { at: 4 }),
        ("*.*.com", StarInHost { at: 2 }),
        ("api*.com", StarInHost { at: 3 }),
        ("example.com:443", PortInHost { at: 11 }),
        ("*.example.com:443", PortInHost { at: 13 }),
        ("https://example.com", NotAHost { at: 5, found: ':' }),
        ("example.com/v1", NotAHost { at: 11, found: '/' }),
        ("me@example.com", NotAHost { at: 2, found: '@' }),
        ("exa mple.com", NotAHost { at: 3, found: ' ' }),
        ("a_b.com", NotAHost { at: 1, found: '_' }),
        ("127.0.0.1", address("127.0.0.1")),
        ("::1", address("::1")),
        ("[::1]", address("[::1]")),
        ("*.10.0.0.1", address("10.0.0.1")),
        ("１２７.0.0.1", address("127.0.0.1")),
        ("2130706433", numeric("2130706433")),
        ("0x7f.1", numeric("1")),
        ("0X7F000001", numeric("0x7f000001")),
        ("017700000001", numeric("017700000001")),
        ("example.0x", numeric("0x")),
        ("127.0.0.1.", numeric("1")),
        ("a..b", idna("a..b")),
        (".", idna(".")),
        ("-a.com", idna("-a.com")),
        ("a-.com", idna("a-.com")),
        ("xn--a.com", idna("xn--a.com")),
    ];
    for (text, expected) in cases {
        let found = error::<HostPattern>(text);
        // The trailing dot of an address may be dropped first: either says "write a cidr".
        if text == "127.0.0.1." {
            assert!(found.to_string().contains("write a cidr"), "{found}");
        } else {
            assert_eq!(found, expected, "{text}");
        }
    }
    assert!(matches!(error::<HostPattern>(&format!("{}.com", "a".repeat(64))), Idna { .. }));
    assert!(matches!(error::<HostPattern>(&["a".repeat(63).as_str(); 4].join(".")), Idna { .. }));
}

#[test]
fn a_host_is_normalised() {
    let cases = [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("*.Example.com.", "*.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("faß.de", "xn--fa-hia.de"),
        ("example。com", "example.com"),
        ("localhost", "localhost"),
        ("r3---sn-x.googlevideo.com", "r3---sn-x.googlevideo.com"),
        ("1.example.com", "1.example.com"),
        ("*.com", "*.com"),
        ("0xg.x0", "0xg.x0"),
    ];
    for (text, expected) in cases {
        let host: HostPattern = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(host.to_string(), expected);
        assert_eq!(expected.parse::<HostPattern>().unwrap(), host, "Display undoes FromStr");
    }
}

#[test]
fn a_domain_means_its_apex_and_any_depth_by_whole_labels() {
    let domain: HostPattern = "*.example.com".parse().unwrap();
    for (host, expected) in [
        ("example.com", true),
        ("a.example.com", true),
        ("a.b.example.com", true),
        ("badexample.com", false),
        ("com", false),
        ("example.com.evil.org", false),
    ] {
        assert_eq!(domain.matches(&host.parse().unwrap()), expected, "{host}");
    }
}

#[test]
fn a_block_that_is_not_understood_is_invalid() {
    let cases = [
        ("10.0.0.1", NoPrefix { single: "10.0.0.1/32".to_owned() }),
        ("::1", NoPrefix { single: "::1/128".to_owned() }),
        ("::ffff:10.0.0.1", NoPrefix { single: "10.0.0.1/32".to_owned() }),
        ("10.0.0.1/8", HostBits { found: "10.0.0.1/8".to_owned(), masked: "10.0.0.0/8".to_owned() }),
        ("10.0.0.0/+8", NotACidr { found: "10.0.0.0/+8".to_owned() }),
        ("10.0.0.0/33", NotACidr { found: "10.0.0.0/33".to_owned() }),
        ("010.0.0.0/8", NotACidr { found: "010.0.0.0/8".to_owned() }),
        ("example.com", NotACidr { found: "example.com".to_owned() }),
    ];
    for (text, expected) in cases {
        assert_eq!(error::<Cidr>(text), expected, "{text}");
    }
}

#[test]
fn a_mapped_address_is_the_ipv4_address() {
    let mapped: Cidr = "::ffff:10.0.0.0/104".parse().unwrap();
    assert_eq!(mapped.to_string(), "10.0.0.0/8");
    assert!(mapped.contains("10.1.2.3".parse().unwrap()));
    assert!(mapped.contains("::ffff:10.1.2.3".parse().unwrap()));
    assert!(!"::/0".parse::<Cidr>().unwrap().contains("::ffff:10.1.2.3".parse().unwrap()));
}

#[test]
fn a_name_that_is_not_understood_is_invalid() {
    let cases = [
        ("1A", NotAName { at: 0, found: '1' }),
        ("A-B", NotAName { at: 1, found: '-' }),
        ("A=B", NotAName { at: 1, found: '=' }),
        ("é", NotAName { at: 0, found: 'é' }),
        ("A*B*C*D*E*", TooManyWildcards { found: 5 }),
        ("", Empty { expected: "the name of an environment variable" }),
    ];
    for (text, expected) in cases {
        assert_eq!(error::<NamePattern>(text), expected, "{text}");
    }
}

#[test]
fn a_name_matches_as_a_whole() {
    for (pattern, name, expected) in [
        ("LANG", "LANG", true),
        ("LANG", "LANGUAGE", false),
        ("LANG", "lang", false),
        ("APP_*", "APP_", true),
        ("APP_*", "APP_MODE", true),
        ("APP_*", "XAPP_", false),
        ("*_KEY", "A_KEY_KEY", true),
        ("A?C", "ABC", true),
        ("A?C", "AC", false),
        ("*", "1A", false),
        ("*", "", false),
        ("*", "A B", false),
    ] {
        assert_eq!(pattern.parse::<NamePattern>().unwrap().matches(name), expected, "{pattern} {name}");
    }
}

#[test]
fn a_port_is_from_1_to_65535() {
    for text in ["0", "65536", "", "a", "+1", "01", "-1", "1-", "0-5"] {
        assert!(matches!(error::<PortRange>(text), NotAPort { .. }), "{text}");
    }
    assert_eq!(error::<PortRange>("9-8"), ReversedPorts { first: 9, last: 8 });
    for text in ["443", "8000-8080", "1-65535"] {
        assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
    }
}

#[test]
fn an_error_says_what_was_expected_and_what_was_found() {
    for (error, expected) in [
        (error::<PathPattern>("/a[b]"), "expected only the wildcards `*`, `?` and `**`, but found '[' at 2"),
        (error::<Cidr>("10.0.0.1/8"), "expected the first address of the block, 10.0.0.0/8, but found 10.0.0.1/8"),
        (error::<HostPattern>("127.0.0.1"), "expected a host name, but found the address \"127.0.0.1\"; write a cidr"),
    ] {
        assert_eq!(error.to_string(), expected);
    }
}
