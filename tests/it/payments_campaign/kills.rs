//! The service is killed at random points under load, and another takes its place at once.

use std::time::{Duration, Instant};

use annals::{
    Verify,
    store::{ResponseQuery, ResponseState},
};

use super::{
    books::Books,
    client::lasting,
    load::{AMOUNT, Asked, LONGEST_PAUSE_MS, Load},
    phases::Phases,
    place::{Kind, Opened, Place, on_every_place},
    seed,
};
use crate::{campaign, payments_example::program::Service};

/// How often the service is killed.
const KILLS: u32 = 10;

/// How long a key stays with a process that was killed.
const LEASE: Duration = Duration::from_secs(1);

/// What a slow machine may take, beside the lease, to carry a request out and to answer it.
const SLOWNESS: Duration = Duration::from_secs(20);

/// The most answers between a start and the next kill.
const ANSWERS_BEFORE_A_KILL: usize = 40;

/// So many kills a request can have been through when there is one more. The layer gives a request up after five
/// attempts, and that is another matter.
const KILLS_OF_A_REQUEST: u32 = 2;

on_every_place! {
    http_d02_a_service_killed_under_load_makes_every_charge_once_and_leaves_no_key_stuck
}

async fn http_d02_a_service_killed_under_load_makes_every_charge_once_and_leaves_no_key_stuck(kind: Kind) {
    let mut random = fastrand::Rng::with_seed(seed());
    let kills = campaign::sized(KILLS);
    let began = Instant::now();
    let mut place = Place::new(kind).await;
    let mut service = begin(&place);
    let opened = place.open().await;
    let mut load = Load::start(service.address(), &mut random);
    let (mut phases, mut books) = (Phases::default(), Books::default());
    for _ in 0..kills {
        load.goes_on(random.usize(1..=ANSWERS_BEFORE_A_KILL), KILLS_OF_A_REQUEST).await;
        load.pause(&mut random).await;
        let under_way = load.kill(|| {
            service.kill();
            assert_eq!(service.ended().code(), None, "it was killed, and has not ended by itself");
        });
        service = begin(&place);
        phases.look(&under_way, &opened, &mut books).await;
        place.trouble(&mut random);
        load.go_to(service.address());
    }
    let outcome = load.end().await;

    let refused = judge(&opened, &mut books, &outcome.asked).await;
    repeat(&service, &outcome.asked).await;
    service.tell_to_end();
    assert!(service.ended().success());
    let query = ResponseQuery { state: Some(ResponseState::Running), limit: 10, ..ResponseQuery::default() };
    assert_eq!(opened.responses.list_responses(&query).await.unwrap(), [], "keys that are still taken");

    let [lost, in_flight, unavailable] = outcome.met;
    println!(
        "figures: {kind:?} kills={kills} asked={} charges={} refunds={} refused={refused} lost_attempts={lost} \
         in_flight={in_flight} unavailable={unavailable} requests/kills:{phases} longest_stuck_ms={} lease_ms={} seconds={}",
        outcome.asked.len(),
        books.charges.len(),
        books.events - books.charges.len(),
        outcome.longest_stuck.as_millis(),
        LEASE.as_millis(),
        began.elapsed().as_secs()
    );
    let longest = LEASE + 2 * Duration::from_millis(LONGEST_PAUSE_MS) + SLOWNESS;
    assert!(outcome.longest_stuck < longest, "a key was stuck for {:?}", outcome.longest_stuck);
    assert!(kills < KILLS || phases.have_met_both_sides_of_the_commit(), "the kills have met nothing: {phases}");
}

fn begin(place: &Place) -> Service {
    place.begin(&["--lease", &LEASE.as_secs_f64().to_string()])
}

/// Whether everything that was asked for has happened once, as it was answered; returns how many refunds were refused.
async fn judge(opened: &Opened, books: &mut Books, asked: &[Asked]) -> usize {
    books.read_on(&*opened.events).await;
    let mut refused = 0;
    for (number, asked) in asked.iter().enumerate() {
        let answer = asked.answer.as_ref().expect("everybody has been answered");
        let is_refused = answer.status == 422;
        refused += usize::from(is_refused);
        assert_eq!(books.effects_of(number), usize::from(!is_refused), "{asked:?}");
        if asked.ask.path == "/v1/charges" {
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            assert!(books.charges.contains_key(&id), "{asked:?}");
        }
    }
    assert_eq!(books.events, asked.len() - refused, "nothing has happened that nobody has asked for");
    for (id, (charged, refunded)) in &books.charges {
        assert_eq!(*charged, u64::from(AMOUNT), "{id}");
        assert!(refunded <= charged, "{id}: {refunded} of {charged} were given back");
    }
    let report = Verify::new(&*opened.auditable).run().await.unwrap();
    assert!(report.is_sound(), "{report}");
    refused
}

/// Whether every answer is given again, byte by byte.
async fn repeat(service: &Service, asked: &[Asked]) {
    for Asked { ask, answer, .. } in asked {
        let first = answer.as_ref().expect("everybody has been answered");
        let again = ask.send(service.address()).await.expect("the service is well");
        assert!(again.is_replay() && lasting(&again) == lasting(first), "{ask:?}: {first:?}\n{again:?}");
    }
}
