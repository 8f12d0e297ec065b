//! Amounts as users write them: Kubernetes quantities and Gateway API durations. None is zero: absent means "inherit",
//! and zero would mean "never starts".

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{Bytes, Cores, Millis};

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Not an amount of bytes.
    #[error("expected bytes such as 512Mi, 1.5Gi or 1000000, but found {found:?}")]
    NotBytes {
        /// The text.
        found: String,
    },
    /// Not an amount of CPU.
    #[error("expected cores such as 500m, 2 or 0.5, but found {found:?}")]
    NotCores {
        /// The text.
        found: String,
    },
    /// Not a span of time.
    #[error(
        "expected a duration such as 90s, 1h30m or 250ms (up to 5 digits a unit, up to 4 units), but found {found:?}"
    )]
    NotDuration {
        /// The text.
        found: String,
    },
    /// A part of a byte, or of a thousandth of a core.
    #[error("expected a whole number of {unit}, but found {found:?}")]
    Fraction {
        /// What can't be split.
        unit: &'static str,
        /// The text.
        found: String,
    },
    /// Nothing.
    #[error("expected more than zero, but found {found:?}; leave the field out to inherit the limit")]
    Zero {
        /// The text.
        found: String,
    },
    /// More than [`MAX`].
    #[error("expected at most 2^53-1 in the smallest unit, but found {found:?}")]
    TooLarge {
        /// The text.
        found: String,
    },
}

/// The largest amount. What is admitted is hashed as RFC 8785 JSON, whose numbers are doubles: beyond this, two different
/// limits could have one digest. 8 PiB of memory are enough.
pub const MAX: u64 = (1 << 53) - 1;

/// Digits after the point: one more could only be zero or a fraction of a byte.
const MAX_DECIMALS: usize = 18;

/// A decimal number times a unit, whole and above zero.
fn scaled(text: &str, number: &str, unit: u128, malformed: AmountError, of: &'static str) -> Result<u64, AmountError> {
    let (whole, decimals) = number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || decimals.is_some_and(|decimals| !is_digits(decimals)) {
        return Err(malformed);
    }
    let found = || text.to_owned();
    let decimals = decimals.unwrap_or_default().trim_end_matches('0');
    if decimals.len() > MAX_DECIMALS {
        return Err(AmountError::Fraction { unit: of, found: found() });
    }
    let too_large = || AmountError::TooLarge { found: found() };
    let divisor = decimals.bytes().fold(1_u128, |divisor, _| divisor * 10);
    let digits: u128 = format!("{whole}{decimals}").parse().map_err(|_| too_large())?;
    let scaled = digits.checked_mul(unit).ok_or_else(too_large)?;
    if scaled % divisor != 0 {
        return Err(AmountError::Fraction { unit: of, found: found() });
    }
    match u64::try_from(scaled / divisor) {
        Ok(0) => Err(AmountError::Zero { found: found() }),
        Ok(amount) if amount <= MAX => Ok(amount),
        Ok(_) | Err(_) => Err(too_large()),
    }
}

impl FromStr for Bytes {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let malformed = AmountError::NotBytes { found: text.to_owned() };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        // Not `m`: a thousandth of a byte is what people write who mean `M`.
        let unit: u128 = match suffix {
            "" => 1,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            _ => return Err(malformed),
        };
        scaled(text, number, unit, malformed, "bytes").map(Self)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        for (unit, suffix) in [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")] {
            if bytes > 0 && bytes % unit == 0 {
                return write!(f, "{}{suffix}", bytes / unit);
            }
        }
        write!(f, "{bytes}")
    }
}

impl FromStr for Cores {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let malformed = AmountError::NotCores { found: text.to_owned() };
        let (number, unit) = text.strip_suffix('m').map_or((text, 1000), |millis| (millis, 1));
        scaled(text, number, unit, malformed, "thousandths of a core").map(|millis| Self { millis })
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { millis } = *self;
        if millis % 1000 == 0 { write!(f, "{}", millis / 1000) } else { write!(f, "{millis}m") }
    }
}

/// Milliseconds of each unit, the largest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Millis {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let malformed = || AmountError::NotDuration { found: text.to_owned() };
        let (mut rest, mut total) = (text, 0_u64);
        for _ in 0..UNITS.len() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (name, after) = after.split_at(letters);
            let unit = UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, millis)| millis).ok_or_else(malformed)?;
            if number.len() > 5 {
                return Err(malformed());
            }
            // At most 4 × 99999 h: far from overflow.
            total += number.parse::<u64>().map_err(|_| malformed())? * unit;
            rest = after;
            if rest.is_empty() {
                return if total == 0 { Err(AmountError::Zero { found: text.to_owned() }) } else { Ok(Self(total)) };
            }
        }
        Err(malformed())
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(mut rest) = *self;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in UNITS {
            if rest >= millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}
