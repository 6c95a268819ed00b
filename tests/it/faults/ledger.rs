//! What callers were told, compared with what is there.

use std::{collections::HashMap, fmt};

use annals::{EventStore, Repository};
use futures_util::{StreamExt as _, stream};

use super::{
    log_check::Checked,
    tally::{Request, Tally, answer_line, is_replayed},
};

/// How many requests are sent again at once.
const AT_ONCE: usize = 16;

/// The answers of a campaign, by the names of its requests.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    pub acknowledged: HashMap<String, String>,
}

/// What a comparison has counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Requests that were answered.
    pub acknowledged: usize,
    /// Those of them whose events are all there, and no more of them.
    pub found: usize,
    /// Those with events missing.
    pub lost: usize,
    /// Requests, answered or not, that have left more events than they lead to.
    pub doubled: usize,
    /// Requests that were not answered and have left a part of their events.
    pub torn: usize,
    /// Answered requests that get another answer now, or were run again to get one.
    pub changed: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, found, lost, doubled, torn, changed } = self;
        write!(
            f,
            "acknowledged={acknowledged} found={found} lost={lost} doubled={doubled} torn={torn} changed={changed}"
        )
    }
}

impl Figures {
    /// # Panics
    ///
    /// Where anything is not as it was answered.
    pub fn assert_sound(&self) {
        let expected = Self { acknowledged: self.acknowledged, found: self.acknowledged, ..Self::default() };
        assert_eq!(*self, expected);
    }
}

impl Ledger {
    /// Compares the answers with a log, and repeats those under a key: each gets its first answer.
    pub async fn compare<S: EventStore + Clone + 'static>(&self, store: &S, checked: &Checked) -> Figures {
        let mut figures = Figures { acknowledged: self.acknowledged.len(), ..Figures::default() };
        for (name, answer) in &self.acknowledged {
            let expected = if answer.starts_with("accepted") { Request::of(name).events() } else { 0 };
            match checked.events_of.get(name).copied().unwrap_or(0) {
                found if found == expected => figures.found += 1,
                found if found < expected => figures.lost += 1,
                _ => {}
            }
        }
        for (name, found) in &checked.events_of {
            let expected = Request::of(name).events();
            figures.doubled += usize::from(*found > expected);
            figures.torn += usize::from(*found < expected && !self.acknowledged.contains_key(name));
        }
        let tallies = &Repository::<Tally>::new(store);
        let keyed = self.acknowledged.iter().map(|(name, answer)| (Request::of(name), answer));
        figures.changed = stream::iter(keyed.filter(|(request, _)| request.key.is_some()))
            .map(|(request, first_answer)| async move {
                let again = request.run(tallies).await;
                let is_as_before = answer_line(&again).as_ref() == Ok(first_answer) && is_replayed(&again);
                if !is_as_before {
                    println!("{} was answered {first_answer}, and now {again:?}", request.name);
                }
                usize::from(!is_as_before)
            })
            .buffer_unordered(AT_ONCE)
            .fold(0, |sum, changed| async move { sum + changed })
            .await;
        figures
    }

    /// Compares, and fails where anything is not as it was answered.
    pub async fn check<S: EventStore + Clone + 'static>(&self, store: &S, checked: &Checked) {
        self.compare(store, checked).await.assert_sound();
    }
}

mod tests {
    use annals::SqliteStore;

    use super::{super::log_check::check_log, Figures, Ledger};
    use crate::faults::tally::{Request, Tally, UNKEYED, answer_line};

    /// Runs a few requests of either kind and enters their answers.
    async fn filled(store: &SqliteStore) -> Ledger {
        let tallies = annals::Repository::<Tally>::new(store);
        let mut ledger = Ledger::default();
        for number in 0..40 {
            for prefix in ["", UNKEYED] {
                let request = Request::of(&format!("{prefix}{number}"));
                let answer = answer_line(&request.run(&tallies).await).unwrap();
                ledger.acknowledged.insert(request.name, answer);
            }
        }
        ledger
    }

    async fn figures(store: &SqliteStore, ledger: &Ledger) -> Figures {
        ledger.compare(store, &check_log(store).await).await
    }

    #[tokio::test]
    async fn what_is_lost_doubled_or_answered_otherwise_is_counted() {
        let store = SqliteStore::open_in_memory().await.unwrap();
        let ledger = filled(&store).await;
        figures(&store, &ledger).await.assert_sound();

        let names = |prefix: &'static str| (0..).map(move |number| Request::of(&format!("{prefix}n{number}")));
        let with_events = |prefix| names(prefix).find(|request| request.events() > 1).unwrap();
        let (keyed, unkeyed) = (with_events(""), with_events(UNKEYED));
        let mut wrong = ledger.clone();
        wrong.acknowledged.insert(unkeyed.name.clone(), "accepted 1 2 3".to_owned());
        let found = figures(&store, &wrong).await;
        assert_eq!((found.lost, found.found + 1), (1, found.acknowledged));

        let mut wrong = ledger.clone();
        wrong.acknowledged.insert(keyed.name.clone(), "accepted 1 2 3".to_owned());
        let found = figures(&store, &wrong).await;
        assert_eq!((found.lost, found.changed), (1, 1));

        let tallies = annals::Repository::<Tally>::new(&store);
        for _ in 0..2 {
            unkeyed.run(&tallies).await.unwrap();
        }
        assert_eq!(figures(&store, &ledger).await.doubled, 1);
    }
}
