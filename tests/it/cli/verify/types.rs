//! The file of known types.

use serde_json::Value;

use super::{ground::Ground, shop::Shop};
use crate::cli::program::run_on;

/// Kind, sequence and sentence of each finding.
fn found(out: &str) -> Vec<(String, u64, String)> {
    let told: Value = serde_json::from_str(out).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = told["findings"].as_array().unwrap().iter();
    findings.map(|found| (text(&found["kind"]), found["sequence"].as_u64().unwrap(), text(&found["message"]))).collect()
}

async fn types_that_are_not_in_the_file_are_found(ground: Ground, shop: Shop) {
    let folder = tempfile::tempdir().unwrap();
    let whole = ground.plot("whole_types").await;
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    // What the program itself prints of a database, in both ways.
    let types = ["json", "jsonl"].map(|format| {
        let (code, out, err) = run_on(&whole.url, &["types", "--format", format]);
        assert_eq!(code, 0, "{err}");
        file(format, &out)
    });
    for types in &types {
        let (code, out, err) = run_on(&whole.url, &["verify", "--types", types]);
        assert_eq!((code, out.as_str()), (0, ""), "{err}");
    }
    whole.clear().await;
    let order = shop.orders[2];
    let payload = shop.event(order, 3).payload();
    let plot = ground.plot("unknown_type").await;
    plot.plant(&shop.rewrite(&ground, (order, 3, 2), "line-drawn", payload)).await;
    // Nothing is wrong with it, where nobody says what there is.
    assert_eq!(run_on(&plot.url, &["verify"]).0, 0);
    let (code, out, err) = run_on(&plot.url, &["verify", "--format", "json", "--types", &types[0]]);
    assert_eq!(code, 3, "{err}");
    let what = "has the type \"line-drawn\", which is not known of the aggregate type \"order\"";
    assert!(matches!(&found(&out)[..], [(kind, 3, said)] if kind == "unknown-type" && said.ends_with(what)), "{out}");
    plot.clear().await;
    // A whole aggregate of another type: nothing in it differs from the first event.
    let plot = ground.plot("unknown_aggregate").await;
    plot.plant(&format!("UPDATE annals_events SET aggregate_type = 'ordre' WHERE aggregate_id = {}", ground.id(order)))
        .await;
    let (code, out, err) = run_on(&plot.url, &["verify", "--format", "json", "--types", &types[1]]);
    assert_eq!(code, 3, "{err}");
    let what = "has the aggregate type \"ordre\", which is not known";
    assert!(matches!(&found(&out)[..], [(kind, 1, said)] if kind == "unknown-type" && said.ends_with(what)), "{out}");
    // A shape that no code reads any more.
    let older = std::fs::read_to_string(&types[1]).unwrap().replace("\"schema_version\":1", "\"schema_version\":2");
    let (code, out, _) = run_on(&plot.url, &["verify", "--format", "json", "--types", &file("older", &older)]);
    assert!(code == 3 && found(&out).iter().any(|(.., said)| said.contains("in schema version 1")), "{out}");
    plot.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_are_not_in_the_file_are_found_in_sqlite() {
    let (ground, shop) = Ground::sqlite().await;
    types_that_are_not_in_the_file_are_found(ground, shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_are_not_in_the_file_are_found_in_postgresql() {
    let (ground, shop) = Ground::postgres().await;
    types_that_are_not_in_the_file_are_found(ground, shop).await;
}

#[test]
fn a_file_that_names_no_types_is_a_wrong_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("types.json");
    for text in ["", "[]", "nonsense", "{\"event_type\":\"placed\"}", "[{\"event_type\":1}]"] {
        std::fs::write(&path, text).unwrap();
        let (code, out, err) = run_on("sqlite:none.db", &["verify", "--types", &path.display().to_string()]);
        assert_eq!((code, out.as_str()), (2, ""), "{text}: {err}");
        assert!(err.contains("types.json names no known types"), "{text}: {err}");
    }
    let (code, _, err) = run_on("sqlite:none.db", &["verify", "--types", "/nowhere/types.json"]);
    assert!(code == 2 && err.contains("/nowhere/types.json"), "{err}");
}
