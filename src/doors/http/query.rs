//! Query strings, read strictly: a misspelled parameter is an error, not a default.

use std::borrow::Cow;

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// The values of the parameters with these names, each at most once. Others are refused.
pub(in crate::doors) fn query<'u, const N: usize>(
    uri: &'u Uri,
    names: [&str; N],
) -> Result<[Option<Cow<'u, str>>; N], Problem> {
    let mut values = [const { None }; N];
    for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(index) = names.iter().position(|known| *known == name) else {
            let shown: String = name.chars().take(40).collect();
            return Err(Problem::bad_request(format!("there is no query parameter `{shown}`")));
        };
        if values[index].replace(decode(name, value)?).is_some() {
            return Err(Problem::bad_request(format!("`{name}` is given twice")));
        }
    }
    Ok(values)
}

fn decode<'u>(name: &str, value: &'u str) -> Result<Cow<'u, str>, Problem> {
    let not_text = |_| Problem::bad_request(format!("`{name}` is not UTF-8"));
    match value.contains('+') {
        false => percent_decode_str(value).decode_utf8().map_err(not_text),
        // A plus means a space in forms only (it stands for itself in RFC 3986), but that is how `URLSearchParams` writes
        // one. Replaced before decoding, so that `%2B` stays a plus.
        true => {
            let spaced = value.replace('+', " ");
            let decoded = percent_decode_str(&spaced).decode_utf8().map_err(not_text)?;
            Ok(Cow::Owned(decoded.into_owned()))
        }
    }
}

/// A whole number from 1 up.
pub(in crate::doors) fn count(name: &str, value: &str) -> Result<usize, Problem> {
    let wrong = || Problem::bad_request(format!("`{name}` must be a whole number from 1 up"));
    match value.parse::<u64>() {
        Ok(0) | Err(_) => Err(wrong()),
        Ok(number) => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
    }
}

/// `true` or `false`; a name alone is true.
pub(super) fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::bad_request(format!("`{name}` must be `true` or `false`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_known() {
        let read = |uri: &'static str| {
            let uri: Uri = uri.parse().unwrap();
            query(&uri, ["a", "b"]).map(|values| values.map(|v| v.map(Cow::into_owned)))
        };
        assert_eq!(read("/").unwrap(), [None, None]);
        assert_eq!(read("/?b=x+y%2B%E2%98%82&a=").unwrap(), [Some(String::new()), Some("x y+☂".into())]);
        for wrong in ["/?c=1", "/?a=1&a=1", "/?a=%ff", "/?a=%c0%80"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
