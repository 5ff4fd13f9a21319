//! What each command measures, and what they share: the server under test.

pub mod fanout;
pub mod idle;
pub mod publish;
mod subject;
pub mod summary;

use std::net::ToSocketAddrs;
use std::rc::Rc;

pub use self::subject::Subject;

use crate::adapter::Adapter;
use crate::affinity::{self, Cores};
use crate::client::connection::Target;
use crate::client::stream::Tls;
use crate::client::trust;
use crate::error::{Error, Result};
use crate::options::ServerOptions;
use crate::{memory, output};

/// Descriptors a run needs besides its connections.
pub const SPARE_DESCRIPTORS: usize = 64;

/// Prepares this process for so many connections (0: as a run divides them): descriptors, and its own core. Returns the
/// cores, unless pinning is off or impossible.
///
/// # Errors
/// When there are fewer descriptors than connections, or the report cannot be written.
pub fn prepare(options: &ServerOptions, connections: usize) -> Result<Option<Cores>> {
    output::check(options.json.as_deref())?;
    if connections > 0 && (options.processes.is_some() || options.connect_rate.is_some()) {
        return Err(Error::Usage("--processes and --connect-rate are for `loadtest run`".into()));
    }
    let limit = memory::raise_descriptor_limit()?;
    let needed = (connections + SPARE_DESCRIPTORS) as u64;
    if needed > limit {
        return Err(Error::Usage(format!(
            "{connections} connections need {needed} descriptors, the limit is {limit}"
        )));
    }
    if options.no_pin {
        return Ok(None);
    }
    let cores = affinity::choose()?;
    match cores {
        Some(cores) => affinity::pin(cores.tester)?,
        None => {
            eprintln!("note: only one CPU; server and tester share it, so the figures are not comparable")
        }
    }
    if cores.is_some() && options.url.is_some() && options.serve.is_none() {
        eprintln!("note: a server given by --url is not pinned; see to it that it runs on another CPU");
    }
    Ok(cores)
}

/// Writes the machine-readable report where it was asked for.
///
/// # Errors
/// When the file cannot be written.
pub fn write_json(options: &ServerOptions, report: &impl serde::Serialize) -> Result<()> {
    let Some(path) = &options.json else { return Ok(()) };
    let text = serde_json::to_string_pretty(report).map_err(|error| Error::Encode(error.to_string()))?;
    output::write(path, &(text + "\n"))
}

/// Where a URL leads; the options say whom to trust when it is one with TLS.
///
/// # Errors
/// When it is none, or there are no certificates to trust.
pub fn target(url: &str, adapter: Rc<dyn Adapter>, options: &ServerOptions) -> Result<Target> {
    let not = || Error::Usage(format!("{url} is not a ws://HOST:PORT/PATH or wss://HOST:PORT/PATH URL"));
    let (scheme, rest) = url.split_once("://").ok_or_else(not)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) || !matches!(scheme, "ws" | "wss") {
        return Err(not());
    }
    let address = host.to_socket_addrs().map_err(|error| Error::Setup(format!("{url}: {error}")))?.next();
    let address = address.ok_or_else(|| Error::Setup(format!("{url}: the host has no address")))?;
    let path = if path.is_empty() { "/" } else { path };
    let tls = match scheme {
        "ws" => None,
        _ => Some(tls(host, options)?),
    };
    Ok(Target { tls, ..Target::new(address, host, path, adapter) })
}

/// TLS with the host of a `HOST:PORT`.
///
/// # Errors
/// When that is no name, or there are no certificates to trust.
pub fn tls(host: &str, options: &ServerOptions) -> Result<Tls> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_matches(['[', ']']).to_owned();
    let name = name.try_into().map_err(|_| Error::Usage(format!("{host} is no name for a certificate")))?;
    let config =
        if options.insecure_tls { trust::anyone() } else { trust::certificates(options.ca.as_deref()) };
    Ok(Tls { config: config?, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Encoding;

    #[test]
    fn a_url_is_taken_apart() {
        let options = ServerOptions::default();
        let parts = target("ws://127.0.0.1:7400/ws?token=x", Rc::new(Encoding::Json), &options).unwrap();
        assert_eq!((parts.address.port(), parts.path.as_str()), (7400, "/ws?token=x"));
        assert!(target("http://127.0.0.1:7400/ws", Rc::new(Encoding::Json), &options).is_err());
        assert!(target("ws://127.0.0.1/ws", Rc::new(Encoding::Json), &options).is_err());
        assert!(parts.tls.is_none());
        let options = ServerOptions { insecure_tls: true, ..options };
        assert!(target("wss://127.0.0.1:7400/ws", Rc::new(Encoding::Json), &options).unwrap().tls.is_some());
    }
}
