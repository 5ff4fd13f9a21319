//! Black-box tests: the real binary, real sockets, and clients that share no code with it.
//!
//! One binary, one file per theme. A test starts its own broker, so tests do not see each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and its helpers are tests too"
)]

mod support;

mod basics;
mod transcode;

mod history;
mod resume;
mod resume_storm;
mod server_side;
mod slow_log;
mod stepped_clock;

mod backpressure;

mod latest;
mod max_rate;

mod volatile;

mod presence;

mod sse;
mod sse_connections;

mod control;

mod fanout;

mod floods;
mod left_out;
mod limits;
mod memory;
mod quotas;

mod connections;

mod bad_frames;
mod bad_input;
mod bad_msgpack;
mod deflate;
mod echo;
mod garbage;

mod http_batch;
mod http_cloudevents;
mod http_cost;
mod http_documents;
mod http_hostile;
mod http_patience;
mod http_publish;
mod http_read;
mod http_stream;

mod web_pages;

mod auth;
mod conditions;
mod config;
mod damage;
mod data_directory;
mod document_hostile;
mod document_memory;
mod document_rest;
mod document_rights;
mod document_storm;
mod documents;
mod drain;
mod durable;
mod jwks;
mod metrics;
mod stalls;
mod store_command;
mod tls;
mod watch;
mod watch_connections;
mod watch_cost;
mod watch_tap;

mod webhook_bodies;
mod webhook_certificates;
mod webhook_command;
mod webhook_durability;
mod webhook_garbage;
mod webhook_hostile;
mod webhook_registrations;
mod webhook_secrets;
mod webhooks;
mod yjs_damage;
