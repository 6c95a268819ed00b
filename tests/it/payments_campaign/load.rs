//! Clients that each ask for one thing after another, and do not let go of it before they have its answer.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::{
    LONGEST_WAIT,
    client::{Ask, is_in_flight},
    in_time,
};
use crate::payments_example::program::Answer;

/// How many clients there are.
const CLIENTS: usize = 12;

/// What each charge comes to, in cents.
pub const AMOUNT: u32 = 2_000;

/// What each refund comes to: the third of a charge is refused.
const REFUND: u32 = 900;

/// The longest that a request takes at each of its two places, in milliseconds.
pub const LONGEST_PAUSE_MS: u64 = 150;

/// How long a client waits before it asks again, unless there is a new process before.
const BETWEEN: Duration = Duration::from_millis(20);

/// What somebody has asked for.
#[derive(Debug)]
pub struct Asked {
    pub ask: Ask,
    pub answer: Option<Answer>,
    /// How often its process was killed.
    kills: u32,
}

/// A request without an answer.
#[derive(Debug)]
pub struct UnderWay {
    pub number: usize,
    pub key: String,
}

/// A kill, and when the next process was there.
#[derive(Debug, Clone, Copy)]
struct Kill {
    at: Instant,
    begun_again: Option<Instant>,
}

#[derive(Debug, Default)]
struct Ledger {
    asked: Vec<Asked>,
    /// Charges that were acknowledged, by the id that clients were told.
    charges: Vec<String>,
    kill: Option<Kill>,
    /// The longest time from a kill to an answer, without the start of the next process.
    longest_stuck: Duration,
}

/// What clients have met on their way.
#[derive(Debug, Default)]
pub struct Met {
    /// Attempts without a whole answer.
    pub lost: AtomicUsize,
    /// Answers of 409.
    pub in_flight: AtomicUsize,
    /// Answers of 503.
    pub unavailable: AtomicUsize,
}

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Ledger>,
    met: Met,
    service: watch::Sender<SocketAddr>,
    answers: watch::Sender<usize>,
    is_ending: AtomicBool,
}

/// The clients, under way.
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

/// What the clients leave behind.
pub struct Outcome {
    pub asked: Vec<Asked>,
    pub longest_stuck: Duration,
    /// Attempts lost, answers of 409, answers of 503.
    pub met: [usize; 3],
}

impl Load {
    pub fn start(service: SocketAddr, random: &mut fastrand::Rng) -> Self {
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            met: Met::default(),
            service: watch::channel(service).0,
            answers: watch::channel(0).0,
            is_ending: AtomicBool::new(false),
        });
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(client(Arc::clone(&shared), random.fork()));
        }
        Self { shared, clients }
    }

    /// Waits for so many more answers, and until no request has been through more kills than that.
    pub async fn goes_on(&mut self, answers: usize, kills: u32) {
        let shared = &self.shared;
        let mut count = shared.answers.subscribe();
        let wanted = *count.borrow() + answers;
        let is_enough = |count: &usize| {
            *count >= wanted && shared.ledger().asked.iter().all(|it| it.answer.is_some() || it.kills <= kills)
        };
        tokio::select! {
            enough = in_time("the load", count.wait_for(is_enough)) => drop(enough.unwrap()),
            ended = self.clients.join_next() => panic!("a client has ended: {ended:?}"),
        }
    }

    /// Waits for an answer, but not for long: to be somewhere between two of them.
    pub async fn pause(&self, random: &mut fastrand::Rng) {
        let mut count = self.shared.answers.subscribe();
        drop(timeout(Duration::from_micros(random.u64(0..50_000)), count.changed()).await);
    }

    /// The process is killed, by what it is given; returns what was under way.
    pub fn kill(&self, kill: impl FnOnce()) -> Vec<UnderWay> {
        let mut ledger = self.shared.ledger();
        ledger.kill = Some(Kill { at: Instant::now(), begun_again: None });
        // Nobody notes an answer meanwhile.
        kill();
        let under_way = ledger.asked.iter_mut().enumerate().filter(|(_, asked)| asked.answer.is_none());
        let hit = under_way.map(|(number, asked)| {
            asked.kills += 1;
            UnderWay { number, key: asked.ask.key.clone() }
        });
        hit.collect()
    }

    /// Another process has begun, and can be asked.
    pub fn go_to(&self, service: SocketAddr) {
        let mut ledger = self.shared.ledger();
        let kill = ledger.kill.as_mut().expect("one was killed before");
        kill.begun_again = Some(Instant::now());
        drop(ledger);
        self.shared.service.send_replace(service);
    }

    /// Lets everybody come to their answer.
    pub async fn end(self) -> Outcome {
        self.shared.is_ending.store(true, Ordering::SeqCst);
        in_time("the clients", self.clients.join_all()).await;
        let shared = Arc::into_inner(self.shared).expect("all clients are gone");
        let ledger = shared.ledger.into_inner().unwrap();
        let Met { lost, in_flight, unavailable } = shared.met;
        let met = [lost, in_flight, unavailable].map(AtomicUsize::into_inner);
        Outcome { asked: ledger.asked, longest_stuck: ledger.longest_stuck, met }
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// Asks for something new.
    fn begin(&self, random: &mut fastrand::Rng) -> (usize, Ask) {
        let mut ledger = self.ledger();
        let number = ledger.asked.len();
        let mut magic = String::new();
        for note in ["delay_ms", "linger_ms"] {
            if random.u32(0..3) == 0 {
                magic += &format!("&metadata[{note}]={}", random.u64(1..=LONGEST_PAUSE_MS));
            }
        }
        let refunded = random.choice(&ledger.charges).filter(|_| random.u32(0..4) == 0);
        let ask = match refunded {
            Some(charge) => Ask::refund(number, charge, REFUND, &magic),
            None => Ask::charge(number, AMOUNT, &magic),
        };
        ledger.asked.push(Asked { ask: ask.clone(), answer: None, kills: 0 });
        (number, ask)
    }

    fn answered(&self, number: usize, answer: Answer) {
        let mut ledger = self.ledger();
        if let Some(kill) = ledger.kill.filter(|_| ledger.asked[number].kills > 0) {
            // Where the next process is not there yet, the answer is of the one before.
            let begun_again = kill.begun_again.unwrap_or_else(Instant::now);
            let start = begun_again - kill.at;
            ledger.longest_stuck = ledger.longest_stuck.max(kill.at.elapsed() - start);
        }
        if answer.status == 201 && ledger.asked[number].ask.path == "/v1/charges" {
            ledger.charges.push(answer.json()["id"].as_str().unwrap().to_owned());
        }
        ledger.asked[number].answer = Some(answer);
        drop(ledger);
        self.answers.send_modify(|answers| *answers += 1);
    }

    /// Asks with the same key and bytes, of whatever process there is, until there is an answer that counts.
    async fn until_answered(&self, ask: &Ask) -> Answer {
        let mut service = self.service.subscribe();
        let began = Instant::now();
        loop {
            let address = *service.borrow_and_update();
            let met = match ask.send(address).await {
                Some(answer) if is_final(&answer) => return answer,
                Some(answer) if is_in_flight(&answer) => &self.met.in_flight,
                Some(answer) if answer.status == 503 => &self.met.unavailable,
                Some(answer) => panic!("{ask:?} is answered {answer:?}"),
                None => &self.met.lost,
            };
            met.fetch_add(1, Ordering::Relaxed);
            assert!(began.elapsed() < LONGEST_WAIT, "{ask:?} is stuck");
            drop(timeout(BETWEEN, service.changed()).await);
        }
    }
}

/// An answer after which nobody asks again. A refund that comes to more than is left is one.
fn is_final(answer: &Answer) -> bool {
    let is_refused = || ["amount-too-large", "charge-already-refunded"].iter().any(|code| answer.body.contains(code));
    answer.status == 201 || (answer.status == 422 && is_refused())
}

async fn client(shared: Arc<Shared>, mut random: fastrand::Rng) {
    while !shared.is_ending.load(Ordering::SeqCst) {
        let (number, ask) = shared.begin(&mut random);
        let answer = shared.until_answered(&ask).await;
        shared.answered(number, answer);
    }
}
