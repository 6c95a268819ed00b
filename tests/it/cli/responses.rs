//! `annals responses`.

use std::{sync::Arc, time::Duration};

use annals::{
    Fingerprint, IdempotencyKey, ManualClock, ResponseStore, Scope, ScopedKey,
    store::{ClaimedResponse, ResponseClaim, ResponseLease, StoredBody, StoredResponse},
};
use chrono::Utc;

use super::{
    place::on_both,
    program::{done_on, run_on},
    shown::shows_but_for,
};

on_both! {
    annals_responses_list_shows_states_and_shortens_keys
    annals_responses_list_goes_page_by_page
    annals_responses_are_tended_by_an_operator
}

/// What differs from run to run.
const RUNS: [(&str, &str); 3] = [
    (r#""run_id":"[^"]*""#, r#""run_id":"[run]""#),
    (r"20(2[6-9]|3\d)-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "[time]"),
    (r"20(2[6-9]|3\d)-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
];

fn key(scope: &Scope, key: &str) -> ScopedKey {
    ScopedKey::new(scope.clone(), IdempotencyKey::new(key).unwrap())
}

const DAY: Duration = Duration::from_secs(86_400);

async fn claim(store: &dyn ResponseStore, key: ScopedKey, lease: Duration) -> ResponseLease {
    let claim = ResponseClaim {
        key,
        fingerprint: Fingerprint::of_parts(&[b"request"]),
        recipe: 1,
        lease,
        keep_for: DAY,
        attempts: 3,
        scope_keys: None,
        request: None,
    };
    match store.claim_response(&claim).await.unwrap() {
        ClaimedResponse::Mine(lease) => lease,
        other => panic!("it is free: {other:?}"),
    }
}

fn response(status: u16) -> StoredResponse {
    StoredResponse {
        status,
        headers: vec![("content-type".to_owned(), Arc::from(*b"application/json"))],
        body: StoredBody::Whole(Arc::from(*b"{\"id\":\"ch_1\"}")),
    }
}

/// One of each state, and one at an endpoint.
async fn fill(store: &dyn ResponseStore, clock: &ManualClock) {
    clock.set(Utc::now());
    let (one, other) = (Scope::new("acct_1").unwrap(), Scope::new("acct_2").unwrap());
    let done = claim(store, key(&one, "completed-0123456789"), DAY).await;
    assert!(store.complete_response(&done, &response(201), DAY).await.unwrap());
    claim(store, key(&one, "running-0123456789"), DAY).await;
    let dead =
        claim(store, key(&one.at_endpoint("POST", "/charges"), "dead-0123456789"), Duration::from_millis(1)).await;
    clock.set(Utc::now() + Duration::from_secs(1));
    assert!(store.bury_response(&dead.key, dead.fence, &response(500), DAY).await.unwrap());
    let short = claim(store, key(&other, "short"), DAY).await;
    assert!(store.complete_response(&short, &response(200), DAY).await.unwrap());
}

async fn annals_responses_list_shows_states_and_shortens_keys<S>(url: &str, store: S, clock: Arc<ManualClock>)
where
    S: ResponseStore,
{
    assert_eq!(run_on(url, &["responses", "list"]).2, "annals: there is none\n");
    fill(&store, &clock).await;
    let mut said = String::new();
    for args in [
        &["responses", "list"][..],
        &["responses", "list", "--state", "dead", "--keys"],
        &["responses", "list", "--scope", "acct_1", "--format", "jsonl"],
        &["responses", "show", "--scope", "acct_1", "--key", "completed-0123456789", "--body"],
        &["responses", "show", "--scope", "acct_1", "--key", "running-0123456789"],
    ] {
        said.push_str(&format!("$ annals {}\n{}", args.join(" "), done_on(url, args)));
    }
    shows_but_for("responses_list", &said, &RUNS);
    assert!(!done_on(url, &["responses", "list"]).contains("0123456789"), "keys are shortened");
    let shown = done_on(url, &["responses", "show", "--scope", "acct_1", "--key", "completed-0123456789"]);
    assert!(!shown.contains("ch_1"), "bodies are shown where they are asked for: {shown}");
    for (scope, key) in [("acct_1", "nothing"), ("nobody", "short"), ("it's a b", "short")] {
        let (code, out, err) = run_on(url, &["responses", "show", "--scope", scope, "--key", key]);
        assert_eq!((code, out.as_str()), (3, ""), "{err}");
    }
    assert_eq!(run_on(url, &["responses", "show", "--scope", "acct_1", "--key", "a b"]).0, 2);
}

async fn annals_responses_list_goes_page_by_page<S: ResponseStore>(url: &str, store: S, clock: Arc<ManualClock>) {
    clock.set(Utc::now());
    let scope = Scope::new("acct_1").unwrap();
    for number in 0..1_100 {
        let scope = if number < 1_050 { scope.clone() } else { scope.at_endpoint("POST", "/refunds") };
        claim(&store, key(&scope, &format!("key-{number:04}")), DAY).await;
    }
    claim(&store, key(&Scope::new("acct_10").unwrap(), "other"), DAY).await;
    let list = |args: &[&str]| {
        let (code, out, err) = run_on(url, &[&["responses", "list", "--keys", "--format", "jsonl"], args].concat());
        assert_eq!(code, 0, "{err}");
        let key =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["key"].as_str().unwrap().to_owned();
        (out.lines().map(key).collect::<Vec<_>>(), err)
    };
    let (all, said) = list(&["--limit", "5000"]);
    assert_eq!((all.len(), said.as_str()), (1_101, ""));
    let (own, _) = list(&["--limit", "5000", "--scope", "acct_1"]);
    assert!(own.into_iter().eq((0..1_100).map(|number| format!("key-{number:04}"))), "with those at its endpoints");
    let mut after: Option<String> = None;
    let mut found = Vec::new();
    loop {
        let paged = after.as_deref().map_or(vec![], |after| vec!["--after", after]);
        let (page, said) = list(&[&["--limit", "400", "--scope", "acct_1"][..], &paged].concat());
        found.extend(page);
        let Some((_, place)) = said.split_once("--after '") else { break };
        after = Some(place.trim_end().trim_end_matches('\'').to_owned());
    }
    assert!(found.into_iter().eq((0..1_100).map(|number| format!("key-{number:04}"))));
}

async fn annals_responses_are_tended_by_an_operator<S: ResponseStore>(url: &str, store: S, clock: Arc<ManualClock>) {
    fill(&store, &clock).await;
    let endpoint = Scope::new("acct_1").unwrap().at_endpoint("POST", "/charges");
    let hash = endpoint.as_str().split_once('\u{1f}').unwrap().1.to_owned();
    let mut said = String::new();
    let mut operate = |verb: &str, key: &str, more: &[&str]| {
        let own = ["responses", verb, "--scope", "acct_1", "--key", key, "--operator", "ann"];
        let (code, out, err) = run_on(url, &[&own[..], more].concat());
        said.push_str(&format!("{verb} {key} {}: {code}\n{out}{err}", more.join(" ")));
        code
    };
    assert_eq!(operate("expire", "completed-0123456789", &[]), 2);
    assert_eq!(operate("release", "completed-0123456789", &["--yes"]), 3);
    assert_eq!(operate("expire", "running-0123456789", &["--yes"]), 3);
    assert_eq!(operate("revive", "nothing", &["--yes"]), 3);
    assert_eq!(operate("expire", "completed-0123456789", &["--yes"]), 0);
    assert_eq!(operate("release", "running-0123456789", &["--yes", "--format", "jsonl"]), 0);
    assert_eq!(operate("revive", "dead-0123456789", &["--yes", "--endpoint", &hash]), 0);
    shows_but_for("responses_operate", &said, &[]);
    let listed = done_on(url, &["responses", "list", "--scope", "acct_1"]);
    assert!(listed.contains("release by ann") && listed.contains("revive by ann"), "{listed}");
}
