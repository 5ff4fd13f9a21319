//! From the fields of an object to an [`Event`], for clients.

use std::{borrow::Cow, sync::Arc};

use super::value::{self, Mismatch, Problem, Value, fields};
use crate::{
    ClientId, ErrorCode, ErrorReply, Event, Gap, Kind, Member, Message, Payload, PublisherRef, Reply,
    ServerSubscribed, TopicName,
};

fields! {
    /// Every field any event has.
    struct EventFields {
        kind = "type",
        id = "id",
        topic = "topic",
        epoch = "epoch",
        offset = "offset",
        topic_kind = "kind",
        recovered = "recovered",
        duplicate = "duplicate",
        messages = "messages",
        more = "more",
        members = "members",
        clients = "clients",
        users = "users",
        client = "client",
        user = "user",
        expires = "expires",
        version = "version",
        ping_s = "ping_s",
        max_message_bytes = "max_message_bytes",
        code = "code",
        message = "message",
        retry = "retry",
        after = "after",
        next = "next",
        reconnect = "reconnect",
        after_ms = "after_ms",
    }
}

fields! {
    struct MessageFields {
        topic = "topic",
        offset = "offset",
        time = "time",
        key = "key",
        tags = "tags",
        from = "from",
        skipped = "skipped",
        data = "data",
        b64 = "b64",
    }
}

fields! {
    struct MemberFields {
        client = "client",
        user = "user",
        info = "info",
    }
}

/// Reads one object of a frame; `None` when its type is unknown.
pub(super) fn decode<'a, V: Value<'a>>(object: V) -> Result<Option<Event>, Mismatch> {
    let fields = EventFields::read(object)?;
    let kind = fields.kind.required(V::text)?;
    Ok(Some(match kind.as_ref() {
        "welcome" => fields.welcome()?,
        "ok" => Event::Reply(Box::new(fields.reply()?)),
        "subscribed" => Event::ServerSubscribed(fields.server_subscribed()?),
        "error" => Event::Error(fields.error()?),
        "message" => Event::Message(message(object)?),
        "join" => Event::Join { topic: fields.topic()?, member: member(object)? },
        "leave" => Event::Leave { topic: fields.topic()?, member: member(object)? },
        "pong" => Event::Pong { id: fields.id.optional(V::unsigned)? },
        "gap" => Event::Gap(fields.gap()?),
        "end" => Event::End { topic: fields.topic()?, code: fields.code.required(code)? },
        "goodbye" => fields.goodbye()?,
        _ => return Ok(None),
    }))
}

impl<'a, V: Value<'a>> EventFields<V> {
    fn topic(&self) -> Result<TopicName, Problem> {
        self.topic.required(value::topic)
    }

    fn welcome(&self) -> Result<Event, Problem> {
        Ok(Event::Welcome {
            client: self.client.required(client)?,
            version: self.version.required(shared)?,
            ping_s: self.ping_s.required(V::unsigned)?,
            max_message_bytes: self.max_message_bytes.required(size)?,
            user: self.user.optional(shared)?,
        })
    }

    fn reply(&self) -> Result<Reply, Problem> {
        Ok(Reply {
            id: self.id.optional(V::unsigned)?,
            topic: self.topic.optional(value::topic)?,
            epoch: self.epoch.optional(value::epoch)?,
            offset: self.offset.optional(value::offset)?,
            kind: self.kind()?,
            recovered: self.recovered.optional(V::boolean)?,
            duplicate: self.duplicate.optional(V::boolean)?.unwrap_or(false),
            messages: self.messages.optional(|list| each(list, message))?,
            more: self.more.optional(V::boolean)?,
            members: self.members.optional(|list| each(list, member))?,
            clients: self.clients.optional(size)?,
            users: self.users.optional(size)?,
            user: self.user.optional(shared)?,
            expires: self.expires.optional(V::unsigned)?,
        })
    }

    fn server_subscribed(&self) -> Result<ServerSubscribed, Problem> {
        Ok(ServerSubscribed {
            topic: self.topic()?,
            epoch: self.epoch.required(value::epoch)?,
            offset: self.offset.required(value::offset)?,
            kind: self.kind()?,
            recovered: self.recovered.optional(V::boolean)?,
            members: self.members.optional(|list| each(list, member))?,
            expires: self.expires.optional(V::unsigned)?,
        })
    }

    /// Nothing for a kind that this crate does not know yet.
    fn kind(&self) -> Result<Option<Kind>, Problem> {
        Ok(self.topic_kind.optional(V::text)?.and_then(|name| Kind::read(&name)))
    }

    fn error(&self) -> Result<ErrorReply, Problem> {
        Ok(ErrorReply {
            id: self.id.optional(V::unsigned)?,
            code: self.code.required(code)?,
            message: self.message.optional(V::text)?.map(Cow::into_owned).unwrap_or_default(),
            retry: self.retry.optional(V::boolean)?.unwrap_or(false),
        })
    }

    fn gap(&self) -> Result<Gap, Problem> {
        Ok(Gap {
            topic: self.topic()?,
            epoch: self.epoch.required(value::epoch)?,
            after: self.after.required(value::offset)?,
            next: self.next.required(value::offset)?,
        })
    }

    fn goodbye(&self) -> Result<Event, Problem> {
        Ok(Event::Goodbye {
            code: self.code.required(code)?,
            reconnect: self.reconnect.required(V::boolean)?,
            after_ms: self.after_ms.optional(V::unsigned)?.unwrap_or(0),
        })
    }
}

fn message<'a, V: Value<'a>>(object: V) -> Result<Message, Mismatch> {
    let fields = MessageFields::read(object)?;
    Ok(Message {
        topic: fields.topic.required(value::topic)?,
        offset: fields.offset.required(value::offset)?,
        time: fields.time.required(V::unsigned)?,
        payload: fields.payload()?,
        key: fields.key.optional(V::text)?.map(Box::from),
        tags: fields.tags.optional(value::tags)?.map(Box::new),
        from: fields.from.optional(member)?,
        skipped: fields.skipped.optional(V::unsigned)?.unwrap_or(0),
    })
}

impl<'a, V: Value<'a>> MessageFields<V> {
    fn payload(&self) -> Result<Payload, Mismatch> {
        match (self.data.or_null()?, self.b64.given()?) {
            (Some(data), _) => data.payload(),
            (None, Some(b64)) => value::base64(b64),
            (None, None) => Err("`data` or `b64` is missing".into()),
        }
    }
}

fn member<'a, V: Value<'a>>(object: V) -> Result<PublisherRef, Mismatch> {
    let fields = MemberFields::read(object)?;
    Ok(Member {
        client: fields.client.required(client)?,
        user: fields.user.optional(shared)?,
        info: fields.info.optional(V::payload)?.map(Arc::new),
    })
}

fn each<'a, V: Value<'a>, T>(list: V, read: impl Fn(V) -> Result<T, Mismatch>) -> Result<Vec<T>, Mismatch> {
    list.elements()?.into_iter().map(read).collect()
}

/// A code this crate does not know yet is some fault of the broker to this client; `retry` tells what to do.
fn code<'a, V: Value<'a>>(value: V) -> Result<ErrorCode, Mismatch> {
    Ok(ErrorCode::read(&value.text()?).unwrap_or(ErrorCode::Internal))
}

fn client<'a, V: Value<'a>>(value: V) -> Result<ClientId, Mismatch> {
    ClientId::read(&value.text()?).ok_or_else(|| Mismatch::expected("a client's name"))
}

fn shared<'a, V: Value<'a>>(value: V) -> Result<Arc<str>, Mismatch> {
    value.text().map(Arc::from)
}

fn size<'a, V: Value<'a>>(value: V) -> Result<usize, Mismatch> {
    Ok(usize::try_from(value.unsigned()?)?)
}
