//! `annals receipts`: how the requests of an aggregate ended.

use std::{cmp::Ordering, collections::BTreeSet};

use annals::{
    Error, EventStoreExt as _, IdempotencyKey, ReceiptOutcome, Search, StreamQuery,
    store::{KeyedReceipt, ReceiptQuery},
};
use chrono::{DateTime, Utc};
use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
    look::{AggregateArgs, Missing, Named, one_line},
    printer::{Printer, exact, grouped, time},
};

/// Shows how the requests of an aggregate ended
///
/// The store keeps a receipt for each request under an idempotency key: whoever sends the request again gets this answer.
/// Shown with the events it wrote, or the version at which it was rejected or had nothing to do. A key is a secret of the
/// client who made it, so its first four characters alone are shown, unless --keys is given. A receipt without a client's
/// key is the store's own: it lets the store tell a retry from a new command.
///
/// The newest are shown, oldest first; one that has expired is shown until it is swept away, and its key is free again.
/// Exit code 3: there is no receipt, no such aggregate, or it is of another type.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals receipts order natural:537434
  annals receipts order natural:537434 --key 8e03978e-40d5-43dd-bc93-6894a57f9324    was this one carried out?
  annals receipts order natural:537434 --format jsonl | jq 'select(.outcome == \"rejected\")'")]
pub struct ReceiptsArgs {
    #[command(flatten)]
    aggregate: AggregateArgs,

    /// Look one request up by its idempotency key
    #[arg(long, value_name = "KEY", value_parser = key)]
    key: Option<IdempotencyKey>,

    /// Show keys in full: they are secrets of clients
    #[arg(long)]
    keys: bool,

    /// How many are shown at the most, the newest
    #[arg(long, value_name = "RECEIPTS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

fn key(text: &str) -> Result<IdempotencyKey, String> {
    IdempotencyKey::new(text).map_err(|error| error.to_string())
}

/// A receipt, for programs.
#[derive(Debug, Serialize)]
struct Object<'r> {
    /// `None`: the store's own.
    key: Option<String>,
    outcome: &'static str,
    rejection: Option<&'r RawValue>,
    /// `None`: it wrote no event.
    first_sequence: Option<u64>,
    version: u64,
    command_id: Uuid,
    recorded_at: String,
    expires_at: Option<String>,
    is_expired: bool,
}

/// Looks them up, and shows them.
pub async fn run(session: &Session, args: &ReceiptsArgs) -> Result<Ended, Failure> {
    let named = args.aggregate.named()?;
    on!(session.open().await?, store => show(&session.printer, &store, args, &named).await)
}

async fn show(printer: &Printer, store: &dyn Search, args: &ReceiptsArgs, named: &Named<'_>) -> Result<Ended, Failure> {
    let missing = named.missing(store).await?;
    if let Some(Missing::OtherType(why)) = missing {
        return Ok(Ended::No(why));
    }
    if let Some(key) = &args.key {
        let Some(receipt) = store.receipt(named.id, key).await? else {
            return Ok(Ended::No(format!(
                "{named} has no receipt under this key: the request was not carried out, or its receipt has expired"
            )));
        };
        return list(printer, args, [KeyedReceipt { key: key.clone(), receipt }]);
    }
    let (receipts, all) = newest(store, named.id, args.limit as usize).await?;
    match missing {
        Some(Missing::NoEvents(why)) if all == 0 => return Ok(Ended::No(format!("{why}, and no receipts"))),
        _ if all == 0 => {
            let version = store.collect_stream(&StreamQuery::of(named.id).backward().limit(1)).await?;
            let version = version.first().map_or(0, annals::RecordedEvent::sequence);
            return Ok(Ended::No(format!("{named}, at version {version}, has no receipts")));
        }
        _ => {}
    }
    let left_out = all - receipts.len() as u64;
    let ended = list(printer, args, receipts.into_iter().map(|Newer(receipt)| receipt));
    if left_out > 0 {
        printer.words(format!("{} older ones are not shown: --limit", grouped(left_out)));
    }
    ended
}

/// In the order in which they were written, as far as can be told.
struct Newer(KeyedReceipt);

impl Newer {
    fn place(&self) -> (u64, DateTime<Utc>, &str) {
        let KeyedReceipt { key, receipt } = &self.0;
        (receipt.last_sequence, receipt.recorded_at, key.as_str())
    }
}

impl Ord for Newer {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Newer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Newer {}

impl PartialEq for Newer {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

/// The newest receipts, and how many there are in all. They are stored by key: so all are read, and these are kept.
async fn newest(store: &dyn Search, aggregate_id: Uuid, limit: usize) -> Result<(BTreeSet<Newer>, u64), Error> {
    let (mut kept, mut all, mut query) = (BTreeSet::new(), 0, ReceiptQuery::of(aggregate_id));
    loop {
        let page = store.list_receipts(&query).await?;
        let Some(last) = page.last() else {
            return Ok((kept, all));
        };
        query = query.after(last.key.clone());
        all += page.len() as u64;
        for receipt in page {
            kept.insert(Newer(receipt));
            if kept.len() > limit {
                kept.pop_first();
            }
        }
    }
}

fn list(
    printer: &Printer,
    args: &ReceiptsArgs,
    receipts: impl IntoIterator<Item = KeyedReceipt>,
) -> Result<Ended, Failure> {
    let now = Utc::now();
    let mut list = printer.list(&["RECORDED AT", "KEY", "OUTCOME", "EVENTS", "EXPIRES AT", "COMMAND", "REJECTION"]);
    for KeyedReceipt { key, receipt } in receipts {
        let key = (!key.is_own()).then(|| if args.keys { key.as_str().to_owned() } else { shortened(&key) });
        let has_events = receipt.last_sequence >= receipt.first_sequence;
        let (outcome, rejection) = match &receipt.outcome {
            ReceiptOutcome::Rejected { rejection } => ("rejected", Some(&**rejection)),
            _ => ("accepted", None),
        };
        let is_expired = receipt.expires_at.is_some_and(|at| at <= now);
        let object = Object {
            key: key.clone(),
            outcome,
            rejection: rejection.map(serde_json::from_str).transpose()?,
            first_sequence: has_events.then_some(receipt.first_sequence),
            version: receipt.last_sequence,
            command_id: receipt.command_id,
            recorded_at: exact(receipt.recorded_at),
            expires_at: receipt.expires_at.map(exact),
            is_expired,
        };
        let events = match receipt.last_sequence {
            version if !has_events => format!("none, at version {version}"),
            last if last == receipt.first_sequence => last.to_string(),
            last => format!("{} to {last}", receipt.first_sequence),
        };
        let expires = match receipt.expires_at {
            None => "never".to_owned(),
            Some(at) if is_expired => format!("{}, is over", time(at)),
            Some(at) => time(at),
        };
        let cells = [
            time(receipt.recorded_at),
            key.unwrap_or_else(|| "none".to_owned()),
            outcome.to_owned(),
            events,
            expires,
            receipt.command_id.to_string(),
            rejection.map(|json| one_line(json, printer.width())).unwrap_or_default(),
        ];
        list.row(&object, cells)?;
    }
    list.end()?;
    Ok(Ended::Done)
}

/// Enough of a key to tell it from others, and too little to use it.
fn shortened(key: &IdempotencyKey) -> String {
    let key = key.as_str();
    // Visible ASCII: a character is a byte. Of a short one not even half.
    key.chars().take((key.len() / 2).min(4)).chain(['…']).collect()
}
