//! Reading: `GET /v1/topics`, one topic, its messages, its members. Messages and members look as on the socket.

use std::time::Duration;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use fanwire_proto::{Epoch, ErrorCode, HistoryReply, Member, Offset, Pattern, Position, TopicName};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    api::Api,
    away::with_topic,
    caller::{Caller, TopicPath, topic_name},
    openapi,
    problem::{Code, Problem, json},
    query::{count, flag, query},
};
use crate::{
    auth::Verb,
    broker::Broker,
    defaults,
    doors::errors::Failure,
    topic::{HistoryQuery, KindRule, Rule, Summary},
};

/// A topic at a glance.
#[derive(Serialize, ToSchema)]
pub(super) struct Topic {
    #[schema(value_type = String)]
    topic: TopicName,
    #[schema(examples("log", "latest", "volatile", "document"))]
    kind: &'static str,
    /// Whether it outlives a restart.
    durable: bool,
    /// Absent while the topic holds nothing and nobody listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    epoch: Option<Epoch>,
    /// Its last offset.
    #[schema(value_type = u64)]
    offset: Offset,
    subscribers: usize,
    /// For those who may see who is there, where that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    clients: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    users: Option<usize>,
    messages: usize,
    retention: Retention,
    /// What its rule says since a reload, and the topic follows only once it has been unused for a while, or the broker
    /// restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pending: Option<Pending>,
}

/// What of a topic's rule has changed to what.
#[derive(Serialize, PartialEq, ToSchema)]
struct Pending {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    durable: Option<bool>,
    /// Whether members are tracked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    presence: Option<bool>,
}

impl Pending {
    fn between(now: &Rule, ruled: &Rule) -> Option<Self> {
        let (kind, other_kind) = (now.kind.kind(), ruled.kind.kind());
        let (durable, presence) = (ruled.keeping.is_durable(), ruled.presence);
        let pending = Self {
            kind: (kind != other_kind).then(|| other_kind.as_str()),
            durable: (now.keeping.is_durable() != durable).then_some(durable),
            presence: (now.presence != presence).then_some(presence),
        };
        (pending != Self { kind: None, durable: None, presence: None }).then_some(pending)
    }
}

/// What a topic keeps; which fields there are depends on its kind.
#[derive(Serialize, Default, ToSchema)]
struct Retention {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    age_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_keys: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_age_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tick_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_document_bytes: Option<usize>,
}

impl Topic {
    fn read(broker: &Broker, caller: &Caller, topic: TopicName) -> Result<Self, Problem> {
        let Summary { position, subscribers, present, messages, rule } =
            broker.summary(&topic, caller.now_ms)?;
        // Even the number of those present is for nobody who may not see them.
        let present = present.filter(|_| caller.can(Verb::Presence, &topic));
        let (kind, retention) = describe(&rule.kind);
        let pending = Pending::between(&rule, &broker.policy().rules.of(&topic));
        Ok(Self {
            topic,
            kind,
            durable: rule.keeping.is_durable(),
            epoch: (position.epoch != Epoch::FOREIGN).then_some(position.epoch),
            offset: position.offset,
            subscribers,
            clients: present.map(|(clients, _)| clients),
            users: present.map(|(_, users)| users),
            messages,
            retention,
            pending,
        })
    }
}

fn describe(rule: &KindRule) -> (&'static str, Retention) {
    let none = Retention::default();
    match rule {
        KindRule::Log(bounds) => {
            let age_s = Some(bounds.age.as_secs());
            ("log", Retention { count: Some(bounds.count), age_s, bytes: Some(bounds.bytes), ..none })
        }
        KindRule::Latest { max_keys, max_age } => {
            let max_age_s = max_age.map(|age| age.as_secs());
            ("latest", Retention { max_keys: Some(*max_keys), max_age_s, ..none })
        }
        KindRule::Document(bounds) => {
            ("document", Retention { max_document_bytes: Some(bounds.max_bytes), ..none })
        }
        KindRule::Volatile { tick } => {
            let millis = |tick: Duration| u64::try_from(tick.as_millis()).unwrap_or(u64::MAX);
            ("volatile", Retention { tick_ms: tick.map(millis), ..none })
        }
    }
}

/// One topic
#[utoipa::path(
    get, path = "/v1/topics/{topic}", tag = openapi::READ, operation_id = "topic",
    params(("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$")),
    responses((status = 200, body = Topic, description = "The topic; one that does not exist is empty")),
)]
pub(super) async fn one(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    uri: Uri,
) -> Result<Response, Problem> {
    let [] = query(&uri, [])?;
    caller.may(Verb::Subscribe, &topic)?;
    let broker = &*api.door.broker;
    let name = topic.clone();
    Ok(ok(&with_topic(broker, &name, || Topic::read(broker, &caller, topic))?))
}

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    topics: Vec<Topic>,
    /// The `cursor` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    next: Option<TopicName>,
}

/// Topics
///
/// Those that exist and the caller may subscribe to, by name.
#[utoipa::path(
    get, path = "/v1/topics", tag = openapi::READ, operation_id = "topics",
    params(
        ("match" = Option<String>, Query, description = "A pattern."),
        ("limit" = Option<usize>, Query, minimum = 1, description = "Most topics; 1000 at most."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, body = Page, description = "A page")),
)]
pub(super) async fn list(State(api): State<Api>, caller: Caller, uri: Uri) -> Result<Response, Problem> {
    let [matching, limit, cursor] = query(&uri, ["match", "limit", "cursor"])?;
    let pattern = matching.as_deref().map(Pattern::new).transpose();
    let pattern = pattern.map_err(|error| Problem::bad_request(format!("`match`: {error}")))?;
    let limit = limit.map_or(Ok(defaults::PAGE), |limit| count("limit", &limit))?;
    let limit = limit.min(defaults::TOPICS_PAGE_MAX);
    let cursor = cursor.as_deref().map(topic_name).transpose()?;
    // Before the blocking thread is taken: whoever waits for a place must not hold one of the few threads that others
    // need.
    let place = api.listings.clone().enter(caller.owner()).await;
    let place = place.map_err(|crowded| Failure::new(ErrorCode::Overloaded, crowded.to_string()))?;
    let page = tokio::task::spawn_blocking(move || {
        // Moved in, so that it is given back when the work ends: dropping the request does not stop a blocking task.
        let _place = place;
        let broker = &*api.door.broker;
        let wanted = |name: &TopicName| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(name)) && caller.can(Verb::Subscribe, name)
        };
        // One more than fits on the page shows whether there is another page.
        let mut names = broker.topics(cursor.as_ref(), limit + 1, wanted)?;
        let more = names.len() > limit;
        names.truncate(limit);
        let next = names.last().filter(|_| more).cloned();
        // One that is kept as another kind is named in the log, and holds nothing up.
        let is_served = |topic: &Result<Topic, Problem>| !matches!(topic, Err(problem) if problem.code == Code::Protocol(ErrorCode::WrongKind));
        let topics = names.into_iter().map(|name| Topic::read(broker, &caller, name)).filter(is_served);
        Ok::<_, Problem>(Page { topics: topics.collect::<Result<_, Problem>>()?, next })
    });
    Ok(ok(&page.await.map_err(Problem::internal)??))
}

/// A page of a history.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    #[serde(flatten)]
    #[schema(value_type = openapi::HistoryReply)]
    reply: HistoryReply,
    /// The `after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Past messages
///
/// Page on while `more` is true. Forwards, `next` may be kept to ask for what comes later.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/messages", tag = openapi::READ, operation_id = "messages",
    params(
        ("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$"),
        ("after" = Option<String>, Query, description = "`next` of the page before: `EPOCH:OFFSET`, or an offset of the epoch of the moment."),
        ("limit" = Option<usize>, Query, minimum = 1, description = "Most messages; 1000 at most."),
        ("reverse" = Option<bool>, Query, description = "Newest first."),
    ),
    responses((status = 200, body = History, description = "A page")),
)]
pub(super) async fn history(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.may(Verb::History, &topic)?;
    let [after, limit, reverse] = query(&uri, ["after", "limit", "reverse"])?;
    let limit = limit.map_or(Ok(defaults::PAGE), |limit| count("limit", &limit))?;
    let broker = &*api.door.broker;
    let limit = limit.min(defaults::HISTORY_REPLY_COUNT);
    let reverse = reverse.map_or(Ok(false), |reverse| flag("reverse", &reverse))?;
    let reply = with_topic(broker, &topic, || {
        let position = |after: &str| position(broker, &topic, after, caller.now_ms);
        let since = after.as_deref().map(position).transpose()?;
        Ok::<_, Problem>(broker.history(&topic, &HistoryQuery { since, limit, reverse }, caller.now_ms)?)
    })?;
    let next = next(&reply, reverse).map(|at| format!("{}:{}", at.epoch, at.offset));
    Ok(ok(&History { reply, next }))
}

/// Forwards there is always a next page, be it one that is still to be written; backwards, the beginning is the end.
fn next(reply: &HistoryReply, reverse: bool) -> Option<Position> {
    let last = reply.messages.last().map(|message| message.offset);
    let offset = match reverse {
        false => Some(last.unwrap_or(reply.offset)),
        true => last.filter(|_| reply.more),
    };
    // A topic that is not there has no epoch in which to go on.
    let exists = reply.epoch != Epoch::FOREIGN;
    offset.filter(|_| exists).map(|offset| Position { epoch: reply.epoch, offset })
}

/// `EPOCH:OFFSET`, or an offset of the epoch of the moment, for which the topic may be read from the disk.
fn position(broker: &Broker, topic: &TopicName, text: &str, now_ms: u64) -> Result<Position, Problem> {
    let wrong = |_| Problem::bad_request("`after` must be `EPOCH:OFFSET` or an offset");
    let (epoch, offset) = text.split_once(':').map_or((None, text), |(epoch, rest)| (Some(epoch), rest));
    // Before the disk is asked.
    let offset = Offset(offset.parse().map_err(wrong)?);
    let epoch = match epoch {
        Some(epoch) => Epoch::read(epoch),
        None => broker.position(topic, now_ms)?.map_or(Epoch::FOREIGN, |position| position.epoch),
    };
    Ok(Position { epoch, offset })
}

/// Who is subscribed.
#[derive(Serialize, ToSchema)]
pub(super) struct Present {
    #[schema(value_type = String)]
    topic: TopicName,
    #[schema(value_type = Vec<openapi::Member>)]
    members: Vec<Member>,
    clients: usize,
    users: usize,
}

/// Who is subscribed
#[utoipa::path(
    get, path = "/v1/topics/{topic}/presence", tag = openapi::READ, operation_id = "presence",
    params(("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$")),
    responses((status = 200, body = Present, description = "The members")),
)]
pub(super) async fn presence(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    uri: Uri,
) -> Result<Response, Problem> {
    let [] = query(&uri, [])?;
    caller.may(Verb::Presence, &topic)?;
    let off = || Problem::new(Code::Protocol(ErrorCode::PresenceOff), "this topic keeps no presence");
    let found = api.door.broker.members(&topic).ok_or_else(off)?;
    Ok(ok(&Present { topic, members: found.members, clients: found.clients, users: found.users }))
}

fn ok<T: Serialize>(value: &T) -> Response {
    json(StatusCode::OK, "application/json", value)
}
