//! Two processes run bookings, and whoever is at work is killed, again and again.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use annals::{
    Id, IdempotencyKey, Outcome, Repository, SqliteStore,
    process::{Call, ProcessRunner, ProcessStatus, StepFailure, UndoCall},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};
use uuid::Uuid;

use super::{
    booking, check, history,
    late::until,
    place::{Runs, Whole},
    tell,
    trip::{Booking, Flight, FlightCommand, FlightEvent, Trip, TripCommand, booking_of, flight},
};
use crate::{campaign, faults::child};

/// How long the dead keep their leases.
const LEASE: Duration = Duration::from_millis(500);

/// How often somebody is killed.
const KILLS: u32 = 20;

/// Trips that are asked for before each kill, and how often each is mentioned.
const TRIPS: u32 = 3;
const MENTIONS: u32 = 3;

/// What a service has in its books for a process: an aggregate that takes and gives.
fn account(of: &str, process: Uuid) -> Id<Flight> {
    Id::natural(&format!("{of} {process}"))
}

async fn book<S: Runs>(
    store: &S,
    (of, process): (&str, Uuid),
    command: FlightCommand,
    key: &IdempotencyKey,
) -> Result<String, StepFailure> {
    child::say(of);
    let services = Repository::<Flight>::new(store);
    services.execute(account(of, process), &command).idempotency_key(key.clone()).await?;
    Ok(of.to_owned())
}

async fn unbook<S: Runs>(
    store: &S,
    (of, process): (&str, Uuid),
    keys: [&IdempotencyKey; 2],
) -> Result<(), StepFailure> {
    let services = Repository::<Flight>::new(store);
    match services.forestall(account(of, process), keys[1]).await? {
        Outcome::Accepted(_) => {
            book(store, (of, process), FlightCommand::Give { trip: process }, keys[0]).await.map(drop)
        }
        _ => Ok(()),
    }
}

/// A runner whose services keep their books in the same database. Money is refused where the amount is a multiple of three.
fn runner<S: Runs>(store: &S) -> ProcessRunner<Booking, S> {
    let stores: [S; 5] = std::array::from_fn(|_| store.clone());
    let [hotel, charge, notify, cancel, refund] = stores;
    let take = |process| FlightCommand::Take { trip: process, seats: 1 };
    ProcessRunner::new(store)
        .unwrap()
        .commands(Repository::<Flight>::new(store))
        .call("hotel", move |call: Call<Uuid>| {
            let store = hotel.clone();
            async move { book(&store, ("hotel", call.process_id), take(call.process_id), &call.key).await }
        })
        .call("charge", move |call: Call<u64>| {
            let store = charge.clone();
            async move {
                if call.request.is_multiple_of(3) {
                    return Err(StepFailure::refused("no money"));
                }
                book(&store, ("charge", call.process_id), take(call.process_id), &call.key).await
            }
        })
        .call("notify", move |call: Call<String>| {
            let store = notify.clone();
            async move { book(&store, ("notify", call.process_id), take(call.process_id), &call.key).await }
        })
        .undo("hotel-cancel", move |undo: UndoCall<Uuid, String>| {
            let store = cancel.clone();
            async move { unbook(&store, ("hotel", undo.process_id), [&undo.key, &undo.action_key]).await }
        })
        .undo("refund", move |undo: UndoCall<u64, String>| {
            let store = refund.clone();
            async move { unbook(&store, ("charge", undo.process_id), [&undo.key, &undo.action_key]).await }
        })
        .attempts(1_000, Duration::from_millis(1), Duration::from_millis(10))
        .lease(LEASE)
        .poll(Duration::from_millis(20))
}

#[test]
fn child_runs_bookings_until_its_input_ends() {
    let Some(place) = child::file() else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(run_child(&place));
}

/// A child runs as many parts as it is told, all of them.
async fn run_child(place: &Path) {
    let (end, mut ends) = tokio::sync::watch::channel(false);
    std::thread::spawn(move || {
        drop(std::io::stdin().lock().read(&mut [0]));
        end.send_replace(true);
    });
    let parts: u32 = child::name().parse().unwrap();
    #[cfg(feature = "postgres")]
    if is_url(place) {
        let store = annals::PostgresStore::connect(place.to_str().unwrap()).await.unwrap();
        return run_parts(&store, parts, &mut ends).await;
    }
    run_parts(&SqliteStore::open(place).await.unwrap(), parts, &mut ends).await;
}

async fn run_parts<S: Runs>(store: &S, parts: u32, ends: &mut tokio::sync::watch::Receiver<bool>) {
    let mut running = tokio::task::JoinSet::new();
    for part in 0..parts {
        let runner = runner(store).partition(part, parts).unwrap();
        let mut ends = ends.clone();
        running.spawn(async move { runner.run(async move { drop(ends.wait_for(|is_over| *is_over).await) }).await });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap().unwrap();
    }
}

#[cfg(feature = "postgres")]
fn is_url(place: &Path) -> bool {
    place.to_str().is_some_and(|place| place.starts_with("postgres://"))
}

/// A child under way. It is killed with this value.
struct Worker {
    number: u32,
    process: Child,
}

impl Worker {
    fn start(place: &Path, parts: u32, number: u32, said: &UnboundedSender<u32>) -> Self {
        let test = format!("{}::child_runs_bookings_until_its_input_ends", module_path!().split_once("::").unwrap().1);
        let mut command = child::command(&test, place, &parts.to_string(), &[]);
        let mut process = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let said = said.clone();
        std::thread::spawn(move || {
            for _ in out.lines().map_while(Result::ok).filter(|line| child::said(line).is_some()) {
                let _ = said.send(number);
            }
        });
        Self { number, process }
    }

    /// Tells it to end, as a service is told to, and waits until it has: without an error.
    fn end(mut self) {
        drop(self.process.stdin.take());
        let ended = self.process.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

async fn next(said: &mut UnboundedReceiver<u32>) -> u32 {
    timeout(Duration::from_secs(60), said.recv()).await.expect("somebody gets on").expect("a sender is kept")
}

/// Asks for trips, some of which are refused, and mentions them in turn.
async fn ask<S: Whole>(store: &S, trips: &mut Vec<Id<Trip>>) {
    let first = trips.len();
    for number in 0..TRIPS {
        let (trip, pence) = (Id::new(), u64::from(number) + 1);
        let command = TripCommand::Request { pence, seats: u32::from(number == 0) };
        Repository::<Trip>::new(store).execute(trip, &command).await.unwrap();
        trips.push(trip);
    }
    for number in 1..=MENTIONS {
        for trip in &trips[first..] {
            tell(store, *trip, TripCommand::Mention(number)).await;
        }
    }
}

async fn kill_workers<S: Whole>(store: &S, place: &Path, parts: u32) {
    let began = std::time::Instant::now();
    let (say, mut said) = unbounded_channel();
    let (kills, mut random, mut trips) = (campaign::sized(KILLS), fastrand::Rng::with_seed(7), Vec::new());
    let mut workers: Vec<_> = (0..2).map(|number| Worker::start(place, parts, number, &say)).collect();
    for number in 2..kills + 2 {
        ask(store, &mut trips).await;
        let mut last = next(&mut said).await;
        for _ in 0..random.u32(0..4) {
            // It may be that all is done that there was.
            if let Ok(Some(line)) = timeout(Duration::from_millis(50), said.recv()).await {
                last = line;
            }
        }
        // Whoever has said something last is at work; it may have been killed before.
        let at_work = workers.iter().position(|worker| worker.number == last).unwrap_or(0);
        drop(workers.swap_remove(at_work));
        workers.push(Worker::start(place, parts, number, &say));
    }
    for trip in &trips {
        until(async || booking(store, *trip).await.status().is_terminal()).await;
    }
    workers.into_iter().for_each(Worker::end);
    let completed = judge(store, &trips).await;
    println!(
        "figures: kills={kills} parts={parts} trips={} completed={completed} in {:?}",
        trips.len(),
        began.elapsed()
    );
}

/// What is in the books of an account: taken, given.
async fn story<S: Whole>(store: &S, account: Id<Flight>, of: Uuid) -> (u32, u32) {
    let (mut taken, mut given) = (0, 0);
    let services = Repository::<Flight>::new(store);
    let replayed = services.replay(account, |step| match *step.event {
        FlightEvent::SeatsTaken { trip, .. } => taken += u32::from(trip == of),
        FlightEvent::SeatsGiven { trip } => given += u32::from(trip == of),
    });
    replayed.await.unwrap();
    (taken, given)
}

async fn judge<S: Whole>(store: &S, trips: &[Id<Trip>]) -> u32 {
    let (mut completed, mut noted) = (0, 0);
    for trip in trips {
        let (id, process) = (booking_of(*trip).uuid(), history::check::<Booking, _>(store, booking_of(*trip)).await);
        let books = [
            story(store, flight(), trip.uuid()).await,
            story(store, account("hotel", id), id).await,
            story(store, account("charge", id), id).await,
        ];
        let notified = story(store, account("notify", id), id).await;
        let mentioned = &process.manager().mentioned;
        // What came before its end, in order and without a hole.
        assert!((1..).zip(mentioned).all(|(number, mentioned)| number == *mentioned), "{mentioned:?}");
        noted += mentioned.len();
        if process.status() == ProcessStatus::Completed {
            completed += 1;
            assert_eq!((books, notified), ([(1, 0); 3], (0, 0)));
        } else {
            assert!(books.iter().all(|(taken, given)| taken == given && *taken <= 1), "{books:?}");
            assert_eq!(notified, (1, 0));
        }
    }
    check(store).await;
    assert!(noted > 0, "no mention came before an end");
    assert!(completed > 0 && completed < u32::try_from(trips.len()).unwrap(), "{completed} completed");
    completed
}

mod sqlite {
    async fn on_a_file(parts: u32) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("processes.db");
        super::kill_workers(&annals::SqliteStore::open(&place).await.unwrap(), &place, parts).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn killed_runners_lose_nothing_and_double_nothing() {
        on_a_file(1).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn killed_runners_of_several_parts_lose_nothing_and_double_nothing() {
        on_a_file(3).await;
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use crate::postgres_server::Database;

    async fn on_a_server(parts: u32) {
        let database = Database::create().await;
        let store = annals::PostgresStore::connect(database.url()).await.unwrap();
        super::kill_workers(&store, database.url().as_ref(), parts).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn killed_runners_lose_nothing_and_double_nothing() {
        on_a_server(1).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn killed_runners_of_several_parts_lose_nothing_and_double_nothing() {
        on_a_server(3).await;
    }
}
