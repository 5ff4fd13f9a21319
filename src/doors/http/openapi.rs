//! The OpenAPI 3.1 document: gathered from the handlers, completed here with the refusals that many share, and served at
//! `/v1/openapi.json`.

use axum::{body::Bytes, http::header, response::IntoResponse};
use fanwire_proto::ErrorCode;
use serde_json::Value;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        ContentBuilder, HeaderBuilder, ObjectBuilder, OpenApi as Document, Ref, Response, ResponseBuilder,
        Type,
        path::Operation,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use super::problem::{Code, Problem};

/// What all documents begin with.
#[derive(OpenApi)]
#[openapi(
    info(title = "fanwire", description = "A real-time pub/sub broker: publishing and reading over HTTP. A slash at the end of a path means nothing. A slash in a topic is written `%2F`, or as it is unless the topic ends in one, or like a path below a topic."),
    components(schemas(Problem, Message, Member)),
    modifiers(&Bearer),
    tags(
        (name = PUBLISH, description = "Sending messages to topics"),
        (name = DOCUMENTS, description = "Documents that editors share: their content and versions"),
        (name = READ, description = "Topics, their messages and who is there"),
        (name = CONTROL, description = "Connections of others, for back ends"),
        (name = WATCH, description = "What goes on, for those who look after the broker"),
        (name = OPERATE, description = "For probes and dashboards"),
    )
)]
pub(super) struct Start;

pub(super) const PUBLISH: &str = "publish";
pub(super) const READ: &str = "read";
pub(super) const DOCUMENTS: &str = "documents";
pub(super) const CONTROL: &str = "control";
pub(in crate::doors) const WATCH: &str = "watch";
pub(super) const OPERATE: &str = "operate";

/// An API key or a token, if the broker asks for one.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
        let anybody = SecurityRequirement::default();
        document.security = Some(vec![SecurityRequirement::new("bearer", [""; 0]), anybody]);
    }
}

const fn of(code: ErrorCode) -> Code {
    Code::Protocol(code)
}

/// What every request may be answered with.
const ALWAYS: &[Code] = &[of(ErrorCode::RateLimited)];

const BY_CALLERS: &[Code] = &[
    of(ErrorCode::BadRequest),
    of(ErrorCode::BadTopic),
    of(ErrorCode::Unauthorized),
    of(ErrorCode::InvalidToken),
    of(ErrorCode::Forbidden),
    of(ErrorCode::Internal),
];

const BY_READERS: &[Code] = &[
    of(ErrorCode::PresenceOff),
    of(ErrorCode::Overloaded),
    of(ErrorCode::Draining),
    of(ErrorCode::StorageFailed),
];

const BY_DOCUMENTS: &[Code] = &[
    of(ErrorCode::BadPayload),
    of(ErrorCode::TooLarge),
    of(ErrorCode::WrongKind),
    of(ErrorCode::TooManyTopics),
    of(ErrorCode::Overloaded),
    of(ErrorCode::Draining),
    of(ErrorCode::StorageFull),
    of(ErrorCode::StorageFailed),
    Code::Timeout,
    Code::UnsupportedMediaType,
    Code::NotAcceptable,
    Code::NotFound,
    Code::PreconditionFailed,
    Code::TooManyVersions,
];

const BY_BACK_ENDS: &[Code] = &[
    of(ErrorCode::TooLarge),
    of(ErrorCode::PresenceOff),
    of(ErrorCode::TooManyTopics),
    of(ErrorCode::Overloaded),
    of(ErrorCode::Draining),
    of(ErrorCode::StorageFull),
    of(ErrorCode::StorageFailed),
    Code::Timeout,
    Code::UnsupportedMediaType,
];

const BY_WATCHERS: &[Code] = &[of(ErrorCode::Overloaded)];

const BY_PUBLISHERS: &[Code] = &[
    of(ErrorCode::BadPayload),
    of(ErrorCode::TooLarge),
    of(ErrorCode::WrongKind),
    of(ErrorCode::TooManyKeys),
    of(ErrorCode::TooManyTopics),
    of(ErrorCode::Overloaded),
    of(ErrorCode::Draining),
    Code::Timeout,
    Code::UnsupportedMediaType,
    of(ErrorCode::NotDurable),
    of(ErrorCode::StorageFull),
    of(ErrorCode::StorageFailed),
    Code::IdempotencyInProgress,
    Code::IdempotencyMismatch,
];

/// Adds to each operation how it may be refused.
pub(super) fn complete(mut document: Document) -> Document {
    for item in document.paths.paths.values_mut() {
        for operation in
            [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
        {
            let codes = match operation.tags.as_deref().unwrap_or_default() {
                [tag] if tag == PUBLISH => [ALWAYS, BY_CALLERS, BY_PUBLISHERS],
                [tag] if tag == READ => [ALWAYS, BY_CALLERS, BY_READERS],
                [tag] if tag == DOCUMENTS => [ALWAYS, BY_CALLERS, BY_DOCUMENTS],
                [tag] if tag == WATCH => [ALWAYS, BY_CALLERS, BY_WATCHERS],
                [tag] if tag == CONTROL => [ALWAYS, BY_CALLERS, BY_BACK_ENDS],
                _ => [ALWAYS, &[of(ErrorCode::Draining)], &[]],
            };
            refuse(operation, &codes.concat());
        }
    }
    document
}

fn refuse(operation: &mut Operation, codes: &[Code]) {
    for code in codes {
        let status = code.status().as_u16().to_string();
        let same: Vec<_> = codes.iter().filter(|other| other.status() == code.status()).collect();
        let names: Vec<_> = same.iter().map(|code| format!("`{}`", code.as_str())).collect();
        let retry = same.iter().any(|code| code.retry());
        let response = response(&names.join(", "), retry).into();
        operation.responses.responses.entry(status).or_insert(response);
    }
}

fn response(codes: &str, retry: bool) -> Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(codes).content("application/problem+json", problem);
    if !retry {
        return response.build();
    }
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait."));
    response.header("Retry-After", header.build()).build()
}

/// Answers with the document.
pub(super) fn serve(document: &Bytes) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "application/json")], document.clone())
}

/// A message; it has either `data` or `b64`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document; messages write themselves")]
pub(super) struct Message {
    topic: String,
    offset: u64,
    /// When the broker took it, in milliseconds since 1970.
    time: u64,
    /// What was published, if it was JSON or text.
    #[schema(required = false)]
    data: Value,
    /// What was published, if it was bytes, in base64.
    #[schema(nullable = false)]
    b64: Option<String>,
    /// Kind `latest`: which value it is.
    #[schema(nullable = false)]
    key: Option<String>,
    /// Labels.
    #[schema(nullable = false)]
    tags: Option<std::collections::BTreeMap<String, String>>,
    /// Who published it; absent for publishes over HTTP.
    #[schema(nullable = false)]
    from: Option<Member>,
}

/// Messages of a topic, and where it stands.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document; the reply is the socket protocol's")]
pub(super) struct HistoryReply {
    topic: String,
    epoch: String,
    /// The topic's last offset.
    offset: u64,
    /// With `after`: false when messages between it and the first one here are gone.
    #[schema(nullable = false)]
    recovered: Option<bool>,
    messages: Vec<Message>,
    /// Whether there are more in this direction.
    more: bool,
}

/// A connection, with the user if it has one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document; members write themselves")]
pub(super) struct Member {
    client: String,
    #[schema(nullable = false)]
    user: Option<String>,
    /// What its token says about it for others to see.
    #[schema(required = false)]
    info: Value,
}

/// A CloudEvent; other members are extensions.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document; see `cloudevents`")]
pub(super) struct CloudEvent {
    #[schema(pattern = "^1\\.0$")]
    specversion: String,
    #[schema(min_length = 1, max_length = 50)]
    id: String,
    #[schema(min_length = 1, max_length = 50)]
    source: String,
    #[schema(min_length = 1, max_length = 50)]
    r#type: String,
    #[schema(required = false)]
    data: Value,
}

/// A message to publish; it has either `topic` or `topics`, and either `data` or `b64`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document; see `publish::item::Fields`")]
pub(super) struct NewMessage {
    topic: Option<String>,
    /// Publish it to several topics.
    #[schema(min_items = 1, max_items = 100)]
    topics: Option<Vec<String>>,
    /// JSON.
    #[schema(required = false)]
    data: Value,
    /// Bytes, in base64.
    b64: Option<String>,
    /// Kind `latest`: which value it replaces.
    key: Option<String>,
    /// Makes the publish idempotent within the topic.
    message_id: Option<String>,
    /// Labels, at most 16.
    tags: Option<std::collections::BTreeMap<String, String>>,
    /// The client that does not get it.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    except: Option<String>,
}

/// Messages to publish in order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document; see `publish::batch::Batch`")]
pub(super) struct NewMessages {
    /// At most 1000, counted once per topic.
    messages: Vec<NewMessage>,
    /// Publish all of them or none: if one would be refused, the answer is its problem, with its `index`.
    #[schema(default = false)]
    atomic: Option<bool>,
}
