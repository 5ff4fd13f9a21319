//! In which form a document is read: as JSON, as text or as Yjs has it, whatever `Accept` likes best.

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::TopicName;

use super::{
    body::media_type,
    problem::{Code, Problem, json, problem_of},
};
use crate::{broker::Broker, memory::Owner};

/// How content is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// All roots.
    Json,
    /// One root.
    Text,
    /// An update of Yjs.
    State,
}

impl Form {
    /// The form that an `Accept` header likes best, of equals the first (RFC 9110 §12.5.1); JSON if there is none.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, Problem> {
        let lines = headers.get_all(header::ACCEPT).iter().map(|line| line.to_str().unwrap_or_default());
        let accept = lines.collect::<Vec<_>>().join(",");
        if accept.trim().is_empty() {
            return Ok(Self::Json);
        }
        let entries: Vec<(String, f32)> =
            accept.split(',').map(|entry| (media_type(entry), weight(entry))).collect();
        let mut best: Option<(f32, usize, Self)> = None;
        for form in [Self::Json, Self::Text, Self::State] {
            let Some((at, weight)) = form.liked(&entries) else { continue };
            let better = best.is_none_or(|(most, first, _)| weight > most || weight == most && at < first);
            // `q=0` means "not acceptable" (RFC 9110 §12.4.2).
            if weight > 0.0 && better {
                best = Some((weight, at, form));
            }
        }
        let none = "documents are `application/json`, `text/plain` or `application/octet-stream`";
        best.map(|(_, _, form)| form).ok_or_else(|| Problem::new(Code::NotAcceptable, none))
    }

    /// What this form is called, from its own name to those that many share.
    fn names(self) -> [&'static str; 3] {
        match self {
            Self::Json => ["application/json", "application/*", "*/*"],
            Self::Text => ["text/plain", "text/*", "*/*"],
            Self::State => ["application/octet-stream", "application/*", "*/*"],
        }
    }

    /// The entry that says how much this form is liked, and how much that is. What names it more closely goes before
    /// what names others as well.
    fn liked(self, entries: &[(String, f32)]) -> Option<(usize, f32)> {
        self.names().iter().find_map(|name| {
            let at = entries.iter().position(|(entry, _)| entry == name)?;
            Some((at, entries[at].1))
        })
    }

    /// Only text is of one root; an answer of another form would not be what was asked for.
    pub(super) fn check_root(self, root: Option<&str>) -> Result<(), Problem> {
        match (self, root) {
            (Self::Json | Self::State, Some(_)) => {
                Err(Problem::bad_request("`root` goes with `text/plain`; other forms have all roots"))
            }
            _ => Ok(()),
        }
    }

    /// Answers with a state in this form.
    pub(super) async fn answer(
        self,
        broker: &Broker,
        by: &Owner,
        of: &TopicName,
        state: Bytes,
        root: Option<String>,
    ) -> Result<Response, Problem> {
        Ok(match self {
            Self::State => ([(header::CONTENT_TYPE, "application/octet-stream")], state).into_response(),
            Self::Json => {
                let content = broker.state_as_json(by, of, state).await.map_err(problem_of)?;
                json(StatusCode::OK, "application/json", &content)
            }
            Self::Text => {
                let text = broker.state_as_text(by, of, state, root).await.map_err(problem_of)?;
                ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
            }
        })
    }
}

/// The weight of an entry of an `Accept` header.
fn weight(entry: &str) -> f32 {
    let mut parameters = entry.split(';').skip(1).map(str::trim);
    let weight = parameters.find_map(|parameter| parameter.strip_prefix(['q', 'Q'])?.strip_prefix('='));
    weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &str) -> Option<Form> {
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
        Form::accepted(&headers).ok()
    }

    #[test]
    fn the_best_form_is_chosen() {
        assert_eq!(Form::accepted(&HeaderMap::new()).ok(), Some(Form::Json));
        for (accept, form) in [
            ("", Some(Form::Json)),
            ("*/*", Some(Form::Json)),
            ("text/html, text/plain, */*", Some(Form::Text)),
            ("application/json; q=0.5, application/octet-stream;q=0.9", Some(Form::State)),
            ("image/png, application/JSON ; charset=utf-8", Some(Form::Json)),
            ("image/png", None),
            ("application/json;q=0", None),
            ("application/json;q=0, */*", Some(Form::Text)),
            ("*/*, application/json;q=0, text/*;q=0", Some(Form::State)),
            ("application/json;q=0.5, text/*;q=0.4, */*;q=0.1", Some(Form::Json)),
            ("application/*", Some(Form::Json)),
            ("text/html;q=0.9, */*;q=0.1", Some(Form::Json)),
            ("*/*;q=0, text/*;q=0", None),
            ("application/json;q=much", None),
            (";;,=", None),
        ] {
            assert_eq!(accepted(accept), form, "{accept}");
        }
    }
}
