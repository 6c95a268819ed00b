//! A hundred first requests with one key at the same moment, spread over two processes: one of them is carried out.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use annals::Verify;
use tokio::{sync::Barrier, task::JoinSet};

use super::{
    books::Books,
    client::{Ask, Connection, is_in_flight, lasting},
    place::{Kind, Place, on_every_place},
    seed,
};
use crate::{campaign, payments_example::program::Answer};

/// How often a hundred requests meet.
const ROUNDS: u32 = 20;

/// How many requests of one key meet.
const REQUESTS: usize = 100;

/// How long a handler takes, in milliseconds: at times nothing, at times long enough for all to find it at work.
const TAKES_MS: [u32; 5] = [0, 0, 3, 30, 150];

on_every_place! {
    http_c08_of_a_hundred_first_requests_to_two_processes_one_is_carried_out
    http_c05_a_hundred_that_wait_get_the_answer_of_the_one_that_is_carried_out
}

async fn http_c08_of_a_hundred_first_requests_to_two_processes_one_is_carried_out(kind: Kind) {
    race(kind, &[]).await;
}

async fn http_c05_a_hundred_that_wait_get_the_answer_of_the_one_that_is_carried_out(kind: Kind) {
    race(kind, &["--in-flight-wait", "60"]).await;
}

/// What the answers of all rounds were.
#[derive(Debug, Default)]
struct Answers {
    executed: usize,
    replayed: usize,
    in_flight: usize,
}

async fn race(kind: Kind, arguments: &[&str]) {
    let mut random = fastrand::Rng::with_seed(seed());
    let place = Place::new(kind).await;
    let services = [place.begin(arguments), place.begin(arguments)];
    let addresses = [services[0].address(), services[1].address()];
    let opened = place.open().await;
    let (mut books, mut all) = (Books::default(), Answers::default());
    let (began, rounds) = (Instant::now(), campaign::sized(ROUNDS) as usize);
    let mut first_answers = Vec::new();
    for round in 0..rounds {
        let takes = *random.choice(&TAKES_MS).unwrap();
        let ask = Ask::charge(round, 2_000, &format!("&metadata[delay_ms]={takes}"));
        let answers = meet(addresses, &ask).await;
        let first = judge(&answers, &mut all);
        assert!(arguments.is_empty() || answers.iter().all(|answer| answer.status == 201), "{round}: all have waited");
        books.read_on(&*opened.events).await;
        assert_eq!((books.effects_of(round), books.events), (1, round + 1), "round {round}");
        first_answers.push((ask, first));
    }
    let milliseconds = began.elapsed().as_millis();
    for (ask, first) in &first_answers {
        for address in addresses {
            let again = ask.send(address).await.expect("the services are well");
            assert!(again.is_replay() && lasting(&again) == lasting(first), "{first:?}\n{again:?}");
        }
    }
    for service in services {
        service.tell_to_end();
        assert!(service.ended().success());
    }
    let report = Verify::new(&*opened.auditable).run().await.unwrap();
    assert!(report.is_sound(), "{report}");
    let Answers { executed, replayed, in_flight } = all;
    println!(
        "figures: {kind:?} waits={} rounds={rounds} requests={} executed={executed} replayed={replayed} \
         in_flight={in_flight} charges={} milliseconds={milliseconds}",
        !arguments.is_empty(),
        rounds * REQUESTS,
        books.events
    );
}

/// Sends one request so many times at once, over connections that are open already.
async fn meet(services: [SocketAddr; 2], ask: &Ask) -> Vec<Answer> {
    let start = Arc::new(Barrier::new(REQUESTS));
    let mut under_way = JoinSet::new();
    for number in 0..REQUESTS {
        let (start, ask, service) = (Arc::clone(&start), ask.clone(), services[number % 2]);
        under_way.spawn(async move {
            let connection = Connection::open(service).await.expect("the service listens");
            start.wait().await;
            connection.ask(&ask).await.expect("the service answers")
        });
    }
    under_way.join_all().await
}

/// Of all answers one says that it was carried out; the others say the same again, or that it is under way.
fn judge(answers: &[Answer], all: &mut Answers) -> Answer {
    let mut executed: Vec<_> = answers.iter().filter(|answer| answer.status == 201 && !answer.is_replay()).collect();
    let first = executed.pop().unwrap_or_else(|| panic!("nobody was answered first: {answers:?}"));
    assert!(executed.is_empty(), "carried out more than once: {first:?} and {executed:?}");
    all.executed += 1;
    for answer in answers.iter().filter(|answer| !std::ptr::eq(*answer, first)) {
        if answer.status == 201 {
            assert_eq!(lasting(answer), lasting(first));
            all.replayed += 1;
        } else {
            assert!(is_in_flight(answer), "{answer:?}");
            all.in_flight += 1;
        }
    }
    first.clone()
}
