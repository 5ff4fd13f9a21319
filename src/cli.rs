//! `fanwire source …`: the sources of webhooks, and one delivery tried step by step without publishing it.
#![expect(unreachable_pub, reason = "a module of the command, which nobody links to")]

use std::{
    error::Error,
    fmt::{self, Write},
    fs,
    io::Read,
    path::PathBuf,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use clap::{Args, Subcommand};
use fanwire::{
    clock::unix_ms,
    config::Config,
    provider::{Certificates, Fate, Naming, NoCertificates, Part, Request, Source, decode, presets},
};

pub mod allocator;
pub mod flags;
mod readable;
pub mod store;

use super::ServeArguments;

/// What to do with sources.
#[derive(Subcommand)]
pub enum SourceCommand {
    /// List the sources of a configuration
    List(Box<ServeArguments>),
    /// List the providers that are known
    Presets,
    /// Try a delivery: what the source makes of it, step by step; nothing is published
    Test(Box<TestArguments>),
}

/// A delivery.
#[derive(Args)]
pub struct TestArguments {
    /// The source
    name: String,
    /// File with the body, byte for byte; `-` for standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// A header; repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// HTTP method
    #[arg(long, default_value = "POST")]
    method: String,
    /// The address the provider used, if it signs it [default: the source's public_url]
    #[arg(long)]
    url: Option<String>,
    /// When it came, in seconds since 1970 [default: now]
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,
    /// Leave aside whether it is verified, to try filter and templates with a payload of one's own
    #[arg(long)]
    unverified: bool,
    #[command(flatten)]
    config: ServeArguments,
}

/// What a command prints, and whether the delivery would be published.
pub struct Report {
    /// For standard output.
    pub text: String,
    /// Whether every step passed.
    pub passed: bool,
}

impl SourceCommand {
    /// The settings that it takes, if it takes any.
    pub fn settings(&mut self) -> Option<&mut ServeArguments> {
        match self {
            Self::List(own) => Some(own),
            Self::Test(own) => Some(&mut own.config),
            Self::Presets => None,
        }
    }

    /// Does it.
    pub fn run(self) -> Result<Report, Box<dyn Error>> {
        let text = match self {
            Self::List(arguments) => list(&arguments.sources().load()?.webhooks),
            Self::Presets => list_presets(),
            Self::Test(arguments) => {
                let config = arguments.config.clone().sources().load()?;
                let source = config.webhooks.iter().find(|source| source.name == arguments.name);
                let source = source.ok_or_else(|| format!("there is no source `{}`", arguments.name))?;
                return Ok(Trial::read(source, &arguments)?.report(arguments.unverified, &config));
            }
        };
        Ok(Report { text, passed: true })
    }
}

fn list(sources: &[Source]) -> String {
    let line = |source: &Source| {
        let state = if source.enabled { "" } else { "  disabled" };
        format!("{:<24} {:<18} /in/{}{state}\n", source.name, source.preset.name, source.name)
    };
    sources.iter().map(line).collect()
}

fn list_presets() -> String {
    let line = |preset: &fanwire::provider::Preset| {
        let needs = [preset.secret.as_deref(), preset.expect.as_deref()];
        let needs: Vec<_> = needs.into_iter().flatten().collect();
        format!("{:<18} {:<44} {}\n", preset.name, preset.title, needs.join("; "))
    };
    presets().iter().map(line).collect()
}

/// A delivery to try.
struct Trial<'a> {
    source: &'a Source,
    method: String,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
    at_ms: u64,
}

impl<'a> Trial<'a> {
    fn read(source: &'a Source, arguments: &TestArguments) -> Result<Self, String> {
        let name = arguments.file.display();
        let body = if arguments.file.as_os_str() == "-" {
            let mut body = Vec::new();
            std::io::stdin().read_to_end(&mut body).map(|_| body)
        } else {
            fs::read(&arguments.file)
        };
        let mut headers = HeaderMap::new();
        for (index, header) in arguments.header.iter().enumerate() {
            // It is not repeated: it may be a credential.
            let wrong = || format!("--header number {} is not `NAME: VALUE`", index + 1);
            let (name, value) = split(header).ok_or_else(wrong)?;
            headers.append(name, value);
        }
        let default_url = || source.public_url.clone().unwrap_or_else(|| format!("/in/{}", source.name));
        Ok(Self {
            source,
            method: arguments.method.to_ascii_uppercase(),
            url: arguments.url.clone().unwrap_or_else(default_url),
            headers,
            body: body.map_err(|error| format!("{name}: {error}"))?,
            at_ms: arguments.at.map_or_else(unix_ms, |seconds| seconds.saturating_mul(1_000)),
        })
    }

    fn report(&self, unverified: bool, config: &Config) -> Report {
        let mut steps = Steps::default();
        let passed = self.walk(&mut steps, unverified, config, &NoCertificates);
        Report { text: steps.0, passed }
    }

    /// The way of a delivery, as the broker goes it; false where it ends early.
    fn walk(
        &self,
        steps: &mut Steps,
        unverified: bool,
        config: &Config,
        certificates: &dyn Certificates,
    ) -> bool {
        let source = self.source;
        let encoding = self.headers.get("content-encoding").map(HeaderValue::as_bytes);
        let content = decode(encoding, &self.body, source.max_body_bytes);
        let compressed = matches!(content, Ok(Some(_))).then_some(&self.body[..]);
        let body = content.as_ref().ok().and_then(Option::as_deref).unwrap_or(&self.body);
        let request = Request::new(&self.method, &self.url, &self.headers, body, self.at_ms);
        let request = request.compressed_as(compressed);
        steps.say("source", format_args!("{} ({})", source.name, source.preset.title));
        steps.say("body", format_args!("{} bytes", self.body.len()));
        if self.body.len() > source.max_body_bytes {
            return steps.end("size", format_args!("over the limit of {} bytes: 413", source.max_body_bytes));
        }
        if let Err(error) = &content {
            return steps.end("body", format_args!("{error}"));
        }
        if !source.methods.contains(&self.method) {
            return steps.end("method", format_args!("{} is not taken: 405", self.method));
        }
        if let Some(greeting) = source.greet(&request) {
            return steps.handshake(greeting);
        }
        let verified = match source.verify(&request, certificates) {
            Ok(verified) if verified.signed => {
                steps.say("verified", format_args!("yes"));
                verified
            }
            Ok(verified) => {
                steps.say("verified", format_args!("there is nothing to verify"));
                verified
            }
            Err(error) if unverified => {
                steps.say("verified", format_args!("no, but that is left aside here: {error}"));
                fanwire::provider::Verified::before(true)
            }
            Err(error) => {
                return steps.end("verified", format_args!("no: {error}: {}", source.preset.rejected_status));
            }
        };
        if let Some(reply) = source.reply(&request) {
            return steps.handshake(reply);
        }
        let max_message_bytes = config.limits.max_message_bytes;
        let naming = Naming { id: &format!("{}-test", source.name), max_message_bytes };
        let parts = source.parts(&request, &verified, naming);
        steps.say("events", format_args!("{}", parts.len()));
        parts.iter().for_each(|part| steps.part(part));
        steps.say("answer", format_args!("{} {}", source.answer.status, source.answer.text()));
        parts.iter().any(|part| matches!(part.fate, Fate::Publish(_)))
    }
}

fn split(header: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = header.split_once(':')?;
    Some((name.trim().parse().ok()?, HeaderValue::from_str(value.trim()).ok()?))
}

/// Lines of a report.
#[derive(Default)]
struct Steps(String);

impl Steps {
    fn say(&mut self, step: &str, what: fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "{step:<10} {what}");
    }

    fn end(&mut self, step: &str, what: fmt::Arguments<'_>) -> bool {
        self.say(step, what);
        false
    }

    fn handshake(&mut self, answer: Result<fanwire::provider::Answer, fanwire::provider::Refused>) -> bool {
        match answer {
            Ok(answer) => {
                self.say("handshake", format_args!("answered with {} {}", answer.status, answer.text()));
                if let Some(address) = &answer.fetch {
                    // Without the query, which has a token.
                    let shown = address.split('?').next().unwrap_or_default();
                    self.say("confirm", format_args!("by fetching {shown}?…"));
                }
                true
            }
            Err(error) => self.end("handshake", format_args!("{error}")),
        }
    }

    fn part(&mut self, part: &Part) {
        self.say("event", format_args!("{} {}", part.index, part.event.as_deref().unwrap_or("(unnamed)")));
        match &part.fate {
            Fate::Filtered => self.say("  filter", format_args!("does not let it pass")),
            Fate::Failed(why) => self.say("  failed", format_args!("{why}")),
            Fate::Publish(outgoing) => {
                let names = part.seen_as.len();
                let again =
                    if names == 0 { "is not recognised when it comes again" } else { "is recognised" };
                self.say("  dedupe", format_args!("{again}"));
                self.say("  topic", format_args!("{}", outgoing.topic));
                if let Some(key) = &outgoing.key {
                    self.say("  key", format_args!("{key}"));
                }
                match &outgoing.payload {
                    fanwire_proto::Payload::Json(json) => self.say("  payload", format_args!("{json}")),
                    fanwire_proto::Payload::Bytes(bytes) => {
                        self.say("  payload", format_args!("{} bytes", bytes.len()));
                    }
                }
            }
        }
    }
}
