//! `annals types`: what kinds of aggregates and events there are.

use annals::{Inspect, store::TypeCount};
use clap::Args as ClapArgs;
use serde_json::json;

use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
    printer::{exact, grouped, time},
};

/// Counts aggregates and events by type
///
/// One line for each event type in each of its shapes (schema versions), with when the first and the last of them were
/// recorded. It reads every event: about a second for a million.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals types
  annals types --format json > types.json    kept, it tells `annals verify --types` which types are known")]
pub struct TypesArgs {}

/// The most types that are listed.
const MOST: u32 = 10_000;

/// Lists them.
pub async fn run(session: &Session, _args: &TypesArgs) -> Result<Ended, Failure> {
    let types = on!(session.open().await?, store => store.count_types(MOST).await?);
    let mut list = session.printer.list(&[
        "AGGREGATE TYPE",
        "AGGREGATES",
        "EVENT TYPE",
        "SCHEMA VERSION",
        "EVENTS",
        "FIRST",
        "LAST",
    ]);
    for (place, count) in types.iter().enumerate() {
        // Said once for all event types of an aggregate type.
        let is_first = place == 0 || types[place - 1].aggregate_type != count.aggregate_type;
        let of_type = || types.iter().filter(|other| other.aggregate_type == count.aggregate_type);
        let aggregates = of_type().map(|other| other.first_events).sum::<u64>();
        let (aggregate_type, shown) = match is_first {
            true => (count.aggregate_type.clone(), grouped(aggregates)),
            false => (String::new(), String::new()),
        };
        let TypeCount { event_type, schema_version, events, first_at, last_at, .. } = count;
        let object = json!({
            "aggregate_type": count.aggregate_type,
            "aggregates": aggregates,
            "event_type": event_type,
            "schema_version": schema_version,
            "events": events,
            "first_at": exact(*first_at),
            "last_at": exact(*last_at),
        });
        let (first, last) = (time(*first_at), time(*last_at));
        let cells =
            [aggregate_type, shown, event_type.clone(), schema_version.to_string(), grouped(*events), first, last];
        list.row(&object, cells)?;
    }
    list.end()?;
    match types.len() {
        0 => session.printer.words("no events yet"),
        all if all == MOST as usize => session.printer.words(format!("the first {} types alone", grouped(MOST.into()))),
        _ => {}
    }
    Ok(Ended::Done)
}
