//! `[[source]]`: where webhooks of others come in, read with their secrets and checked.

mod blueprint;
mod bounds;
mod secrets;
mod settings;

use std::collections::BTreeSet;

pub use settings::{PayloadType, SourceSettings};

use super::wording::Place;
use crate::provider::{Source, preset, presets};

/// All sources, with every mistake of any.
pub(super) fn read(
    settings: &[SourceSettings],
    place: &Place<'_>,
    mistakes: &mut Vec<String>,
) -> Vec<Source> {
    let mut names = BTreeSet::new();
    let mut sources = Vec::new();
    for settings in settings {
        let name = &settings.name;
        let mut told = |key: &str, what: &str| mistakes.push(place.of_source(name, key, what));
        if !names.insert(name) {
            told("name", "is given to another source, too");
        }
        let Some(preset) = preset(&settings.provider) else {
            let known: Vec<_> = presets().iter().map(|preset| preset.name.as_str()).collect();
            told("provider", &format!("must be one of {}", known.join(", ")));
            continue;
        };
        let blueprint = settings.blueprint(preset, &mut told);
        match Source::build(blueprint) {
            Ok(source) => sources.push(source),
            // A secret that cannot be read is not missing, too.
            Err(found) => found
                .iter()
                .filter(|(key, what)| {
                    !(*key == "secret_env" && what.contains("is missing"))
                        || settings.secret_env.is_empty() && settings.secret_file.is_empty()
                })
                .for_each(|(key, what)| told(key, what)),
        }
    }
    sources
}
