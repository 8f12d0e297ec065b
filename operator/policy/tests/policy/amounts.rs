//! Amounts, as users write them.

use ccos_policy::AmountError::*;
use ccos_policy::limits::amount::MAX;
use ccos_policy::{AmountError, Bytes, Cores, Millis};
use proptest::prelude::*;

#[test]
fn bytes_are_kubernetes_quantities() {
    for (text, bytes, shown) in [
        ("512Mi", 512 << 20, "512Mi"),
        ("2Gi", 2 << 30, "2Gi"),
        ("2048Mi", 2 << 30, "2Gi"),
        ("1.5Gi", 3 << 29, "1536Mi"),
        ("0.5Ki", 512, "512"),
        ("1000", 1000, "1000"),
        ("1k", 1000, "1000"),
        ("1M", 1_000_000, "1000000"),
        ("1Ti", 1 << 40, "1024Gi"),
        ("1.50", 0, ""),
        ("9007199254740991", MAX, "9007199254740991"),
    ] {
        match text.parse::<Bytes>() {
            Ok(parsed) => assert_eq!((parsed.0, parsed.to_string().as_str()), (bytes, shown), "{text}"),
            Err(error) => assert_eq!((error, bytes), (Fraction { unit: "bytes", found: text.to_owned() }, 0)),
        }
    }
}

#[test]
fn what_is_not_bytes_is_an_error() {
    let not = |found: &str| NotBytes { found: found.to_owned() };
    for text in ["", "Mi", "1m", "100m", "1e3", "-1", "+1", "1 Mi", "1mi", "1KB", "1.Mi", ".5Gi", "1.2.3", "0x10"] {
        assert_eq!(text.parse::<Bytes>(), Err(not(text)), "{text}");
    }
    assert_eq!("0".parse::<Bytes>(), Err(Zero { found: "0".to_owned() }));
    assert_eq!("0.0Gi".parse::<Bytes>(), Err(Zero { found: "0.0Gi".to_owned() }));
    for text in ["9007199254740992", "9223372036854775808", "99999999999Ti", "340282366920938463463374607431768211456"]
    {
        assert_eq!(text.parse::<Bytes>(), Err(TooLarge { found: text.to_owned() }));
    }
}

#[test]
fn cores_are_kubernetes_quantities() {
    for (text, millis, shown) in
        [("500m", 500, "500m"), ("2", 2000, "2"), ("0.5", 500, "500m"), ("1.25", 1250, "1250m"), ("1000m", 1000, "1")]
    {
        let cores: Cores = text.parse().unwrap();
        assert_eq!((cores.millis, cores.to_string().as_str()), (millis, shown));
    }
    for (text, error) in [
        ("0.0001", Fraction { unit: "thousandths of a core", found: "0.0001".to_owned() }),
        ("0m", Zero { found: "0m".to_owned() }),
        ("m", NotCores { found: "m".to_owned() }),
        ("2 cores", NotCores { found: "2 cores".to_owned() }),
    ] {
        assert_eq!(text.parse::<Cores>(), Err(error));
    }
}

#[test]
fn durations_are_those_of_the_gateway_api() {
    for (text, millis, shown) in [
        ("90s", 90_000, "1m30s"),
        ("1m30s", 90_000, "1m30s"),
        ("250ms", 250, "250ms"),
        ("1h", 3_600_000, "1h"),
        ("1h1m1s1ms", 3_661_001, "1h1m1s1ms"),
        ("30s1h", 3_630_000, "1h30s"),
        ("99999h", 359_996_400_000, "99999h"),
    ] {
        let time: Millis = text.parse().unwrap();
        assert_eq!((time.0, time.to_string().as_str()), (millis, shown));
    }
    for text in ["", "5", "s", "1.5s", "1d", "100000s", "1h1h1h1h1h", "-1s", "1s ", "1us"] {
        assert_eq!(text.parse::<Millis>(), Err(NotDuration { found: text.to_owned() }), "{text}");
    }
    assert_eq!("0s".parse::<Millis>(), Err(Zero { found: "0s".to_owned() }));
}

#[test]
fn an_error_says_what_was_expected() {
    let error: AmountError = "1m".parse::<Bytes>().unwrap_err();
    assert_eq!(error.to_string(), "expected bytes such as 512Mi, 1.5Gi or 1000000, but found \"1m\"");
}

proptest! {
    #[test]
    fn display_can_be_parsed_again(amount in 1..=MAX, millis in 1_u64..359_996_400_000) {
        prop_assert_eq!(Bytes(amount).to_string().parse(), Ok(Bytes(amount)));
        prop_assert_eq!(Cores { millis: amount }.to_string().parse(), Ok(Cores { millis: amount }));
        prop_assert_eq!(Millis(millis).to_string().parse(), Ok(Millis(millis)));
    }
}
