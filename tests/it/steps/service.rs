//! A service that keeps its books by key, as a bank or a warehouse does.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use annals::{IdempotencyKey, process::StepFailure};

use super::points::Points;

/// How a call goes wrong on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    LostRequest,
    LostReply,
    Busy,
}

/// What stands under one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub calls: u32,
    pub effects: u32,
    pub undone: u32,
    /// Nothing is to happen under this key any more.
    pub is_cancelled: bool,
}

#[derive(Debug, Default)]
pub struct Books {
    /// By the key of the call.
    pub entries: BTreeMap<String, Entry>,
    /// The keys of calls that undo, each with how often it came.
    pub undo_keys: BTreeMap<String, u32>,
    /// What took effect, in its order: `reserve`, `undo reserve` …
    pub story: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Service {
    books: Arc<Mutex<Books>>,
    noise: Arc<Mutex<BTreeMap<String, VecDeque<Noise>>>>,
}

fn lost(what: &str) -> std::io::Error {
    std::io::Error::other(format!("the {what} was lost"))
}

impl Service {
    pub fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// The next calls under a name go wrong; `undo reserve` for those that undo.
    pub fn disturb(&self, name: &str, noise: impl IntoIterator<Item = Noise>) {
        self.noise.lock().unwrap().entry(name.to_owned()).or_default().extend(noise);
    }

    fn next_noise(&self, name: &str) -> Option<Noise> {
        self.noise.lock().unwrap().get_mut(name).and_then(VecDeque::pop_front)
    }

    pub fn entry(&self, name: &str) -> Entry {
        let books = self.books();
        let mut found = books.entries.values().filter(|entry| entry.name == name);
        let entry = found.next().cloned().unwrap_or_default();
        assert!(found.next().is_none(), "{name} came with two keys");
        entry
    }

    /// Has its effect once for a key. `refuses`: says no, always.
    pub async fn call(
        &self,
        points: &Points,
        name: &str,
        key: IdempotencyKey,
        refuses: bool,
    ) -> Result<String, StepFailure> {
        points.pass().await;
        let noise = self.next_noise(name);
        match noise {
            Some(Noise::LostRequest) => return Err(lost("request").into()),
            Some(Noise::Busy) => return Err(StepFailure::retryable("busy")),
            Some(Noise::LostReply) | None => {}
        }
        {
            let mut books = self.books();
            let entry = books.entries.entry(key.as_str().to_owned()).or_default();
            name.clone_into(&mut entry.name);
            entry.calls += 1;
            if refuses || (entry.is_cancelled && entry.effects == 0) {
                return Err(StepFailure::refused("no"));
            }
            if entry.effects == 0 {
                entry.effects = 1;
                books.story.push(name.to_owned());
            }
        }
        points.pass().await;
        if noise.is_some() { Err(lost("reply").into()) } else { Ok(format!("{name}-id")) }
    }

    /// Undoes what has happened under the step's key, and keeps it from happening; once for a key.
    ///
    /// The keys: of the call that undoes, and of the one that is undone.
    pub async fn undo(
        &self,
        points: &Points,
        name: &str,
        (key, action_key): (&IdempotencyKey, &IdempotencyKey),
        result: Option<String>,
    ) -> Result<(), StepFailure> {
        points.pass().await;
        let noise = self.next_noise(&format!("undo {name}"));
        match noise {
            Some(Noise::LostRequest) => return Err(lost("request").into()),
            Some(Noise::Busy) => return Err(StepFailure::retryable("busy")),
            Some(Noise::LostReply) | None => {}
        }
        if let Some(result) = result {
            assert_eq!(result, format!("{name}-id"));
        }
        {
            let mut books = self.books();
            let times = books.undo_keys.entry(key.as_str().to_owned()).or_default();
            *times += 1;
            let is_first = *times == 1;
            let entry = books.entries.entry(action_key.as_str().to_owned()).or_default();
            name.clone_into(&mut entry.name);
            if is_first {
                entry.is_cancelled = true;
                entry.undone += 1;
                books.story.push(format!("undo {name}"));
            }
        }
        points.pass().await;
        if noise.is_some() { Err(lost("reply").into()) } else { Ok(()) }
    }
}
