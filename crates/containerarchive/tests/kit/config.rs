//! `config.json`.

use containerarchive::crypto::Suite;
use serde_json::{Value, json};

use crate::case::{Cases, Verdict};
use crate::lab::{Side, TIME};
use crate::text::object;

pub(crate) fn base(side: &Side) -> Value {
    let chunk_hash = if side.suite == Suite::Plain { "sha-256" } else { "hmac-sha-256" };
    json!({
        "kind": "config", "repository": side.repository, "name": "config.json", "version": 1, "serial": 1,
        "created": TIME, "requires": [], "suite": side.suite.number(), "chunkHash": chunk_hash,
        "chunking": {"algorithm": "fastcdc-nc2", "min": 65536, "average": 262_144, "max": 1_048_576},
        "weakStore": false,
    })
}

fn with(side: &Side, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body = base(side);
    change(&mut body);
    object(&body.to_string(), side.signer())
}

pub(crate) fn cases(cases: &mut Cases) {
    let side = Side::encrypted();
    let plain = Side::plain();
    cases.accept("R-CONFIG-1", "version-1.config", with(&side, |_| ()));
    let newer = with(&side, |body| body["version"] = json!(2));
    cases.reject_as("R-CONFIG-1", "version-2.config", newer, Verdict::Version);
    let newer = with(&side, |body| {
        body["version"] = json!(2);
        body["requires"] = json!(["lanterns"]);
        body["serial"] = json!("seven");
    });
    cases.reject_as("R-CONFIG-1", "version-2-of-other-form.config", newer, Verdict::Version);
    let older = with(&side, |body| body["version"] = json!(0));
    cases.reject_as("R-CONFIG-1", "version-0.config", older, Verdict::Version);
    cases.accept("R-CONFIG-2", "serial-9.config", with(&side, |body| body["serial"] = json!(9)));
    cases.reject("R-CONFIG-2", "serial-0.config", with(&side, |body| body["serial"] = json!(0)));
    cases.accept("R-CONFIG-3", "nothing-required.config", with(&side, |_| ()));
    let needy = with(&side, |body| body["requires"] = json!(["lanterns"]));
    cases.reject_as("R-CONFIG-3", "feature.config", needy, Verdict::Feature);
    let needy = with(&side, |body| {
        body["requires"] = json!(["lanterns"]);
        body["suite"] = json!(7);
    });
    cases.reject_as("R-CONFIG-3", "feature-before-suite.config", needy, Verdict::Feature);
    let rule = "R-CONFIG-4";
    cases.accept(rule, "suite-1.config", with(&side, |_| ()));
    cases.accept(rule, "plain-suite-0.config", with(&plain, |_| ()));
    cases.reject(rule, "suite-2.config", with(&side, |body| body["suite"] = json!(2)));
    cases.reject(rule, "suite-65537.config", with(&side, |body| body["suite"] = json!(65_537)));
    cases.reject(
        rule,
        "suite-1-with-sha-256.config",
        with(&side, |body| body["chunkHash"] = json!("sha-256")),
    );
    cases.reject(
        rule,
        "plain-with-hmac.config",
        with(&plain, |body| body["chunkHash"] = json!("hmac-sha-256")),
    );
    chunking(&side, cases);
}

fn chunking(side: &Side, cases: &mut Cases) {
    let rule = "R-CONFIG-5";
    let sizes = |min: u64, average: u64, max: u64| {
        with(side, |body| {
            body["chunking"]["min"] = json!(min);
            body["chunking"]["average"] = json!(average);
            body["chunking"]["max"] = json!(max);
        })
    };
    cases.accept(rule, "smallest.config", sizes(64, 256, 258));
    cases.accept(rule, "largest.config", sizes(4_194_302, 4_194_304, 16_777_216));
    cases.reject(rule, "min-62.config", sizes(62, 256, 258));
    cases.reject(rule, "min-odd.config", sizes(65, 256, 258));
    cases.reject(rule, "min-is-average.config", sizes(256, 256, 258));
    cases.reject(rule, "average-128.config", sizes(64, 128, 258));
    cases.reject(rule, "average-no-power-of-two.config", sizes(64, 768, 1024));
    cases.reject(rule, "average-8-mib.config", sizes(64, 8_388_608, 16_777_216));
    cases.reject(rule, "max-is-average.config", sizes(64, 256, 256));
    cases.reject(rule, "max-odd.config", sizes(64, 256, 259));
    cases.reject(rule, "max-above-16-mib.config", sizes(64, 256, 16_777_218));
    cases.reject(rule, "max-above-32-bits.config", sizes(64, 256, 1 << 33));
    cases.reject(rule, "other-algorithm.config", {
        with(side, |body| body["chunking"]["algorithm"] = json!("fixed"))
    });
}
