//! A service that keeps keys, and does what the test wants done to its callers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use annals::{IdempotencyKey, process::StepFailure};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is refused for good.
    Refuse,
    /// It fails before it has had its effect, and the caller cannot know that.
    LoseRequest,
    /// It has its effect, and the caller does not hear of it.
    LoseReply,
    /// It fails, and says that nothing has happened.
    Busy,
}

#[derive(Debug, Default)]
struct Books {
    /// The answers under each key.
    answers: HashMap<String, String>,
    /// What was done, in order, once for each key.
    effects: Vec<String>,
    calls: BTreeMap<String, u32>,
    fates: BTreeMap<String, Vec<Fate>>,
    keys: BTreeMap<String, Vec<String>>,
}

/// One or more services, told apart by the names of what they do.
#[derive(Debug, Clone, Default)]
pub struct Service(Arc<Mutex<Books>>);

impl Service {
    /// What becomes of the next calls of this name.
    pub fn plan(&self, name: &str, fates: impl IntoIterator<Item = Fate>) -> &Self {
        self.0.lock().unwrap().fates.insert(name.to_owned(), fates.into_iter().collect());
        self
    }

    /// Every call of this name from now on.
    pub fn always(&self, name: &str, fate: Fate) -> &Self {
        self.plan(name, vec![fate; 10_000])
    }

    /// Does something once under a key.
    pub fn ask(&self, name: &str, key: &IdempotencyKey) -> Result<String, StepFailure> {
        let mut books = self.0.lock().unwrap();
        *books.calls.entry(name.to_owned()).or_default() += 1;
        books.keys.entry(name.to_owned()).or_default().push(key.as_str().to_owned());
        let fate = books.fates.get_mut(name).filter(|fates| !fates.is_empty()).map(|fates| fates.remove(0));
        let lost = || StepFailure::unknown("the connection was cut");
        match fate {
            Some(Fate::Refuse) => return Err(StepFailure::refused(format!("no {name}"))),
            Some(Fate::LoseRequest) => return Err(lost()),
            Some(Fate::Busy) => return Err(StepFailure::retryable("busy")),
            Some(Fate::LoseReply) | None => {}
        }
        let done = match books.answers.get(key.as_str()) {
            Some(answer) => answer.clone(),
            None => {
                books.effects.push(name.to_owned());
                let answer = format!("{name} {}", books.effects.len());
                books.answers.insert(key.as_str().to_owned(), answer.clone());
                answer
            }
        };
        if fate == Some(Fate::LoseReply) { Err(lost()) } else { Ok(done) }
    }

    /// Whether something was done under a key.
    pub fn has(&self, key: &IdempotencyKey) -> bool {
        self.0.lock().unwrap().answers.contains_key(key.as_str())
    }

    /// What was done, in order.
    pub fn effects(&self) -> Vec<String> {
        self.0.lock().unwrap().effects.clone()
    }

    pub fn calls(&self, name: &str) -> u32 {
        self.0.lock().unwrap().calls.get(name).copied().unwrap_or_default()
    }

    /// The keys of all calls of this name.
    pub fn keys(&self, name: &str) -> Vec<String> {
        self.0.lock().unwrap().keys.get(name).cloned().unwrap_or_default()
    }
}
