//! `fanwire source` and `fanwire check`: mistakes are found, and deliveries tried, before a provider sends any.

use crate::support::{Launch, signing};

const SECRET: &str = "It's a Secret to Everybody";

fn launch(config: &str) -> Launch {
    Launch::default().config(config).env("HOOK_SECRET", SECRET)
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (config, expected) in [
        ("name = 'a'\nprovider = 'githb'\n", "fanwire.toml:2: source `a`: `provider` must be one of stripe,"),
        ("name = 'a b'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\n", "`name` must be 1 to 64 letters"),
        (
            "name = 'a'\nprovider = 'github'\n",
            "`secret_env` or `secret_file` is missing: the secret of the webhook",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'NOT_SET'\n",
            "`secret_env` names `NOT_SET`, which is not set",
        ),
        ("name = 'a'\nprovider = 'github'\nsecret_file = '/none'\n", "`secret_file` cannot be read: /none"),
        ("name = 'a'\nprovider = 'unsigned'\n", "this provider signs nothing, so that anybody could send"),
        ("name = 'a'\nprovider = 'discord'\npublic_key = 'x'\n", "`public_key` cannot be used"),
        ("name = 'a'\nprovider = 'paypal'\n", "`expect` is missing: ID of the webhook"),
        (
            "name = 'a'\nprovider = 'meta'\nsecret_env = 'HOOK_SECRET'\n",
            "`challenge_token_env` or `challenge_token_file` is missing",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\ntopic = 't:{{ event }}'\n",
            "`topic` uses `event`, which GitHub does not sign",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\ntopic = '{{ body.x'\n",
            "`topic` is no template",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\nfilter = { body = { a = { '$x' = 1 } } }\n",
            "`filter` is no filter: there is no operator `$x`",
        ),
        (
            "name = 'a'\nprovider = 'stripe'\nsecret_env = 'HOOK_SECRET'\ndedupe_s = 100\n",
            "`dedupe_s` must not be less than `tolerance_s`",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\nanswer_status = 500\n",
            "`answer_status` must be from 200 to 299",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\ntopic = 't:{{ boddy.a }}'\n",
            "`topic` uses `boddy.a`, but there is no `boddy`",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\npayload = '{{ boddy.a }}'\n",
            "`payload` uses `boddy.a`, but there is no `boddy`",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\ntopic = 't:{{ body.a | nope }}'\n",
            "`topic` is no template: there is no filter `nope`",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\npayload = 'hello'\n",
            "`payload` is no template: it does not render JSON",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\nfilter = { boddy = { a = 1 } }\n",
            "`filter` is no filter: uses `boddy`, but there is no `boddy`",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\nmax_body_bytes = 0\n",
            "`max_body_bytes` must be at least 1",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\nkeep_count = 0\n",
            "`keep_count` must be at least 1",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\nanswer_type = 'json'\n",
            "`answer_type` is no media type",
        ),
        ("name = 'a'\nprovider = 'github'\nsecret = 'whsec_x'\n", "use `secret_env` or `secret_file`"),
        ("name = 'a'\nsecret_env = 'HOOK_SECRET'\n", "`verify` is missing"),
        ("name = 'a'\nprovider = 'github'\nsecrets = 'x'\n", "unknown field `secrets`"),
    ] {
        let (ok, _, told) = launch(&format!("[[source]]\n{config}")).run("check");
        assert!(!ok && told.contains(expected), "{config}\n{told}");
    }
    let twice = "[[source]]\nname = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\n".repeat(2);
    assert!(launch(&twice).run("check").2.contains("`name` is given to another source"));
}

#[test]
fn secrets_are_not_shown() {
    let config = "[[source]]\nname = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\n";
    let (ok, shown, _) = launch(config).run("check");
    assert!(ok && shown.contains("secret_env = [\"HOOK_SECRET\"]") && !shown.contains(SECRET), "{shown}");
    let (ok, again, told) = launch(&shown).run("check");
    assert!(ok, "{told}");
    assert_eq!(again, shown, "the effective configuration is a configuration");
}

#[test]
fn a_verifier_of_ones_own_is_data() {
    let config = "[[source]]\nname = 'own'\nsecret_env = 'HOOK_SECRET'\n[[source.verify]]\n\
        algorithm = 'hmac-sha256'\nsignature = 'header:x-own'\nprefix = 'v1='\nsigned = '{timestamp}.{body}'\n\
        timestamp = 'header:x-own-time'\ntolerance_s = 60\n";
    let try_at = |at: &str, signed_at: &str| {
        let signature = signing::hex(SECRET, &[signed_at.as_bytes(), b".{}"]);
        let arguments = [
            "test",
            "own",
            "--file",
            "body.json",
            "--at",
            at,
            "--header",
            &format!("X-Own: v1={signature}"),
            "--header",
            &format!("X-Own-Time: {signed_at}"),
        ];
        let launch = launch(config).file("body.json", "{}");
        arguments.into_iter().fold(launch, |launch, argument| launch.switch(argument)).run("source")
    };
    let (ok, steps, told) = try_at("1700000000", "1700000000");
    assert!(ok, "{steps}{told}");
    for line in ["verified   yes", "  topic    webhook:own", "\"data\":{}", "  dedupe   is recognised"] {
        assert!(steps.contains(line), "{steps}");
    }
    let (ok, steps, _) = try_at("1700000061", "1700000000");
    assert!(!ok && steps.contains("the signature is 61 s old; 60 s are allowed: 401"), "{steps}");
    assert!(try_at("1699999940", "1700000000").0);
    assert!(!try_at("1700000000", "170000000").0);
}

#[test]
fn every_provider_is_listed() {
    let (ok, listed, _) = Launch::default().switch("presets").run("source");
    assert!(ok && listed.lines().count() >= 30, "{listed}");
    for name in ["stripe", "github", "hubspot", "discord", "salesforce", "sns", "cloudevents"] {
        assert!(listed.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}");
    }
}
