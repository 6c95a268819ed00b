//! What an operator sees.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use annals::{
    Append, EventStore, EventStoreExt as _, ExpectedVersion, Fingerprint, IdempotencyKey, ManualClock, NewEvent,
    store::{Auditable, TransferStore},
};
use uuid::Uuid;

use crate::cli::{
    place::{on_both, sqlite},
    program::{run, run_on, run_with_input},
    shown::{shows, shows_but_for},
};

on_both! { an_export_and_an_import_say_what_they_did }

/// Two orders, of three commands.
async fn few(store: &dyn EventStore, clock: &ManualClock) {
    for (number, payload) in [(1, r#"{"item": "mug",  "pieces": 9007199254740993}"#), (2, "{\n \"item\": \"tin\"\n}")] {
        clock.advance(Duration::from_millis(1_500));
        let key = IdempotencyKey::new(format!("key-{number}")).unwrap();
        let append = Append::new("order", Uuid::from_u128(number))
            .command_id(Uuid::from_u128(0x100 + number))
            .expected(ExpectedVersion::New)
            .event(NewEvent::from_json("placed", payload).unwrap())
            .event(NewEvent::from_json("paid", "null").unwrap())
            .idempotency_key(key)
            .fingerprint(Fingerprint::of(&number).unwrap());
        store.append_one(append).await.unwrap();
    }
    let rejected = Append::new("order", Uuid::from_u128(1))
        .command_id(Uuid::from_u128(0x103))
        .expected(ExpectedVersion::Exact(2))
        .idempotency_key(IdempotencyKey::new("key-3").unwrap())
        .fingerprint(Fingerprint::of(&3).unwrap())
        .keep_receipt_for(Duration::from_secs(86_400))
        .rejected(r#"{"Closed":{}}"#.into());
    store.append_one(rejected).await.unwrap();
}

async fn an_export_and_an_import_say_what_they_did<S: TransferStore + Auditable>(
    url: &str,
    store: S,
    clock: Arc<ManualClock>,
) {
    few(&store, &clock).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.jsonl");
    let path = file.to_str().unwrap();
    let mut said = String::new();
    let mut say = |args: &[&str], (code, out, err): (i32, String, String)| {
        writeln!(said, "$ annals {}\n{out}{err}[{code}]\n", args.join(" ").replace(path, "shop.jsonl")).unwrap();
    };
    for args in [
        &["export", "--output", path][..],
        &["export", "--output", path],
        &["export", "--output", path, "--force", "--format", "json"],
        &["import", "--dry-run", path],
        &["import", "--dry-run", "--format", "json", path],
    ] {
        say(args, run_on(url, args));
    }
    shows("moving_lines", &std::fs::read_to_string(&file).unwrap());
    let (to_url, to, _, _to_folder) = sqlite().await;
    for args in [&["import", path][..], &["import", path], &["import", path, "--format", "json"]] {
        say(args, run_on(&to_url, args));
    }
    let whole = std::fs::read(&file).unwrap();
    say(&["import", "-"], run_with_input(&to_url, &["import", "-"], &whole));
    std::fs::write(&file, String::from_utf8(whole).unwrap().replace("mug", "rug")).unwrap();
    for args in [&["import", path][..], &["import", "--dry-run", path]] {
        say(args, run_on(&to_url, args));
    }
    drop(to);
    let folder = folder.path().to_str().unwrap().to_owned();
    shows_but_for("moving_words", &said, &[(&format!("{folder}/"), "")]);
}

#[test]
fn what_is_called_wrongly_says_how_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for (args, code, words) in [
        (&["export", "--fresh"][..], 2, "--output"),
        (&["export", "--output", path, "--database-url", "sqlite:none.db"], 2, "is a folder"),
        (&["import"], 2, "FILE"),
        (&["import", "--dry-run", "missing.jsonl"], 1, "missing.jsonl cannot be read"),
        (&["import", "--dry-run", path], 2, "is a folder"),
        (&["import", "missing.jsonl"], 2, "which database?"),
    ] {
        let (found, out, err) = run(args);
        assert_eq!((found, out.as_str()), (code, ""), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
    }
}
