//! From the settings of a source to what it is built from: secrets, certificates and filters read and checked.

use std::{path::Path, time::Duration};

use super::{
    bounds,
    secrets::secrets,
    settings::{PayloadType, SourceSettings},
};
use crate::{
    defaults,
    provider::{
        Blueprint, CERTIFICATE_BYTES_MAX, Certificate, Keep, Payload, Preset, Secret, certificates_from_pem,
        filter_from_table,
    },
};

impl SourceSettings {
    pub(super) fn blueprint(&self, preset: &'static Preset, told: &mut dyn FnMut(&str, &str)) -> Blueprint {
        let found = secrets(("secret_env", &self.secret_env), ("secret_file", &self.secret_file), told);
        let path_tokens = secrets_of_path(self, told);
        let (env, file) = (&self.challenge_token_env, &self.challenge_token_file);
        let challenge_tokens = secrets(("challenge_token_env", env), ("challenge_token_file", file), told);
        let filter = self.filter.as_ref().map(filter_from_table).transpose();
        let filter = filter.unwrap_or_else(|error| {
            told("filter", &format!("is no filter: {error}"));
            None
        });
        bounds::check(self, preset, told);
        Blueprint {
            name: self.name.clone(),
            preset,
            enabled: self.enabled,
            verify: self.verify.clone(),
            secrets: found,
            public_keys: self.public_key.iter().filter_map(|key| Secret::new(key.as_bytes())).collect(),
            certificate: self.certificate(told),
            provider_hosts: self.provider_hosts.clone(),
            authorities: self.authorities(told),
            path_tokens,
            challenge_tokens,
            expect: self.expect.clone(),
            public_url: self.public_url.clone(),
            methods: self.methods.clone(),
            max_body_bytes: self.body_bytes(preset),
            tolerance_s: self.tolerance_s,
            topic: self.topic.clone(),
            key: self.key.clone(),
            payload: match (self.payload.as_str(), self.payload_type) {
                ("envelope", _) => Payload::Envelope,
                ("body", _) => Payload::Body,
                (template, PayloadType::Json) => Payload::Json(template.into()),
                (template, PayloadType::Text) => Payload::Text(template.into()),
            },
            filter,
            allow_unsigned: self.allow_unsigned,
            dedupe: self.dedupe.clone(),
            dedupe_signed: self.dedupe_signed,
            dedupe_for: Duration::from_secs(self.dedupe_s),
            keep: Keep {
                count: self.keep_count,
                age: Duration::from_secs(self.keep_age_s),
                bytes: self.keep_bytes,
            },
            answer_status: self.answer_status,
            answer_type: self.answer_type.clone(),
            answer_body: self.answer_body.clone(),
        }
    }

    fn certificate(&self, told: &mut dyn FnMut(&str, &str)) -> Option<Certificate> {
        let pem = read_pem(self.certificate_file.as_deref()?);
        pem.and_then(|pem| Certificate::from_pem(&pem).map_err(|error| error.to_string()))
            .map_err(|error| told("certificate_file", &format!("names a file that cannot be used: {error}")))
            .ok()
    }

    fn authorities(&self, told: &mut dyn FnMut(&str, &str)) -> Vec<Vec<u8>> {
        let Some(path) = self.provider_ca_file.as_deref() else { return Vec::new() };
        let none = || "there are no certificates in PEM".to_owned();
        read_pem(path).and_then(|pem| certificates_from_pem(&pem).ok_or_else(none)).unwrap_or_else(|error| {
            told("provider_ca_file", &format!("names a file that cannot be used: {error}"));
            Vec::new()
        })
    }
}

fn read_pem(path: &Path) -> Result<Vec<u8>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    match pem.len() > CERTIFICATE_BYTES_MAX {
        true => Err(format!("it has more than {CERTIFICATE_BYTES_MAX} bytes")),
        false => Ok(pem),
    }
}

fn secrets_of_path(settings: &SourceSettings, told: &mut dyn FnMut(&str, &str)) -> Vec<Secret> {
    let (env, file) = (&settings.path_token_env, &settings.path_token_file);
    let tokens = secrets(("path_token_env", env), ("path_token_file", file), told);
    if tokens.iter().any(|token| !token.is_path_segment(defaults::WEBHOOK_PATH_TOKEN_BYTES)) {
        let least = defaults::WEBHOOK_PATH_TOKEN_BYTES;
        let what = format!(
            "or `path_token_file`: it must have at least {least} letters, digits, `-`, `_`, `.` and `~`"
        );
        told("path_token_env", &what);
    }
    tokens
}
