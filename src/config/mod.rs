//! From settings to a checked configuration: flag over environment over file over default; every mistake named with
//! its key and, in a file, its line.

mod checked;
mod consistency;
mod credentials;
mod errors;
mod fallback;
mod keys;
mod origins;
mod parts;
mod rules;
mod secret_file;
mod settings;
mod shown;
mod sources;
#[cfg(test)]
mod tests;
mod webhooks;
mod wording;

pub use checked::Config;
pub use errors::ConfigErrors;
pub use keys::KeySettings;
pub use parts::{DoorLimits, StoreSettings, TlsFiles};
pub use rules::{KindName, RuleSettings};
pub use settings::{LogFormat, Settings};
pub use sources::Sources;
pub use webhooks::{PayloadType, SourceSettings};
