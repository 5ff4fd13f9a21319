//! From a client's bytes, in whatever pieces they come, to its messages (RFC 6455 §5, §6.2).
//!
//! A frame that is whole in the input and a message by itself is unmasked where it lies and handed out without a copy.
//! Everything else goes through a [`Partial`], which a connection holds only as long as something is incomplete.

use std::borrow::Cow;

use super::{
    Inflater, Opcode, Violation, close,
    header::{CONTROL_BYTES, HEADER_BYTES, Header},
    mask,
    utf8::Utf8,
};
use crate::defaults;

/// What holds for a connection's messages.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Most bytes of a message, inflated.
    pub message_bytes: usize,
    /// Most frames of a message: without a bound, empty ones could go on for ever.
    pub fragments: u32,
    /// Compression was agreed on.
    pub deflate: bool,
}

impl Rules {
    /// The rules for messages of at most this size: as many fragments as anybody has a use for.
    pub fn new(message_bytes: usize, deflate: bool) -> Self {
        let fragments = (message_bytes / defaults::FRAGMENT_BYTES).max(defaults::FRAGMENTS);
        Self { message_bytes, fragments: u32::try_from(fragments).unwrap_or(u32::MAX), deflate }
    }

    /// Most bytes of a message as it travels: what cannot be compressed grows by at most an eighth, when each byte takes
    /// nine bits.
    fn bytes(self, compressed: bool) -> usize {
        match compressed {
            true => self.message_bytes.saturating_add(self.message_bytes / 8).saturating_add(64),
            false => self.message_bytes,
        }
    }
}

/// Fragments after which a call ends even in the middle of a message.
const FRAGMENTS_AT_ONCE: u32 = 64;

/// What clients have cost beyond the bytes they sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Frames begun: messages, their fragments and control frames.
    pub frames: u32,
    /// Bytes that came out of compressed messages.
    pub inflated: usize,
}

/// What a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'i> {
    /// A text message.
    Text(Cow<'i, str>),
    /// A binary message.
    Binary(Cow<'i, [u8]>),
    /// Wants a pong with the same payload.
    Ping(Cow<'i, [u8]>),
    /// Answers a ping, or nothing.
    Pong(Cow<'i, [u8]>),
    /// The client leaves, with this code if it says one; nothing that follows is to be read.
    Close(Option<u16>),
}

/// Reads for many connections, one after the other.
#[derive(Debug, Default)]
pub struct Decoder {
    inflater: Inflater,
    cost: Cost,
}

/// What a connection keeps in the middle of a frame or of a message.
#[derive(Debug)]
pub struct Partial {
    /// What applied when it began.
    rules: Rules,
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    frame: Option<Frame>,
    /// The payload so far of a control frame.
    control: Vec<u8>,
    message: Option<Unfinished>,
}

/// A frame whose payload is coming.
#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    last: bool,
    mask: [u8; 4],
    taken: usize,
    length: usize,
}

/// A message whose frames are coming.
#[derive(Debug)]
struct Unfinished {
    is_text: bool,
    compressed: bool,
    payload: Vec<u8>,
    utf8: Utf8,
    fragments: u32,
}

impl Decoder {
    /// Decodes what comes next in `input`, advancing it; nothing once it is used up, or after so many fragments
    /// that others should have their turn. `partial` is the connection's own,
    /// and goes on under the rules it began with. After a close or a violation nothing more is to be read.
    pub fn next<'i>(
        &mut self,
        partial: &mut Option<Box<Partial>>,
        rules: Rules,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Incoming<'i>>, Violation> {
        let begun = self.cost.frames;
        loop {
            if input.is_empty() || self.cost.frames.wrapping_sub(begun) >= FRAGMENTS_AT_ONCE {
                return Ok(None);
            }
            let state = match partial {
                Some(state) => state,
                None => match self.whole(rules, input)? {
                    Some(incoming) => return Ok(Some(incoming)),
                    None => partial.insert(Box::new(Partial::new(rules))),
                },
            };
            let incoming = self.step(state, input)?;
            // Between two messages a connection keeps nothing.
            if state.is_empty() {
                *partial = None;
            }
            if incoming.is_some() {
                return Ok(incoming);
            }
        }
    }

    /// The cost since the last call.
    pub fn take_cost(&mut self) -> Cost {
        std::mem::take(&mut self.cost)
    }

    /// A message in one frame, or a control frame, that is whole in the input.
    fn whole<'i>(
        &mut self,
        rules: Rules,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Incoming<'i>>, Violation> {
        let Some((header, start)) = Header::parse(input, rules.deflate)? else { return Ok(None) };
        // Nothing has been taken yet: a `Partial` begins with the same byte, and judges what is left to judge.
        if !header.last || header.opcode == Opcode::Continuation {
            return Ok(None);
        }
        // Refused by its header, before all of it has been sent.
        let length = length_within(&header, rules.bytes(header.compressed))?;
        let Some(end) = start.checked_add(length).filter(|end| *end <= input.len()) else { return Ok(None) };
        self.cost.frames += 1;
        let (frame, rest) = std::mem::take(input).split_at_mut(end);
        *input = rest;
        let payload = &mut frame[start..];
        mask::apply(payload, header.mask, 0);
        let payload = &*payload;
        Ok(Some(match (header.opcode, header.compressed) {
            (Opcode::Text, false) => Incoming::Text(Cow::Borrowed(text(payload)?)),
            (Opcode::Binary, false) => Incoming::Binary(Cow::Borrowed(payload)),
            (Opcode::Text, true) => self.inflate(payload, true, rules)?,
            (Opcode::Binary, true) => self.inflate(payload, false, rules)?,
            (opcode, _) => control(opcode, Cow::Borrowed(payload))?,
        }))
    }

    /// Takes a header or a piece of a payload in.
    fn step<'i>(
        &mut self,
        state: &mut Partial,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Incoming<'i>>, Violation> {
        if state.frame.is_none() {
            let Some(header) = state.take_header(input)? else { return Ok(None) };
            self.cost.frames += 1;
            state.begin(&header)?;
        }
        let Some(frame) = state.take_payload(input)? else { return Ok(None) };
        // It may come between the fragments of a message, which go on after it (§5.4).
        if frame.opcode.is_control() {
            return control(frame.opcode, Cow::Owned(std::mem::take(&mut state.control))).map(Some);
        }
        match state.message.take_if(|_| frame.last) {
            Some(message) => self.finish(message, state.rules).map(Some),
            None => Ok(None),
        }
    }

    fn finish(&mut self, message: Unfinished, rules: Rules) -> Result<Incoming<'static>, Violation> {
        if message.compressed {
            return self.inflate(&message.payload, message.is_text, rules);
        }
        if message.is_text {
            message.utf8.finish()?;
        }
        data(message.payload, message.is_text)
    }

    fn inflate(
        &mut self,
        payload: &[u8],
        is_text: bool,
        rules: Rules,
    ) -> Result<Incoming<'static>, Violation> {
        // By the bound of what comes out; what goes in has had a bound of its own.
        let inflated = self.inflater.inflate(payload, rules.message_bytes)?;
        self.cost.inflated = self.cost.inflated.saturating_add(inflated.len());
        data(inflated, is_text)
    }
}

impl Partial {
    fn new(rules: Rules) -> Self {
        Self {
            rules,
            header: [0; HEADER_BYTES],
            header_bytes: 0,
            frame: None,
            control: Vec::new(),
            message: None,
        }
    }

    /// Bytes of memory it holds beside itself.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.control.capacity() + self.message.as_ref().map_or(0, |message| message.payload.capacity())
    }

    fn is_empty(&self) -> bool {
        self.header_bytes == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Takes a header, or the part of one that is there.
    fn take_header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, Violation> {
        // Whole in the input, as it mostly is: parsed where it lies.
        if self.header_bytes == 0
            && let Some((header, size)) = Header::parse(input, self.rules.deflate)?
        {
            skip(input, size);
            return Ok(Some(header));
        }
        // At most fourteen steps for each header.
        while let Some(&byte) = input.first() {
            skip(input, 1);
            self.header[self.header_bytes] = byte;
            self.header_bytes += 1;
            if let Some((header, _)) = Header::parse(&self.header[..self.header_bytes], self.rules.deflate)? {
                self.header_bytes = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Judges a header by what came before it.
    fn begin(&mut self, header: &Header) -> Result<(), Violation> {
        let length = match header.opcode {
            // Cannot fail: `parse` has refused longer ones.
            Opcode::Close | Opcode::Ping | Opcode::Pong => length_within(header, CONTROL_BYTES)?,
            Opcode::Text | Opcode::Binary => {
                if self.message.is_some() {
                    return Err(Violation::InsideMessage);
                }
                let is_text = header.opcode == Opcode::Text;
                self.message = Some(Unfinished::new(is_text, header.compressed));
                length_within(header, self.rules.bytes(header.compressed))?
            }
            Opcode::Continuation => {
                let message = self.message.as_mut().ok_or(Violation::NothingToContinue)?;
                message.fragments += 1;
                if message.fragments > self.rules.fragments {
                    return Err(Violation::TooManyFragments);
                }
                // All fragments together have the bound of one message, by what their headers announce.
                let room = self.rules.bytes(message.compressed).saturating_sub(message.payload.len());
                length_within(header, room)?
            }
        };
        let (opcode, last, mask) = (header.opcode, header.last, header.mask);
        self.frame = Some(Frame { opcode, last, mask, taken: 0, length });
        Ok(())
    }

    /// Takes what is there of a frame's payload; the frame once all of it has come.
    fn take_payload(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, Violation> {
        let Some(frame) = &mut self.frame else { return Ok(None) };
        let count = input.len().min(frame.length - frame.taken);
        let (piece, rest) = std::mem::take(input).split_at_mut(count);
        *input = rest;
        // The mask goes on where the last piece ended (§5.3).
        mask::apply(piece, frame.mask, frame.taken);
        frame.taken += count;
        match &mut self.message {
            _ if frame.opcode.is_control() => self.control.extend_from_slice(piece),
            Some(message) => message.append(piece)?,
            // Cannot be: a frame that is no control frame has a message.
            None => {}
        }
        Ok(self.frame.take_if(|frame| frame.taken == frame.length))
    }
}

impl Unfinished {
    fn new(is_text: bool, compressed: bool) -> Self {
        Self { is_text, compressed, payload: Vec::new(), utf8: Utf8::default(), fragments: 1 }
    }

    /// Adds a piece; memory grows with what has come, not with what is announced.
    fn append(&mut self, piece: &[u8]) -> Result<(), Violation> {
        // Fragment by fragment, so that what is wrong ends the connection at once; what is compressed is no text yet.
        if self.is_text && !self.compressed {
            self.utf8.feed(piece)?;
        }
        self.payload.extend_from_slice(piece);
        Ok(())
    }
}

fn skip(input: &mut &mut [u8], count: usize) {
    let (_, rest) = std::mem::take(input).split_at_mut(count);
    *input = rest;
}

fn length_within(header: &Header, limit: usize) -> Result<usize, Violation> {
    usize::try_from(header.length).ok().filter(|length| *length <= limit).ok_or(Violation::TooBig)
}

fn text(bytes: &[u8]) -> Result<&str, Violation> {
    std::str::from_utf8(bytes).map_err(|_| Violation::NotUtf8)
}

fn data(payload: Vec<u8>, is_text: bool) -> Result<Incoming<'static>, Violation> {
    Ok(match is_text {
        // Pieces may end within a character and were gathered as bytes; this second look is what a `String` asks for.
        true => Incoming::Text(Cow::Owned(String::from_utf8(payload).map_err(|_| Violation::NotUtf8)?)),
        false => Incoming::Binary(Cow::Owned(payload)),
    })
}

fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Violation> {
    Ok(match opcode {
        Opcode::Close => Incoming::Close(close::parse(&payload)?),
        Opcode::Pong => Incoming::Pong(payload),
        _ => Incoming::Ping(payload),
    })
}
