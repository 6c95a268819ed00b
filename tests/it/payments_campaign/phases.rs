//! Where requests were when their process was killed, as the database tells it.

use std::fmt;

use annals::{
    IdempotencyKey, ScopedKey,
    store::{ClaimedResponse, ResponseQuery},
};

use super::{books::Books, load::UnderWay, place::Opened};

/// Where a request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing of it is there.
    BeforeTheClaim,
    /// It was claimed, and has not taken effect.
    BeforeTheCommand,
    /// It has taken effect, and has no answer.
    BetweenCommitAndAnswer,
    /// Its answer is stored, and nobody has heard it.
    AfterTheAnswer,
}

/// How many requests were met in each phase, and by how many kills.
#[derive(Debug, Default)]
pub struct Phases([Met; 4]);

#[derive(Debug, Default, Clone, Copy)]
struct Met {
    requests: usize,
    kills: usize,
}

impl Phases {
    /// Looks at what a kill has left of the requests that were under way, before anybody goes on with them.
    ///
    /// A refund that was refused leaves no event: it counts as not carried out, as long as its answer is not stored.
    pub async fn look(&mut self, under_way: &[UnderWay], opened: &Opened, books: &mut Books) {
        let query = ResponseQuery { limit: 1, ..ResponseQuery::default() };
        let rows = opened.responses.list_responses(&query).await.unwrap();
        let Some(scope) = rows.first().map(|row| row.key.scope.clone()) else {
            return;
        };
        let mut requests = [0; 4];
        for request in under_way {
            let key = ScopedKey::new(scope.clone(), IdempotencyKey::new(request.key.clone()).unwrap());
            let found = opened.responses.find_response(&key).await.unwrap();
            books.read_on(&*opened.events).await;
            let phase = match found {
                None => Phase::BeforeTheClaim,
                Some(ClaimedResponse::Finished(_)) => Phase::AfterTheAnswer,
                Some(_) if books.effects_of(request.number) > 0 => Phase::BetweenCommitAndAnswer,
                Some(_) => Phase::BeforeTheCommand,
            };
            requests[phase as usize] += 1;
        }
        for (met, requests) in self.0.iter_mut().zip(requests) {
            met.requests += requests;
            met.kills += usize::from(requests > 0);
        }
    }

    /// Whether kills have fallen before the command, and between its commit and its answer.
    pub const fn have_met_both_sides_of_the_commit(&self) -> bool {
        self.0[Phase::BeforeTheCommand as usize].kills > 0 && self.0[Phase::BetweenCommitAndAnswer as usize].kills > 0
    }
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["before_claim", "before_command", "before_answer", "after_answer"];
        for (name, Met { requests, kills }) in names.iter().zip(self.0) {
            write!(f, " {name}={requests}/{kills}")?;
        }
        Ok(())
    }
}
