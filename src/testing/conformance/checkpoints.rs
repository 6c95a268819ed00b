//! Checkpoints, leases and parked events.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    fixture::{Factory, Fixture, not_run, with_clock},
    sample::{log, note, write},
};
use crate::store::{
    Checkpoint, CheckpointStore, Claim, Claimed, Clock as _, Consumer, ConsumerKind, Cursor, Error, EventMark, Lease,
    ManualClock, NewParkedEvent, ParkedQuery, Position, Renewal, Step,
};

/// How long the cases' leases last.
const LEASE: Duration = Duration::from_secs(30);

/// A store that keeps checkpoints, with a clock that stands still.
async fn keeper(
    factory: &dyn Factory,
    case: &str,
) -> Option<(Box<dyn Fixture>, Arc<dyn CheckpointStore>, Arc<ManualClock>)> {
    let clock = Arc::new(ManualClock::new(chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap()));
    let fixture = with_clock(factory, &clock, case).await?;
    let Some(store) = fixture.checkpoints() else {
        not_run(case, "the store keeps no checkpoints");
        return None;
    };
    Some((fixture, store, clock))
}

fn mail() -> Consumer {
    Consumer::new("mail").unwrap()
}

fn claim_of(consumer: Consumer, owner: &str) -> Claim {
    Claim {
        consumer,
        kind: ConsumerKind::Subscription,
        version: 0,
        start: Some(Cursor::START),
        owner: owner.into(),
        length: LEASE,
        by_force: false,
    }
}

#[track_caller]
fn taken(claimed: Result<Claimed, Error>) -> (Checkpoint, Lease) {
    match claimed.expect("a claim is answered") {
        Claimed::Taken(checkpoint) => {
            let lease = Lease { consumer: checkpoint.consumer.clone(), fence: checkpoint.fence, length: LEASE };
            (checkpoint, lease)
        }
        Claimed::Refused(checkpoint) => panic!("the lease is free, but was refused: {checkpoint:?}"),
    }
}

#[track_caller]
fn refused(claimed: Result<Claimed, Error>) -> Checkpoint {
    match claimed.expect("a claim is answered") {
        Claimed::Refused(checkpoint) => checkpoint,
        Claimed::Taken(checkpoint) => panic!("the lease is not to be had, but was taken: {checkpoint:?}"),
    }
}

#[track_caller]
fn invalid<T: std::fmt::Debug>(answer: Result<T, Error>) {
    match answer {
        Err(Error::Invalid { .. }) => {}
        other => panic!("it is to be refused: {other:?}"),
    }
}

/// A place in a log that need not be there: checkpoints are moved by whoever has read it.
fn at(position: u64, clock: &ManualClock) -> Cursor {
    let event = (position > 0).then(|| EventMark {
        aggregate_id: Uuid::from_u128(7),
        sequence: position,
        command_id: Uuid::from_u128(u128::from(position)),
        recorded_at: clock.now_in_micros(),
    });
    Cursor { position: Position::new(position), event }
}

fn step<'s>(from: u64, to: Cursor, parked: &'s [NewParkedEvent]) -> Step<'s> {
    Step { from: Position::new(from), to, parked }
}

fn poisoned(aggregate: u128, sequence: u64, position: u64, error: Option<&str>) -> NewParkedEvent {
    NewParkedEvent {
        position: Position::new(position),
        aggregate_id: Uuid::from_u128(aggregate),
        sequence,
        error: error.map(str::to_owned),
        attempts: u32::from(error.is_some()),
    }
}

fn parked_of(name: &str) -> ParkedQuery {
    ParkedQuery { name: name.to_owned(), aggregate_id: None, after: Position::START, limit: 100 }
}

async fn checkpoint(store: &dyn CheckpointStore, consumer: &Consumer) -> Checkpoint {
    store.checkpoint(consumer).await.expect("a checkpoint can be read").expect("it is there")
}

async fn positions(store: &dyn CheckpointStore, query: &ParkedQuery) -> Vec<u64> {
    let parked = store.parked(query).await.expect("parked events can be read");
    parked.iter().map(|event| event.position.get()).collect()
}

/// Of many who ask at once, for a consumer that never ran, one gets the lease; the others are told who has it.
pub async fn store_068_of_many_claims_at_once_one_gets_the_lease(factory: &dyn Factory) {
    let Some((_fixture, store, _)) = keeper(factory, "68").await else { return };
    assert_eq!(store.checkpoint(&mail()).await.unwrap(), None);
    let mut fence = None;
    for _ in 0..3 {
        let mut claims = JoinSet::new();
        for number in 0..16 {
            let store = Arc::clone(&store);
            claims.spawn(async move { store.claim(&claim_of(mail(), &format!("runner-{number}"))).await });
        }
        let answers: Vec<_> = claims.join_all().await.into_iter().map(|answer| answer.expect("an answer")).collect();
        let winners: Vec<_> = answers.iter().filter(|answer| matches!(answer, Claimed::Taken(_))).collect();
        let [Claimed::Taken(winner)] = winners.as_slice() else { panic!("one gets the lease: {answers:?}") };
        assert!(fence < Some(winner.fence) && winner.crashes == 0, "{winner:?}, after {fence:?}");
        fence = Some(winner.fence);
        for answer in &answers {
            let (Claimed::Taken(told) | Claimed::Refused(told)) = answer;
            assert_eq!(told, winner, "whoever is refused is told who has the lease");
        }
        let lease = Lease { consumer: mail(), fence: winner.fence, length: LEASE };
        store.release(&lease).await.unwrap();
    }
}

/// A lease lasts from its last sign of life; whoever takes it over when it has lapsed gets a greater fence.
pub async fn store_068_a_lapsed_lease_is_taken_over_with_a_greater_fence(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "68").await else { return };
    let begun = clock.now_in_micros();
    let (first, lease) = taken(store.claim(&claim_of(mail(), "first")).await);
    assert_eq!((first.cursor, first.kind), (Cursor::START, ConsumerKind::Subscription));
    assert_eq!((first.updated_at, first.lease.unwrap().expires_at), (begun, begun + LEASE));
    clock.advance(LEASE / 2);
    assert_eq!(store.renew(&lease).await.unwrap(), Renewal::Renewed);
    clock.advance(LEASE - Duration::from_micros(1));
    let told = refused(store.claim(&claim_of(mail(), "second")).await);
    let holder = told.lease.unwrap();
    assert_eq!((holder.owner.as_str(), holder.renewed_at, told.fence), ("first", begun + LEASE / 2, lease.fence));
    clock.advance(Duration::from_micros(1));
    let (second, _) = taken(store.claim(&claim_of(mail(), "second")).await);
    assert_eq!((second.fence, second.crashes), (lease.fence + 1, 1), "the first never let go");
    clock.advance(LEASE);
    let (third, _) = taken(store.claim(&claim_of(mail(), "second")).await);
    assert_eq!((third.fence, third.crashes), (lease.fence + 2, 1), "whoever comes back to its own has not crashed");
}

/// Whoever has lost the lease moves nothing, parks nothing, and takes nothing from whoever has it.
pub async fn store_068_a_late_holder_changes_nothing(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "68").await else { return };
    let (_, late) = taken(store.claim(&claim_of(mail(), "late")).await);
    let parked = [poisoned(1, 1, 2, Some("no"))];
    assert!(store.advance(&late, &step(0, at(2, &clock), &parked)).await.unwrap());
    clock.advance(LEASE);
    let (_, lease) = taken(store.claim(&claim_of(mail(), "new")).await);
    let before = checkpoint(&*store, &mail()).await;
    let more = [poisoned(2, 1, 3, Some("no"))];
    assert!(!store.advance(&late, &step(2, at(3, &clock), &more)).await.unwrap(), "a late step moves nothing");
    assert!(!store.unpark(&late, Uuid::from_u128(1), 1).await.unwrap());
    store.park_again(&late, &poisoned(1, 1, 2, Some("late")), None).await.unwrap();
    store.note_failure(&late, "late").await.unwrap();
    assert_eq!(store.renew(&late).await.unwrap(), Renewal::Lost);
    store.release(&late).await.unwrap();
    assert_eq!(checkpoint(&*store, &mail()).await, before);
    let [only] = store.parked(&parked_of("mail")).await.unwrap().try_into().expect("one is parked");
    assert_eq!((only.position.get(), only.error.as_deref(), only.attempts), (2, Some("no"), 1));
    assert!(store.advance(&lease, &step(2, at(3, &clock), &[])).await.unwrap(), "the holder's does");
    assert!(store.unpark(&lease, Uuid::from_u128(1), 1).await.unwrap());
}

/// A lease that is let go need not lapse, and whoever let go of it has not crashed and has nothing more to say.
pub async fn store_068_a_lease_that_is_let_go_is_free_at_once(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "68").await else { return };
    let (_, crashed) = taken(store.claim(&claim_of(mail(), "crashed")).await);
    clock.advance(LEASE);
    let (first, lease) = taken(store.claim(&claim_of(mail(), "first")).await);
    assert_eq!((first.crashes, first.fence), (1, crashed.fence + 1));
    let (again, renewed) = taken(store.claim(&claim_of(mail(), "first")).await);
    assert_eq!((again.crashes, again.fence), (1, lease.fence + 1), "who has it gets it again, and has not crashed");
    let told = refused(store.claim(&claim_of(mail(), "second")).await);
    assert_eq!(told.lease.unwrap().owner, "first");
    store.release(&renewed).await.unwrap();
    assert_eq!(checkpoint(&*store, &mail()).await.lease, None);
    assert!(!store.advance(&renewed, &step(0, at(1, &clock), &[])).await.unwrap(), "what was let go is gone");
    assert_eq!(store.renew(&renewed).await.unwrap(), Renewal::Lost);
    let (second, _) = taken(store.claim(&claim_of(mail(), "second")).await);
    assert_eq!((second.crashes, second.fence), (0, renewed.fence + 1));
}

/// A name is of one kind, one version and one number of partitions; force overcomes a holder alone.
pub async fn store_068_a_claim_that_does_not_fit_is_refused(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "68").await else { return };
    let start = at(5, &clock);
    let first = Claim { start: Some(start), version: 2, ..claim_of(mail(), "first") };
    let (begun, lease) = taken(store.claim(&first).await);
    assert_eq!(begun.cursor, start, "a new one begins where it is told");
    let elsewhere = Claim { start: Some(at(9, &clock)), ..first.clone() };
    assert_eq!(taken(store.claim(&elsewhere).await).0.cursor, start, "one that is there goes on where it stands");
    store.release(&Lease { fence: lease.fence + 1, ..lease.clone() }).await.unwrap();
    for other in [
        Claim { kind: ConsumerKind::Projection, by_force: true, ..first.clone() },
        Claim { version: 1, by_force: true, ..first.clone() },
        Claim { consumer: mail().partition_of(0, 2).unwrap(), by_force: true, ..first.clone() },
        Claim { consumer: mail().partition_of(1, 2).unwrap(), by_force: true, ..first.clone() },
    ] {
        assert_eq!(refused(store.claim(&other).await).consumer, mail(), "{other:?}");
    }
    assert_eq!(store.checkpoints(Some("mail")).await.unwrap().len(), 1, "what was refused has left nothing");
    taken(store.claim(&first).await);
    let missing = store.claim(&Claim { start: None, ..claim_of(Consumer::new("nobody").unwrap(), "first") }).await;
    assert!(matches!(missing, Err(Error::Contention { .. })), "nothing is begun that was not to be: {missing:?}");
    let (forced, _) = taken(store.claim(&Claim { by_force: true, owner: "second".into(), ..first.clone() }).await);
    assert_eq!((forced.fence, forced.crashes), (lease.fence + 3, 0), "whoever lost it to force has not crashed");
    for unsound in [
        Claim { owner: "".into(), ..first.clone() },
        Claim { owner: "a\0b".into(), ..first.clone() },
        Claim { owner: "x".repeat(256).into(), ..first.clone() },
        Claim { length: Duration::ZERO, ..first.clone() },
        Claim { length: Duration::MAX, ..first.clone() },
    ] {
        invalid(store.claim(&unsound).await);
    }
}

/// Claims every partition and moves it to its place.
async fn run_partitions(store: &dyn CheckpointStore, places: &[u64], clock: &ManualClock) -> Vec<Lease> {
    let mut leases = Vec::new();
    for (number, place) in (0..).zip(places) {
        let part = mail().partition_of(number, u32::try_from(places.len()).unwrap()).unwrap();
        let (_, lease) = taken(store.claim(&claim_of(part, "runner")).await);
        assert!(store.advance(&lease, &step(0, at(*place, clock), &[])).await.unwrap());
        leases.push(lease);
    }
    leases
}

/// All new partitions go on where the last of the old ones stood; whoever ran one has lost its lease.
pub async fn store_070_partitions_that_are_split_anew_go_on_where_the_last_one_stood(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "70").await else { return };
    let leases = run_partitions(&*store, &[9, 4, 7], &clock).await;
    for of in [5, 2] {
        assert!(store.repartition("mail", of).await.unwrap());
        let found = store.checkpoints(Some("mail")).await.unwrap();
        let parts: Vec<_> = (0..of).map(|number| mail().partition_of(number, of).unwrap()).collect();
        assert_eq!(found.iter().map(|found| found.consumer.clone()).collect::<Vec<_>>(), parts);
        assert!(found.iter().all(|found| found.cursor == at(4, &clock) && found.lease.is_none()), "{found:?}");
        assert!(found.iter().all(|found| found.fence > leases.iter().map(|lease| lease.fence).max().unwrap()));
    }
    for late in &leases {
        assert!(!store.advance(late, &step(4, at(10, &clock), &[])).await.unwrap());
        assert_eq!(store.renew(late).await.unwrap(), Renewal::Lost);
    }
    refused(store.claim(&claim_of(mail().partition_of(0, 3).unwrap(), "runner")).await);
    let (_, lease) = taken(store.claim(&claim_of(mail().partition_of(1, 2).unwrap(), "runner")).await);
    assert!(store.advance(&lease, &step(4, at(8, &clock), &[])).await.unwrap());
}

/// Projections are not split, nor is what is not there, nor where a partition has never run and stands nowhere.
pub async fn store_070_what_cannot_be_split_is_refused(factory: &dyn Factory) {
    let Some((_fixture, store, _)) = keeper(factory, "70").await else { return };
    assert!(!store.repartition("mail", 2).await.unwrap());
    taken(store.claim(&Claim { kind: ConsumerKind::Projection, ..claim_of(mail(), "runner") }).await);
    invalid(store.repartition("mail", 2).await);
    let sales = Consumer::new("sales").unwrap().partition_of(1, 2).unwrap();
    let (before, _) = taken(store.claim(&claim_of(sales.clone(), "runner")).await);
    invalid(store.repartition("sales", 3).await);
    for of in [0, 1025] {
        invalid(store.repartition("sales", of).await);
    }
    assert_eq!(checkpoint(&*store, &sales).await, before, "what was refused has changed nothing");
}

/// Parked events are there once, by position, with what was wrong; unparked they are gone.
pub async fn store_071_parked_events_are_listed_in_order_with_their_error_once(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "71").await else { return };
    let (_, lease) = taken(store.claim(&claim_of(mail(), "runner")).await);
    let behind = poisoned(1, 2, 4, None);
    let parked = [poisoned(1, 1, 2, Some("no such country")), poisoned(2, 1, 3, Some("no")), behind.clone()];
    assert!(store.advance(&lease, &step(0, at(4, &clock), &parked)).await.unwrap());
    clock.advance(Duration::from_secs(1));
    let again = [poisoned(2, 1, 3, Some("again")), poisoned(1, 3, 6, None)];
    assert!(store.advance(&lease, &step(4, at(6, &clock), &again)).await.unwrap());
    let all = parked_of("mail");
    let found = store.parked(&all).await.unwrap();
    let told: Vec<_> = found.iter().map(|event| (event.position.get(), event.error.as_deref())).collect();
    assert_eq!(told, [(2, Some("no such country")), (3, Some("no")), (4, None), (6, None)]);
    let first = &found[0];
    assert_eq!((first.name.as_str(), first.aggregate_id, first.sequence), ("mail", Uuid::from_u128(1), 1));
    assert_eq!((first.attempts, first.parked_at + Duration::from_secs(1)), (1, found[3].parked_at));
    let of_one = ParkedQuery { aggregate_id: Some(Uuid::from_u128(1)), ..all.clone() };
    assert_eq!(positions(&*store, &of_one).await, [2, 4, 6]);
    assert_eq!(positions(&*store, &ParkedQuery { after: Position::new(2), ..of_one.clone() }).await, [4, 6]);
    assert_eq!(positions(&*store, &ParkedQuery { after: Position::new(2), limit: 1, ..all.clone() }).await, [3]);
    assert_eq!(positions(&*store, &parked_of("other")).await, Vec::<u64>::new());
    assert_eq!((store.count_parked("mail").await.unwrap(), store.count_parked("other").await.unwrap()), (4, 0));
    store
        .park_again(&lease, &NewParkedEvent { attempts: 3, error: Some("still no".to_owned()), ..behind }, None)
        .await
        .unwrap();
    let failed = &store.parked(&of_one).await.unwrap()[1];
    assert_eq!((failed.error.as_deref(), failed.attempts), (Some("still no"), 3));
    assert!(store.unpark(&lease, Uuid::from_u128(1), 2).await.unwrap());
    assert!(!store.unpark(&lease, Uuid::from_u128(1), 2).await.unwrap(), "it is no longer parked");
    assert_eq!(positions(&*store, &all).await, [2, 3, 6]);
}

/// What was wrong is kept cut to 2,000 bytes and without NUL; what cannot be is refused.
pub async fn store_071_what_parked_events_hold_is_cut_and_bounded(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "71").await else { return };
    let (_, lease) = taken(store.claim(&claim_of(mail(), "runner")).await);
    let long = format!("a\0{}", "\u{e4}".repeat(3000));
    let kept = format!("a\u{fffd}{}", "\u{e4}".repeat(998));
    assert!(store.advance(&lease, &step(0, at(1, &clock), &[poisoned(1, 1, 1, Some(&long))])).await.unwrap());
    assert_eq!(store.parked(&parked_of("mail")).await.unwrap()[0].error.as_deref(), Some(kept.as_str()));
    store.note_failure(&lease, &long).await.unwrap();
    let failure = checkpoint(&*store, &mail()).await.failure.unwrap();
    assert_eq!((failure.message, failure.at), (kept, clock.now_in_micros()));
    invalid(store.advance(&lease, &step(1, at(2, &clock), &[poisoned(1, 0, 2, None)])).await);
    invalid(store.advance(&lease, &step(1, at(2, &clock), &[poisoned(1, 2, 0, None)])).await);
    invalid(store.advance(&lease, &step(1, at(0, &clock), &[])).await);
    invalid(store.parked(&parked_of("a\0b")).await);
    assert_eq!(checkpoint(&*store, &mail()).await.cursor, at(1, &clock));
}

/// Paused, all partitions lose their runners and get none; resumed they go on where they stood.
pub async fn store_077_a_paused_consumer_is_run_by_nobody_until_it_is_resumed(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "77").await else { return };
    for is_paused in [true, false] {
        assert!(!store.set_paused("mail", is_paused).await.unwrap(), "there is none of the name");
    }
    let leases = run_partitions(&*store, &[3, 4], &clock).await;
    assert!(store.set_paused("mail", true).await.unwrap());
    for lease in &leases {
        assert!(!store.advance(lease, &step(3, at(5, &clock), &[])).await.unwrap());
        assert_eq!(store.renew(lease).await.unwrap(), Renewal::Lost);
        let told = refused(store.claim(&Claim { by_force: true, ..claim_of(lease.consumer.clone(), "runner") }).await);
        assert_eq!((told.paused_at, told.lease), (Some(clock.now_in_micros()), None));
    }
    let since = clock.now_in_micros();
    clock.advance(LEASE);
    assert!(store.set_paused("mail", true).await.unwrap());
    assert_eq!(checkpoint(&*store, &leases[0].consumer).await.paused_at, Some(since), "it has been since then");
    assert!(store.set_paused("mail", false).await.unwrap());
    let (resumed, lease) = taken(store.claim(&claim_of(leases[1].consumer.clone(), "runner")).await);
    assert_eq!((resumed.cursor.position.get(), resumed.crashes, resumed.paused_at), (4, 0, None));
    assert!(store.advance(&lease, &step(4, at(5, &clock), &[])).await.unwrap());
}

/// Forgotten, a name has no checkpoint and no parked events, nor has its rebuild; it can then begin anew.
pub async fn store_077_a_forgotten_name_can_be_used_anew(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "77").await else { return };
    assert!(!store.forget("mail").await.unwrap(), "there is none of the name");
    let other = Consumer::new("mails").unwrap();
    let mut late = None;
    for consumer in [other.clone(), mail().rebuild(), mail()] {
        let (_, lease) = taken(store.claim(&claim_of(consumer, "runner")).await);
        let parked = [poisoned(1, 1, 2, Some("no"))];
        assert!(store.advance(&lease, &step(0, at(2, &clock), &parked)).await.unwrap());
        late = Some(lease);
    }
    let late = late.unwrap();
    assert_eq!(store.checkpoints(None).await.unwrap().len(), 3);
    assert!(store.forget("mail").await.unwrap());
    let left: Vec<_> = store.checkpoints(None).await.unwrap().into_iter().map(|left| left.consumer).collect();
    assert_eq!(left, [other], "nothing else was forgotten");
    for (name, parked) in [("mail", 0), ("mail (rebuild)", 0), ("mails", 1)] {
        assert_eq!(store.count_parked(name).await.unwrap(), parked, "{name}");
    }
    assert!(!store.advance(&late, &step(2, at(3, &clock), &[])).await.unwrap());
    assert_eq!(store.renew(&late).await.unwrap(), Renewal::Lost);
    clock.advance(Duration::from_micros(1));
    let (anew, _) = taken(store.claim(&Claim { kind: ConsumerKind::Projection, ..claim_of(mail(), "runner") }).await);
    assert_eq!((anew.cursor, anew.kind), (Cursor::START, ConsumerKind::Projection));
    assert!(!store.advance(&late, &step(0, at(1, &clock), &[])).await.unwrap(), "nor does it move the new one");
    assert_eq!(store.renew(&late).await.unwrap(), Renewal::Lost);
    for name in ["", "a\0b", "\u{e4}"] {
        invalid(store.forget(name).await);
        invalid(store.set_paused(name, true).await);
        invalid(store.checkpoints(Some(name)).await);
    }
}

/// A checkpoint moves only from where its runner believes it to be; the event it stands at is known again.
pub async fn store_p7_a_step_from_a_wrong_position_moves_nothing(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "P7").await else { return };
    let (_, lease) = taken(store.claim(&claim_of(mail(), "runner")).await);
    assert!(store.advance(&lease, &step(0, at(3, &clock), &[])).await.unwrap());
    let before = checkpoint(&*store, &mail()).await;
    assert_eq!(before.cursor, at(3, &clock));
    for from in [0, 2, 4] {
        let parked = [poisoned(1, 1, 4, Some("no"))];
        assert!(!store.advance(&lease, &step(from, at(5, &clock), &parked)).await.unwrap());
    }
    assert_eq!(checkpoint(&*store, &mail()).await, before);
    assert_eq!(store.count_parked("mail").await.unwrap(), 0, "nothing is parked by a step that moves nothing");
    clock.advance(LEASE / 2);
    assert!(store.advance(&lease, &step(3, at(8, &clock), &[])).await.unwrap());
    let moved = checkpoint(&*store, &mail()).await;
    assert_eq!((moved.cursor, moved.updated_at), (at(8, &clock), clock.now_in_micros()));
    assert_eq!(moved.lease.unwrap().expires_at, clock.now_in_micros() + LEASE, "a step is a sign of life");
}

/// What went wrong, and how many runners have crashed, is known until the position really moves.
pub async fn store_p7_what_went_wrong_counts_until_the_position_moves(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "P7").await else { return };
    taken(store.claim(&claim_of(mail(), "first")).await);
    clock.advance(LEASE);
    let (_, lease) = taken(store.claim(&claim_of(mail(), "second")).await);
    store.note_failure(&lease, "no such country").await.unwrap();
    let before = checkpoint(&*store, &mail()).await;
    clock.advance(Duration::from_secs(1));
    assert!(store.advance(&lease, &step(0, Cursor::START, &[])).await.unwrap());
    let stands = checkpoint(&*store, &mail()).await;
    assert_eq!((stands.crashes, stands.updated_at), (1, before.updated_at), "it has not moved");
    assert_eq!(stands.failure.as_ref().map(|failure| failure.message.as_str()), Some("no such country"));
    assert!(store.advance(&lease, &step(0, at(1, &clock), &[])).await.unwrap());
    let moved = checkpoint(&*store, &mail()).await;
    assert_eq!((moved.crashes, moved.failure, moved.updated_at), (0, None, clock.now_in_micros()));
}

/// Who waits for a checkpoint to move is woken by a move, and does not miss one made before it waited.
pub async fn store_p7_who_waits_is_told_of_a_move(factory: &dyn Factory) {
    let Some((_fixture, store, clock)) = keeper(factory, "P7").await else { return };
    let (_, lease) = taken(store.claim(&claim_of(mail(), "runner")).await);
    let mut seen = 0;
    let waiter = {
        let store = Arc::clone(&store);
        let mut waiting = Box::pin(async move {
            store.moved(&mut seen).await;
            seen
        });
        let polled = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "nothing has moved yet");
        tokio::spawn(waiting)
    };
    assert!(!store.advance(&lease, &step(1, at(2, &clock), &[])).await.unwrap());
    assert!(!waiter.is_finished(), "nothing has moved yet");
    assert!(store.advance(&lease, &step(0, at(1, &clock), &[])).await.unwrap());
    let mut seen = waiter.await.unwrap();
    assert!(store.advance(&lease, &step(1, at(2, &clock), &[])).await.unwrap());
    store.moved(&mut seen).await;
}

/// What a reader may see after a position is counted.
pub async fn store_p6_what_comes_after_a_position_is_counted(factory: &dyn Factory) {
    let Some((fixture, store, _)) = keeper(factory, "P6").await else { return };
    assert_eq!(store.count_after(Position::START).await.unwrap(), 0);
    for number in 0..3 {
        write(&*fixture.store(), note(Uuid::now_v7(), [number, number, number])).await;
    }
    let events = log(&*fixture.store()).await;
    assert_eq!(store.count_after(Position::START).await.unwrap(), 9);
    assert_eq!(store.count_after(events[3].position()).await.unwrap(), 5);
    assert_eq!(store.count_after(events[8].position()).await.unwrap(), 0);
    assert_eq!(store.count_after(Position::new(u64::MAX)).await.unwrap(), 0);
}

/// A lease that one owner takes twice is one: letting go of the first holding frees nothing, and a lost one is noticed.
pub async fn store_086_a_lease_taken_twice_is_freed_by_its_last_holding_alone(factory: &dyn Factory) {
    let case = "store_086_a_lease_taken_twice_is_freed_by_its_last_holding_alone";
    let Some((_fixture, store, _)) = keeper(factory, case).await else { return };
    let (_, first) = taken(store.claim(&claim_of(mail(), "one")).await);
    let (_, second) = taken(store.claim(&claim_of(mail(), "one")).await);
    store.release(&first).await.unwrap();
    let others = store.claim(&claim_of(mail(), "two")).await.unwrap();
    assert!(matches!(others, Claimed::Refused(_)), "{others:?}");
    let renewed = (store.renew(&first).await.unwrap(), store.renew(&second).await.unwrap());
    assert_eq!(renewed, (Renewal::Lost, Renewal::Renewed));
    store.release(&second).await.unwrap();
    taken(store.claim(&claim_of(mail(), "two")).await);
    assert_eq!(store.renew(&second).await.unwrap(), Renewal::Lost);
}
