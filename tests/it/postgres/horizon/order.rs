//! Many writers and many readers: nothing is missed, nothing comes out of order, and nobody waits for strangers.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use annals::{PostgresStore, Selection};
use fastrand::Rng;
use sqlx::PgConnection;

use super::{
    KINDS, TYPES,
    adversity::{Load, Unrelated},
    following::{Followed, Wrong, follow, follow_wrongly, watch_the_horizon},
    judge::judge,
};
use crate::{campaign, postgres_server::Database};

/// The longest the horizon may stand still while commits go on.
const LONGEST_STAND: Duration = Duration::from_secs(5);

/// The readers: what they choose, how much they take at once, and whether as behind a pooler.
fn readers() -> Vec<(&'static str, Selection, Option<u64>, bool)> {
    let (all, kind) = (Selection::all(), Selection::all().aggregate_types([KINDS[0]]));
    vec![
        ("seven at a time", all.clone(), Some(7), false),
        ("300 at a time", all.clone(), Some(300), false),
        ("all there is", all.clone(), None, false),
        ("60 at a time, pooled", all, Some(60), true),
        ("one kind, twenty at a time", kind.clone(), Some(20), false),
        ("one type, all there is", Selection::all().event_types([TYPES[1]]), None, false),
        ("one kind, pooled", kind, None, true),
    ]
}

/// The positions that a selection chooses.
async fn written(connection: &mut PgConnection, selection: &Selection) -> BTreeSet<u64> {
    let positions: Vec<i64> = sqlx::query_scalar(
        "SELECT position FROM annals_events
         WHERE ($1::text[] IS NULL OR aggregate_type = ANY ($1)) AND ($2::text[] IS NULL OR event_type = ANY ($2))",
    )
    .bind(&selection.aggregate_types)
    .bind(&selection.event_types)
    .fetch_all(connection)
    .await
    .unwrap();
    let distinct: BTreeSet<u64> = positions.iter().map(|position| position.unsigned_abs()).collect();
    assert_eq!(distinct.len(), positions.len(), "no position was drawn twice");
    distinct
}

/// An aggregate's positions rise with its sequences, and its sequences have no holes.
async fn check_aggregates(connection: &mut PgConnection) {
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT sequence, row_number() OVER own AS number, position, lag(position) OVER own AS earlier
             FROM annals_events WINDOW own AS (PARTITION BY aggregate_id ORDER BY sequence)
         ) AS event
         WHERE sequence <> number OR position <= earlier",
    )
    .fetch_one(connection)
    .await
    .unwrap();
    assert_eq!(wrong, 0, "events whose positions do not rise with their sequences");
}

/// One run: how many events the naive reader has missed.
async fn run(seed: u64, events: u64) -> usize {
    let database = Database::create().await;
    PostgresStore::connect(database.url()).await.unwrap().close().await;
    let (url, load, begun) = (database.url().to_owned(), Load::of(events), Instant::now());
    let unrelated = Unrelated::open(&url).await;
    let wrong = [Wrong::Naive, Wrong::OtherWayRound, Wrong::RowsInHand];
    let wrong = wrong.map(|way| tokio::spawn(follow_wrongly(Arc::clone(&load), url.clone(), way)));
    let following: Vec<_> = (0_u64..)
        .zip(readers())
        .map(|(number, (name, selection, limit, is_pooled))| {
            let options = PostgresStore::options().readers(1).pooled(is_pooled);
            let random = Rng::with_seed(seed.wrapping_mul(7_919).wrapping_add(number));
            let (load, chosen) = (Arc::clone(&load), (selection.clone(), limit));
            (name, selection, tokio::spawn(follow(load, url.clone(), options, chosen, random)))
        })
        .collect();
    let stood = tokio::spawn(watch_the_horizon(Arc::clone(&load), url.clone()));
    load.run(&url, seed).await;
    let wrote_for = begun.elapsed();

    let mut connection = database.connection().await;
    check_aggregates(&mut connection).await;
    let whole = written(&mut connection, &Selection::all()).await;
    let holes = whole.last().map_or(0, |last| last - whole.len() as u64);
    let (committed, rolled_back) = (&load.committed_works, &load.rolled_back);
    let (committed, rolled_back) = (committed.load(Ordering::SeqCst), rolled_back.load(Ordering::SeqCst));
    eprintln!(
        "seed {seed}: {} events in {wrote_for:.1?}, {holes} holes; {committed} transactions committed, {rolled_back} rolled back",
        whole.len()
    );
    assert!(whole.len() as u64 >= events && holes > 0 && rolled_back * 20 > committed);
    for (name, selection, reader) in following {
        let Followed { positions, pages, restarts } = reader.await.unwrap();
        let verdict = judge(&positions, &written(&mut connection, &selection).await);
        eprintln!("  {name}: {verdict}; {pages} pages, {restarts} restarts");
        assert!(verdict.is_sound(), "{name}, seed {seed}: {verdict}");
    }
    let mut missed = Vec::new();
    for (way, reader) in ["naive", "bounds before the last position", "rows in hand"].into_iter().zip(wrong) {
        let verdict = judge(&reader.await.unwrap().positions, &whole);
        eprintln!("  planted fault, {way}: {verdict}");
        missed.push(verdict.missed);
    }
    let stood = stood.await.unwrap();
    eprintln!("  the longest the horizon stood still while commits went on: {stood:.1?}");
    assert!(stood < LONGEST_STAND, "the horizon stood still for {stood:?}");
    unrelated.end().await;
    missed[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_056_readers_among_slow_writers_miss_nothing_where_a_naive_one_misses_much() {
    let events = u64::from(campaign::sized(20_000));
    for seed in 1..=3 {
        let missed_by_the_naive = run(seed, events).await;
        // The same checker, under the same load: were it blind, this would be 0.
        assert!(missed_by_the_naive > 0, "the naive reader has to be caught");
    }
}
