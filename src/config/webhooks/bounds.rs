//! What the numbers of a source may be.

use std::ops::RangeInclusive;

use super::settings::SourceSettings;
use crate::{
    defaults,
    provider::{Preset, Scheme},
};

/// Tells of every number that is out of bounds, and of those that do not go together.
pub(super) fn check(settings: &SourceSettings, preset: &Preset, told: &mut dyn FnMut(&str, &str)) {
    let body_bytes = settings.body_bytes(preset);
    let mut check = |key: &str, number: u64, allowed: RangeInclusive<u64>, why: &str| {
        if !allowed.contains(&number) {
            told(key, &format!("must be from {} to {}{why}", allowed.start(), allowed.end()));
        }
    };
    let bytes = |bytes: usize| bytes as u64;
    check("max_body_bytes", bytes(body_bytes), 1..=bytes(defaults::WEBHOOK_BODY_BYTES_MAX), "");
    check("dedupe_s", settings.dedupe_s, 1..=defaults::WEBHOOK_DEDUPE_S_MAX, "");
    check("keep_age_s", settings.keep_age_s, 1..=defaults::WEBHOOK_KEEP_AGE_S_MAX, "");
    let why = ": what is not kept cannot be published";
    check("keep_count", bytes(settings.keep_count), 1..=bytes(defaults::WEBHOOK_KEEP_COUNT_MAX), why);
    let why = ": not less than `max_body_bytes`, or the largest delivery could not be kept";
    // Clamped, so that a body size out of bounds is told once, by its own key, and does not make a range that is none.
    let least = bytes(body_bytes.clamp(1, defaults::WEBHOOK_BODY_BYTES_MAX));
    check("keep_bytes", bytes(settings.keep_bytes), least..=bytes(defaults::WEBHOOK_KEEP_BYTES_MAX), why);
    let schemes = settings.verify.as_deref().unwrap_or(&preset.verify);
    let own = settings.verify.iter().flatten().filter_map(|scheme| scheme.tolerance_s);
    for tolerance_s in settings.tolerance_s.into_iter().chain(own) {
        check("tolerance_s", tolerance_s, 1..=defaults::WEBHOOK_TOLERANCE_S_MAX, "");
    }
    // While its date is good, a captured request can be sent again; only its being known keeps it out.
    if longest_tolerance(settings, schemes).is_some_and(|tolerance_s| tolerance_s > settings.dedupe_s) {
        told("dedupe_s", "must not be less than `tolerance_s`, or a captured request could be sent again");
    }
}

fn longest_tolerance(settings: &SourceSettings, schemes: &[Scheme]) -> Option<u64> {
    settings.tolerance_s.or(schemes.iter().filter_map(|scheme| scheme.tolerance_s).max())
}
