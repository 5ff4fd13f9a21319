//! A configuration as it is shown: every setting with its value in force, without secrets.

use super::{Config, Settings};
use crate::memory::Class;

impl Config {
    /// The effective configuration as a file would say it, without secrets; in front, as a comment, what memory is for.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let memory = &self.limits.memory;
        let share = |class: Class| format!("#   {:<12} {}\n", class.as_str(), memory.share(class));
        let shares: String = Class::ALL.map(share).concat();
        let settings = toml::to_string(&self.without_secrets())?;
        Ok(format!("# shares of `max_memory_bytes`, in bytes:\n{shares}{settings}"))
    }

    /// The effective configuration without secrets, for programs. Where there is nothing, nothing is said.
    pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        let mut shown = serde_json::to_value(self.without_secrets())?;
        if let Some(settings) = shown.as_object_mut() {
            settings.retain(|_, value| !value.is_null());
        }
        Ok(shown)
    }

    fn without_secrets(&self) -> Settings {
        let mut shown = self.effective.clone();
        if shown.auth_hmac_secret.is_some() {
            shown.auth_hmac_secret = Some("(hidden)".into());
        }
        shown
    }
}
