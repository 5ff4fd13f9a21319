//! How a connection comes about: token, socket, welcome, and the token presented.

use std::sync::Arc;

use fanwire_proto::{Command, Event, Request};
use futures_util::StreamExt;

use super::End;
use super::line::{Line, end_of};
use crate::error::{Code, Error};
use crate::options::{Options, Token};
use crate::socket::Address;

/// The number of the command that presents the token: nothing else has been asked on this connection.
const AUTH_ID: u64 = 0;

/// Opens a connection that is ready for use.
pub(super) async fn open(address: Arc<Address>, options: Options) -> Result<Line, End> {
    let token = match &options.token {
        None => None,
        // Asked for each time, before connecting: an old one would be refused, and while it is being made no connection
        // waits.
        Some(token) => Some(get(token).await.map_err(|_| End::Lost(None))?),
    };
    let socket = address.open().await.map_err(|_| End::Lost(None))?;
    let mut line = Line::new(socket, &options);
    loop {
        for event in next(&mut line, &options).await? {
            match event {
                Event::Welcome { max_message_bytes, .. } => {
                    line.max_bytes = max_message_bytes;
                    let Some(token) = &token else { return Ok(line) };
                    present(&mut line, token.clone(), &options).await?;
                }
                Event::Reply(reply) if reply.id == Some(AUTH_ID) => {
                    line.keep_token(reply.expires);
                    return Ok(line);
                }
                // A token that is fixed will not get better; a callback may give another.
                Event::Error(reply) => {
                    let renewable = matches!(options.token, Some(Token::Callback(_)));
                    let again = reply.retry || renewable;
                    return Err(if again { End::Lost(None) } else { End::Stopped(Error::refused(&reply)) });
                }
                Event::Goodbye { reconnect, after_ms, .. } => line.say_goodbye(reconnect, after_ms),
                _ => {}
            }
        }
    }
}

/// Gets a token.
pub(super) async fn get(token: &Token) -> Result<String, Error> {
    match token {
        Token::Fixed(token) => Ok(token.clone()),
        Token::Callback(get) => get().await.map_err(|error| Error::new(Code::Token, error)),
    }
}

async fn present(line: &mut Line, token: String, options: &Options) -> Result<(), End> {
    let request = Request { id: Some(AUTH_ID), command: Command::Auth { token } };
    let frame = options.format.encode_request(&request);
    line.send(frame.map_err(|error| End::Stopped(Error::new(Code::Invalid, error)))?).await
}

async fn next(line: &mut Line, options: &Options) -> Result<Vec<Event>, End> {
    match line.socket.next().await {
        Some(Ok(frame)) => line.read(frame),
        _ => Err(end_of(None, line.goodbye(), options)),
    }
}
