//! What is moved: a history with everything that a store can hold, and how it is looked at.

use std::{path::Path, time::Duration};

use annals::{
    Append, EventStore, EventStoreExt as _, ExpectedVersion, Fingerprint, IdempotencyKey, ManualClock, Metadata,
    NewEvent, Verify,
    store::{Auditable, TransferStore},
};
use fastrand::Rng;
use uuid::Uuid;

use crate::cli::program::{done_on, run_on};

/// Payloads that are easily changed by whoever reads and writes them again.
pub const AWKWARD: [&str; 12] = [
    r#"{"n":9007199254740993,"m":-0,"e":1E+2,"f":1.10}"#,
    r#"{"a":1,   "b" : [ 1 ,2 ],"a":2}"#,
    "{\n  \"lines\": [\n    1,\r\n    2\n  ]\n}",
    " {\"blank\":\"before\"}",
    "{\"blank\":\"behind\"}\t",
    r#"{"escaped":"\u00e9 \u0000 \/ \ud800 \"sum\":\"0\""}"#,
    "{\"plain\":\"é 漢 \u{1f600} \u{2028} \u{7f}\"}",
    "null",
    "\"a text\\nof its own\"",
    "1e400",
    r#"{"payload_text":"{}","kind":"end"}"#,
    "\"\u{feff}\"",
];

/// Writes commands of every kind, the same for the same seed, and gives those with a key or a version: sent again, they are
/// to be replays.
pub async fn fill(store: &dyn EventStore, clock: &ManualClock, seed: u64, commands: u32) -> Vec<Append> {
    let random = &mut Rng::with_seed(seed);
    let mut versions = [0_u64; 12];
    let mut sent = Vec::new();
    for number in 0..commands {
        clock.advance(Duration::from_micros(random.u64(1..5_000_000)));
        let at = random.usize(..versions.len());
        let command_id = Uuid::from_u128((u128::from(seed) << 64) | (u128::from(number) + 1));
        let aggregate_type = ["note", "sales-order"][at % 2];
        let mut append = Append::new(aggregate_type, id(seed, at)).command_id(command_id);
        let (is_keyed, is_rejected) = (random.u32(..3) > 0, random.u32(..8) == 0);
        if is_keyed {
            // Every visible byte.
            let key = format!("{}-{number}\"\\/~!", char::from(random.u8(b'!'..=b'~')));
            append = append.idempotency_key(IdempotencyKey::new(key).unwrap());
            append = append.fingerprint(Fingerprint::of(&(seed, number)).unwrap());
            if random.u32(..4) == 0 {
                append = append.keep_receipt_for(Duration::from_secs(100 * 365 * 86_400));
            }
        }
        if is_keyed && is_rejected {
            append = append.expected(ExpectedVersion::Exact(versions[at]));
            append = append.rejected(AWKWARD[random.usize(..AWKWARD.len())].into());
        } else {
            let events = random.u64(1..6);
            append = append.events((0..events).map(|_| event(random)));
            if random.bool() {
                append = append.expected(ExpectedVersion::Exact(versions[at]));
            }
            append = append.metadata(Metadata::new().correlation_id(format!("seen \"{number}\"\n")));
            versions[at] += events;
        }
        store.append_one(append.clone()).await.unwrap();
        sent.push(append);
    }
    sent
}

pub fn id(seed: u64, at: usize) -> Uuid {
    Uuid::new_v5(&Uuid::from_u128(seed.into()), &[u8::try_from(at).unwrap()])
}

fn event(random: &mut Rng) -> NewEvent {
    let payload = match random.u32(..3) {
        0 => AWKWARD[random.usize(..AWKWARD.len())].to_owned(),
        1 => format!("{{\"amount\":{}}}", random.u64(..)),
        _ => format!("{:?}", "x".repeat(random.usize(..700))),
    };
    let event_type = ["opened", "Größe geändert", "a \"quoted\" type"][random.usize(..3)];
    NewEvent::from_json(event_type, payload).unwrap().in_schema_version(random.u32(1..4))
}

/// The same commands again: nothing is written.
pub async fn all_are_replays(store: &dyn EventStore, sent: &[Append]) {
    for append in sent.iter().filter(|append| append.key.is_some() || append.expected.named().is_some()) {
        let again = store.append_one(append.clone()).await;
        assert!(again.as_ref().is_ok_and(|appended| appended.replayed), "{append:?}: {again:?}");
    }
}

/// Nothing is wrong with what is stored.
pub async fn is_sound(store: &dyn Auditable) -> u64 {
    let report = Verify::new(store).run().await.unwrap();
    assert!(report.is_sound(), "{report}");
    report.counts.receipts
}

/// All that there is: events with their positions, and receipts.
pub async fn contents<S: TransferStore>(store: &S) -> (Vec<String>, usize) {
    let events = store.collect_log(&annals::LogQuery::all()).await.unwrap();
    let receipts = store.read_receipts(None, store.head().await.unwrap(), 1_000_000).await.unwrap();
    let rows =
        events.iter().map(|event| format!("{event:?}")).chain(receipts.iter().map(|receipt| format!("{receipt:?}")));
    (rows.collect(), events.len())
}

/// The lines of an export to standard output.
pub fn exported(url: &str) -> String {
    done_on(url, &["export", "-q"])
}

/// Imports a file, which has to succeed, and gives what was told.
pub fn imported(url: &str, file: &Path) -> serde_json::Value {
    let out = done_on(url, &["import", "-q", "--format", "json", file.to_str().unwrap()]);
    serde_json::from_str(&out).unwrap()
}

/// Imports a file that is refused, and gives the words.
pub fn refused(url: &str, file: &Path) -> String {
    let (code, out, err) = run_on(url, &["import", file.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    err
}
