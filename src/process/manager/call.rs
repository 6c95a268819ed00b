//! What the handlers of a process are given.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::IdempotencyKey;

/// A call of a service that a process has decided on.
///
/// It may come more than once, always with the same key: hand it on. `Debug` leaves the request out.
#[non_exhaustive]
pub struct Call<R> {
    /// The process.
    pub process_id: Uuid,
    /// The step, by its name.
    pub step: String,
    /// What is asked for.
    pub request: R,
    /// The same in every call of this step, and in no other.
    pub key: IdempotencyKey,
    /// When what led to the step happened.
    pub planned_at: DateTime<Utc>,
    /// The service may have forgotten the key by now, if it was called before: see
    /// [`ProcessRunner::keys_kept_for`](super::ProcessRunner::keys_kept_for). Look there by something else first.
    pub is_key_old: bool,
}

/// A call of a service that is to be undone.
///
/// It may come more than once, always with the same keys. `Debug` leaves request and result out.
#[non_exhaustive]
pub struct UndoCall<R, T> {
    /// The process.
    pub process_id: Uuid,
    /// The step that is undone, by its name.
    pub step: String,
    /// What was asked for.
    pub request: R,
    /// For the call that undoes it: the same each time.
    pub key: IdempotencyKey,
    /// The key the step was called with.
    pub action_key: IdempotencyKey,
    /// What it was answered.
    ///
    /// `None`: whether it has happened is not known. It may happen still: have the service note that nothing is to happen
    /// under the key, or find out by the same call with the same key.
    pub result: Option<T>,
    /// The service may have forgotten the keys by now.
    ///
    /// See [`ProcessRunner::keys_kept_for`](super::ProcessRunner::keys_kept_for).
    ///
    /// The same call with the same key may then be a new one: look there by something else first.
    pub is_key_old: bool,
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({} of {})", self.step, self.process_id)
    }
}

impl<R, T> fmt::Debug for UndoCall<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UndoCall({} of {})", self.step, self.process_id)
    }
}

/// Whether a key that was first used then may be forgotten by now.
pub(super) fn is_old(planned_at: DateTime<Utc>, now: DateTime<Utc>, kept_for: Option<Duration>) -> bool {
    kept_for.is_some_and(|kept_for| (now - planned_at).to_std().is_ok_and(|age| age >= kept_for))
}
