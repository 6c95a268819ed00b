//! A timer that is due, in the hands of its handler.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::store::{Error, HeldTimer, IdempotencyKey, TimerWork};

/// A timer that is due, in the hands of its handler.
///
/// `Debug` leaves the payload out.
#[derive(Clone)]
pub struct FiredTimer {
    held: HeldTimer,
    key: IdempotencyKey,
    keep_for: Duration,
    is_within: Arc<AtomicBool>,
}

impl fmt::Debug for FiredTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FiredTimer").field(&self.held.timer).finish()
    }
}

/// Somebody else has the timer by now.
#[derive(Debug, thiserror::Error)]
#[error("the timer is somebody else's by now, or was moved or cancelled")]
struct Overtaken;

impl FiredTimer {
    pub(super) fn new(held: HeldTimer, keep_for: Duration) -> Result<Self, Error> {
        // An id may be used anew once it is forgotten, and its effect is then another.
        let set_at = held.timer.scheduled_at.timestamp_micros().to_be_bytes();
        let timer = Uuid::new_v5(&held.timer.id, &set_at);
        let key = IdempotencyKey::new(format!("timer:{}:{timer}", held.timer.queue))?;
        Ok(Self { held, key, keep_for, is_within: Arc::default() })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.held.timer.id
    }

    /// When it was due.
    #[must_use]
    pub const fn due_at(&self) -> DateTime<Utc> {
        self.held.timer.due_at
    }

    /// Which attempt this is, from 1.
    ///
    /// Attempts of runners that died count.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.held.timer.attempts
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`]: it says something else.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.held.timer.payload.as_deref().unwrap_or("null"))
            .map_err(|error| Error::codec("what a timer says cannot be read", error))
    }

    /// The key of its effect, the same in every attempt.
    ///
    /// Made of queue, id and when it was set.
    ///
    /// A command under this key is executed once, however often the timer fires.
    #[must_use]
    pub fn key(&self) -> IdempotencyKey {
        self.key.clone()
    }

    /// Ends the timer within a transaction.
    ///
    /// With its commit the effect is had, and the timer has fired.
    ///
    /// The handler commits, and returns. Where it returns without having committed, the attempt has failed.
    ///
    /// # Errors
    ///
    /// [`Error::Contention`]: somebody else has the timer by now, or it was moved or cancelled; drop the transaction. After any
    /// other it can only be dropped as well.
    pub async fn within(&self, work: &mut impl TimerWork) -> Result<(), Error> {
        if !work.fire(&self.held, self.keep_for).await? {
            return Err(Error::contention(Overtaken));
        }
        self.is_within.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a transaction was to end it.
    pub(super) fn is_within(&self) -> bool {
        self.is_within.load(Ordering::Relaxed)
    }
}
