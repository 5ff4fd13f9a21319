//! Times as providers write them, in milliseconds since 1970.

use serde::{Deserialize, Serialize};

/// How a provider writes times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeFormat {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// `2026-01-31T12:00:00Z`, with or without fractions (RFC 3339).
    Rfc3339,
}

impl TimeFormat {
    /// Reads a time; `None` if it is none.
    pub(super) fn read(self, text: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(text).ok()?;
        let number = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
        match self {
            Self::Seconds => number()?.checked_mul(1_000),
            Self::Milliseconds => number(),
            Self::Rfc3339 => rfc3339(text),
        }
    }
}

/// Years 1970 to 9999; leap seconds count as the second after.
fn rfc3339(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // The ranges above are there, so these places are.
    let separators = bytes[4] == b'-' && bytes[7] == b'-' && bytes[13] == b':' && bytes[16] == b':';
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !separators || !in_range || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("", rest),
    };
    let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s(zone)?;
    u64::try_from(seconds * 1_000 + padded.parse::<i64>().ok()?).ok()
}

/// `Z`, `+01:00` or `-0730` in seconds.
fn offset_s(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let digits: String = zone.get(1..)?.chars().filter(|c| *c != ':').collect();
    let number: i64 = digits.parse().ok().filter(|_| digits.len() == 4)?;
    Some(sign * (number / 100 * 3_600 + number % 100 * 60))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March here, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(TimeFormat::Seconds.read(b"1700000000"), Some(1_700_000_000_000));
        assert_eq!(TimeFormat::Milliseconds.read(b"1700000000123"), Some(1_700_000_000_123));
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2022-07-13T20:30:59.037339943Z", 1_657_744_259_037),
            ("2024-02-29T23:59:59+01:00", 1_709_247_599_000),
            ("2000-03-01 00:00:00.5-0730", 951_895_800_500),
        ] {
            assert_eq!(TimeFormat::Rfc3339.read(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in ["", "+1", "-1", "1.5", "1e9", " 1", "99999999999999999999"] {
            assert_eq!(TimeFormat::Seconds.read(wrong.as_bytes()), None, "{wrong}");
        }
        for wrong in [
            "",
            "2024",
            "2024-13-01T00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Q",
            "1969-01-01T00:00:00Z",
        ] {
            assert_eq!(TimeFormat::Rfc3339.read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
