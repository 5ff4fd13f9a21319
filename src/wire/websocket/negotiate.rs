//! Which of a client's offers of compression is taken (RFC 7692 §5, §7.1; the header's grammar is RFC 6455 §9.1).

use super::{Deflation, Window};

const NAME: &str = "permessage-deflate";

/// An offer that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// What the client asks of our window, 9 to 15 bits, if anything.
    server_bits: Option<u8>,
}

impl Agreement {
    /// How we compress then, of what we would do without being asked for a smaller window.
    #[must_use]
    pub fn apply(self, wanted: Deflation) -> Deflation {
        match self.server_bits {
            // 15 bits are what a window has without being asked.
            None | Some(15..) => wanted,
            Some(_) => Deflation { window: Window::Small, ..wanted },
        }
    }

    /// The value of our `Sec-WebSocket-Extensions`.
    pub fn header(self) -> String {
        let bits = self.server_bits.map(|bits| format!("; server_max_window_bits={bits}"));
        format!("{NAME}; server_no_context_takeover; client_no_context_takeover{}", bits.unwrap_or_default())
    }
}

/// Takes the first acceptable offer in the values of a request's `Sec-WebSocket-Extensions` headers. An offer with a
/// parameter that is unknown, twice there or out of its range is declined (§7.1), and so is a whole value that breaks
/// the grammar.
pub fn negotiate<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Agreement> {
    values.into_iter().find_map(|value| {
        let offers = Parser(value).offers()?;
        offers.iter().filter(|offer| offer.name == NAME).find_map(accept)
    })
}

fn accept(offer: &Offer<'_>) -> Option<Agreement> {
    let mut server_bits = None;
    for (index, (name, value)) in offer.parameters.iter().enumerate() {
        if offer.parameters[..index].iter().any(|(before, _)| before == name) {
            return None;
        }
        match (*name, value.as_deref()) {
            // Both are so whether the client asks for it or not (§7.1.1).
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            // zlib has no window of 256 bytes.
            ("server_max_window_bits", Some(value)) => {
                server_bits = Some(bits(value).filter(|bits| *bits >= 9)?)
            }
            // A hint for whoever keeps a window per client (§7.1.2.2).
            ("client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(value)) => drop(bits(value)?),
            _ => return None,
        }
    }
    Some(Agreement { server_bits })
}

/// A decimal number from 8 to 15 without leading zeros.
fn bits(value: &str) -> Option<u8> {
    let is_plain = !value.starts_with('0') && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|bits| is_plain && (8..=15).contains(bits))
}

/// An extension as it is offered.
struct Offer<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<String>)>,
}

/// What is left of a header's value.
struct Parser<'a>(&'a str);

impl<'a> Parser<'a> {
    fn offers(mut self) -> Option<Vec<Offer<'a>>> {
        let mut offers = Vec::new();
        loop {
            // A list may have empty elements (RFC 9110 §5.6.1).
            while self.takes(',') {}
            self.skip_space();
            if self.0.is_empty() {
                return Some(offers);
            }
            let mut offer = Offer { name: self.token()?, parameters: Vec::new() };
            while self.takes(';') {
                let name = self.token()?;
                let value = if self.takes('=') { Some(self.value()?) } else { None };
                offer.parameters.push((name, value));
            }
            offers.push(offer);
            self.skip_space();
            if !self.0.is_empty() && !self.0.starts_with(',') {
                return None;
            }
        }
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn takes(&mut self, sign: char) -> bool {
        self.skip_space();
        let rest = self.0.strip_prefix(sign);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Option<&'a str> {
        self.skip_space();
        let end = self.0.bytes().position(|byte| !is_token(byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, or one in quotes.
    fn value(&mut self) -> Option<String> {
        if !self.takes('"') {
            return self.token().map(str::to_owned);
        }
        let mut value = String::new();
        let mut signs = self.0.char_indices();
        loop {
            match signs.next()? {
                (at, '"') => {
                    self.0 = &self.0[at + 1..];
                    // Quoted or not, it has to be a token (RFC 6455 §9.1).
                    return (!value.is_empty() && value.bytes().all(is_token)).then_some(value);
                }
                (_, '\\') => value.push(signs.next()?.1),
                (_, sign) => value.push(sign),
            }
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(value: &str) -> Option<String> {
        negotiate([value]).map(Agreement::header)
    }

    #[test]
    fn offers_that_are_taken() {
        let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for offer in [
            "permessage-deflate",
            " permessage-deflate ; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"10\"",
            "permessage-deflate; client_max_window_bits=\"1\\0\"",
            "permessage-deflate;client_no_context_takeover;server_no_context_takeover",
            "x-webkit-deflate-frame, ,permessage-deflate",
            // The first of these is declined.
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            "permessage-deflate; unheard_of=1, permessage-deflate; client_max_window_bits",
        ] {
            assert_eq!(answer(offer).as_deref(), Some(plain), "{offer}");
        }
        let values = ["nonsense; a = b", "permessage-deflate"];
        assert_eq!(negotiate(values).map(Agreement::header).as_deref(), Some(plain));
        for bits in 9..=15 {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            assert_eq!(answer(&offer), Some(format!("{plain}; server_max_window_bits={bits}")));
            let window = if bits == 15 { Window::Full } else { Window::Small };
            let wanted = Deflation { window: Window::Full, level: 6, least: 0 };
            let agreed = negotiate([&*offer]).map(|agreement| agreement.apply(wanted));
            assert_eq!(agreed, Some(Deflation { window, ..wanted }));
        }
    }

    #[test]
    fn offers_that_are_declined() {
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate-2",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=\"\"",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            "permessage-deflate; server_no_context_takeover=true",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; unheard_of",
            "permessage-deflate; =9",
            "permessage-deflate;",
            // What stands in quotes is no offer, and must be a token (RFC 6455 §9.1).
            "other; a=\"b, permessage-deflate\"",
            "permessage-deflate client_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"10",
            "permessage-deflate; client_max_window_bits=\"1 0\"",
        ] {
            assert_eq!(answer(offer), None, "{offer}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_offered_is_answered(value in "[a-z\"\\\\;,= =0-9-]{0,60}|.{0,40}") {
            let _ = negotiate([&*value, "permessage-deflate; client_max_window_bits"]);
        }
    }
}
