//! `fanwire source` and `fanwire check`: mistakes are found, and deliveries tried, before a provider sends any.

use crate::support::{Launch, signing};

const SECRET: &str = "It's a Secret to Everybody";

fn launch(config: &str) -> Launch {
    Launch::default().config(config).env("HOOK_SECRET", SECRET)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn mistakes_are_named_with_their_line() {
    for (config, expected) in [
        ("name = 'a'\nprovider = 'githb'\n", "fanwire.toml:3: source `a`: `provider` must be one of stripe,"),
        ("name = 'a b'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\n", "`name` must be 1 to 64 letters"),
        (
            "name = 'a'\nprovider = 'github'\n",
            "`secret_env` or `secret_file` is missing: the secret of the webhook",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'NOT_SET'\n",
            "fanwire.toml:4: source `a`: `secret_env` names a variable that is not set or empty",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_file = '/none'\n",
            "`secret_file` names a file that cannot be read: No such file",
        ),
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
            "`max_body_bytes` must be from 1 to 33554432",
        ),
        (
            "name = 'a'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\nkeep_count = 0\n",
            "`keep_count` must be from 1 to 1000000",
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
fn numbers_have_bounds() {
    let github = "provider = 'github'\nsecret_env = 'HOOK_SECRET'\n";
    let stripe = "provider = 'stripe'\nsecret_env = 'HOOK_SECRET'\n";
    for (provider, key, wrong, right, allowed) in [
        (github, "max_body_bytes", "33554433", "33554432", "must be from 1 to 33554432"),
        (github, "dedupe_s", "0", "1", "must be from 1 to 2592000"),
        (github, "dedupe_s", "2592001", "2592000", "must be from 1 to 2592000"),
        (github, "keep_count", "1000001", "1", "must be from 1 to 1000000"),
        (github, "keep_age_s", "0", "1", "must be from 1 to 31622400"),
        (github, "keep_age_s", "31622401", "31622400", "must be from 1 to 31622400"),
        (github, "keep_bytes", "0", "26214400", "must be from 26214400 to 1099511627776: not less than"),
        (github, "keep_bytes", "26214399", "1099511627776", "not less than `max_body_bytes`"),
        (stripe, "keep_bytes", "1048575", "1048576", "must be from 1048576 to 1099511627776"),
        (stripe, "tolerance_s", "0", "1", "must be from 1 to 604800"),
        (stripe, "tolerance_s", "604801", "345600", "must be from 1 to 604800"),
        (stripe, "dedupe_s", "299", "300", "must not be less than `tolerance_s`"),
        (github, "tolerance_s", "60", "", "which signs no time"),
        (github, "answer_status", "199", "200", "must be from 200 to 299"),
        (github, "answer_status", "300", "299", "must be from 200 to 299"),
        (github, "answer_status", "65536", "204", "must be a whole number from 0 to 65535"),
        (github, "keep_age_s", "-1", "60", "must be a whole number that is not negative"),
        (github, "keep_count", "1.5", "60", "must be a whole number that is not negative"),
    ] {
        let source = format!("[[source]]\nname = 'a'\n{provider}");
        let (ok, _, told) = launch(&format!("{source}{key} = {wrong}\n")).run("check");
        let line = if told.contains("column") { "line 5, column" } else { "fanwire.toml:5: " };
        assert!(!ok && told.contains(line) && told.contains(key) && told.contains(allowed), "{key}: {told}");
        if !right.is_empty() {
            let (ok, _, told) = launch(&format!("{source}{key} = {right}\n")).run("check");
            assert!(ok, "{key} = {right}: {told}");
        }
    }
    let own = "[[source]]\nname = 'a'\nsecret_env = 'HOOK_SECRET'\n[[source.verify]]\nalgorithm = 'hmac-sha256'\n\
        signature = 'header:x'\nsigned = '{timestamp}{body}'\ntimestamp = 'header:y'\ntolerance_s = ";
    let told = launch(&format!("{own}0\n")).run("check").2;
    assert!(told.contains("fanwire.toml:9: source `a`: `tolerance_s` must be from 1 to 604800"), "{told}");
    let told = launch(&format!("{own}400000\n")).run("check").2;
    assert!(told.contains("`dedupe_s` must not be less than `tolerance_s`"), "{told}");
}

#[test]
fn a_public_key_is_never_one_to_sign_with() {
    for config in [
        "provider = 'standard-webhooks'\npublic_key = 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3'\n",
        "provider = 'svix'\npublic_key = '1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4='\n",
        "public_key = 'everybody knows it'\n[[source.verify]]\nalgorithm = 'hmac-sha256'\nsignature = 'header:x'\nsigned = '{body}'\n",
    ] {
        let (ok, _, told) = launch(&format!("[[source]]\nname = 'a'\n{config}")).run("check");
        assert!(!ok && told.contains("`public_key` cannot be used"), "{told}");
    }
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
