//! A number as it was written, compared by its value.

use std::cmp::Ordering;

/// All its digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::provider) struct Number(Box<str>);

impl Number {
    /// What stands in valid JSON.
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// As it was written.
    pub(in crate::provider) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its value, if it is a whole number of up to 38 digits, written as one.
    pub(in crate::provider) fn as_integer(&self) -> Option<i128> {
        self.0.parse().ok()
    }

    /// The double next to it.
    pub(in crate::provider) fn as_double(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// Compares by value: whole numbers exactly, others as doubles.
    pub(in crate::provider) fn compare(&self, other: &serde_json::Number) -> Option<Ordering> {
        let integer = other.as_i64().map(i128::from).or_else(|| other.as_u64().map(i128::from));
        match (self.as_integer(), integer) {
            // As doubles, ids of more than 15 digits that differ in the last one would be the same.
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => self.as_double().partial_cmp(&other.as_f64()?),
        }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_compared_and_not_digits() {
        let compare =
            |text: &str, other: serde_json::Value| Number::new(text).compare(other.as_number().unwrap());
        assert_eq!(compare("1.0", json!(1)), Some(Ordering::Equal));
        assert_eq!(compare("1e2", json!(100)), Some(Ordering::Equal));
        assert_eq!(compare("9007199254740993", json!(9_007_199_254_740_992_u64)), Some(Ordering::Greater));
        assert_eq!(compare("12345678901234567890123", json!(1)), Some(Ordering::Greater));
        assert_eq!(compare("0.5", json!(0.5)), Some(Ordering::Equal));
        assert_eq!(compare("-7", json!(-6)), Some(Ordering::Less));
    }
}
