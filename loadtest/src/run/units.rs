//! Quantities as people write them: `10s`, `250ms`, `128..512`, `32KiB`, `5%`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    Number,
    /// Milliseconds.
    Milliseconds,
    /// Bytes.
    Bytes,
    /// Percent.
    Percent,
}

/// Splits `12.5ms` into the number and the unit.
pub(super) fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    let at = text.find(|c| !is_number(c)).unwrap_or(text.len());
    let number = text[..at].replace('_', "");
    let number = number.parse().map_err(|_| format!("`{text}` does not begin with a number"))?;
    Ok((number, text[at..].trim()))
}

/// A span of time in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Span(pub f64);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text)?;
        let factor = match unit {
            "" | "s" => 1.0,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(format!("`{unit}` is no unit of time; there are us, ms, s, m and h")),
        };
        if number < 0.0 {
            return Err("a span of time is not negative".into());
        }
        Ok(Self(number * factor))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0.0 && self.0 < 1.0 { write!(f, "{}ms", self.0 * 1e3) } else { write!(f, "{}s", self.0) }
    }
}

/// Payload sizes in bytes, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The smallest.
    pub min: usize,
    /// The largest.
    pub max: usize,
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let size = |text: &str| Bytes::from_str(text).map(|Bytes(size)| size);
        let sizes = Self { min: size(min)?, max: size(max)? };
        if sizes.min > sizes.max { Err(format!("`{text}` ends before it begins")) } else { Ok(sizes) }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { write!(f, "{}", self.min) } else { write!(f, "{}..{}", self.min, self.max) }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub usize);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text)?;
        let factor = match unit.trim_end_matches("/s") {
            "" | "B" => 1.0,
            "KiB" => 1024.0,
            "MiB" => 1024.0 * 1024.0,
            "kB" => 1000.0,
            "MB" => 1e6,
            _ => return Err(format!("`{unit}` is no unit of size; there are B, KiB, MiB, kB and MB")),
        };
        usize::try_from(crate::clock::whole(number * factor)).map(Self).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A share of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = match split(text)? {
            (number, "%") => number / 100.0,
            (number, "") => number,
            (_, unit) => return Err(format!("`{unit}` is no unit of a share; write 5% or 0.05")),
        };
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err("a share is from 0 to 100%".into()) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0 * 100.0)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Whole(u64),
    Number(f64),
}

macro_rules! written_as_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = match Written::deserialize(deserializer)? {
                    Written::Text(text) => text,
                    Written::Whole(number) => number.to_string(),
                    Written::Number(number) => number.to_string(),
                };
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

written_as_text!(Span, Sizes, Bytes, Share);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["10s", "250ms", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("2m".parse(), Ok(Span(120.0)));
        assert_eq!("128..1KiB".parse(), Ok(Sizes { min: 128, max: 1024 }));
        assert_eq!("32KiB/s".parse(), Ok(Bytes(32_768)));
        assert_eq!("5%".parse(), Ok(Share(0.05)));
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        assert!("10 parsecs".parse::<Span>().unwrap_err().contains("parsecs"));
        assert!("9..1".parse::<Sizes>().is_err());
        assert!("120%".parse::<Share>().is_err());
        assert!("".parse::<Bytes>().is_err());
    }
}
