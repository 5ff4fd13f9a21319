//! Settings that go together only in some ways.

use super::{Settings, fallback::DEFAULT_LISTEN, parts::TlsFiles, wording::Place};
use crate::{
    defaults,
    memory::{Class, Plan},
};

/// A certificate needs its key.
pub(super) fn tls(settings: &Settings, place: &Place<'_>, mistakes: &mut Vec<String>) -> Option<TlsFiles> {
    for (key, file) in [("tls_cert", &settings.tls_cert), ("tls_key", &settings.tls_key)] {
        // Paths are shown; what stands in the files is not.
        if file.as_ref().is_some_and(|file| file.to_string_lossy().contains("-----BEGIN")) {
            mistakes.push(place.mistake(key, "must be the path of a file, not what stands in it"));
        }
    }
    match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => return Some(TlsFiles { cert: cert.clone(), key: key.clone() }),
        (Some(_), None) => mistakes.push(place.mistake("tls_cert", "needs `tls_key`, too")),
        (None, Some(_)) => mistakes.push(place.mistake("tls_key", "needs `tls_cert`, too")),
        (None, None) => {}
    }
    None
}

/// A key of a rule belongs to its kind.
pub(super) fn rules(settings: &Settings, place: &Place<'_>, mistakes: &mut Vec<String>) {
    if let Some(default) = &settings.default {
        if default.pattern.is_some() {
            mistakes.push(place.mistake("pattern", "is for [[rule]], not for [default]"));
        }
        for key in default.misplaced_keys() {
            mistakes.push(place.mistake(key, "in [default] does not belong to its `kind`"));
        }
    }
    for (index, rule) in settings.rule.iter().flatten().enumerate() {
        let number = index + 1;
        match &rule.pattern {
            None => mistakes.push(format!("[[rule]] number {number}: `pattern` is missing")),
            Some(pattern) => {
                for key in rule.misplaced_keys() {
                    let what = format!("in the rule for `{pattern}` does not belong to its `kind`");
                    mistakes.push(place.mistake(key, &what));
                }
            }
        }
    }
}

/// What is to outlive the process needs a place.
pub(super) fn durable(settings: &Settings, place: &Place<'_>, mistakes: &mut Vec<String>) {
    let all = settings.default.iter().chain(settings.rule.iter().flatten());
    // Also without a data directory: the mistake is in the rule, wherever the broker is to run.
    if all.clone().any(|rule| rule.deliver.is_some() && !rule.is_durable()) {
        mistakes.push(place.mistake("deliver", "is for rules with `durable = true`"));
    }
    if settings.data_dir.is_some() {
        return;
    }
    let default = settings.default.iter().map(|rule| ("[default]".to_owned(), rule));
    let by_pattern = settings.rule.iter().flatten();
    let rules = by_pattern
        .map(|rule| (format!("the rule for `{}`", rule.pattern.as_deref().unwrap_or_default()), rule));
    for (whose, _) in default.chain(rules).filter(|(_, rule)| rule.is_durable()) {
        mistakes.push(place.mistake("durable", &format!("in {whose} needs `data_dir` (or --data-dir DIR)")));
    }
}

/// Whoever can be reached by others knows who they are, or says that it does not matter.
pub(super) fn exposure(
    settings: &Settings,
    has_authentication: bool,
    place: &Place<'_>,
    mistakes: &mut Vec<String>,
) {
    let listen = settings.listen.unwrap_or(DEFAULT_LISTEN);
    let insecure = settings.insecure.unwrap_or(false);
    // An error rather than a warning in the log, which is read after somebody has come in.
    if !listen.ip().is_loopback() && !has_authentication && !insecure {
        let what = format!(
            "is {listen}, which others can reach, but no authentication is configured: set `auth_hmac_secret` or another `auth_…`, \
             or pass --insecure to let everybody in"
        );
        mistakes.push(place.mistake("listen", &what));
    }
}

/// Memory is enough for the least, and a part is not more than the whole.
pub(super) fn memory(plan: &Plan, place: &Place<'_>, mistakes: &mut Vec<String>) {
    if plan.max() < defaults::MEMORY_BYTES_MIN {
        let least = defaults::MEMORY_BYTES_MIN;
        mistakes.push(place.mistake("max_memory_bytes", &format!("must be at least {least}")));
    }
    if plan.share(Class::Documents) > plan.max() {
        mistakes.push(place.mistake("max_documents_bytes", "must not be more than `max_memory_bytes`"));
    }
}
