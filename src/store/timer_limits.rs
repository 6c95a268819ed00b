//! Bounds on timers, checked before any I/O.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};
use uuid::Uuid;

use super::{
    DueClaim, Error, HeldTimer, NewTimer, Settled, TimerQuery, check_kept,
    limits::{bounded, check_depth, check_lease},
};

/// The most bytes of a queue's name, and of an owner's.
const QUEUE_BYTES: usize = 200;
const OWNER_BYTES: usize = 255;

/// The most bytes of what a timer says.
const PAYLOAD_BYTES: usize = 64 << 10;

/// The most timers of one call.
const CALL_TIMERS: usize = 1_000;

/// The most timers of one list.
const ANSWER_TIMERS: u32 = 10_000;

/// Up to how many timers are counted.
pub(crate) const COUNTED_TIMERS: i64 = 1_000_000;

/// The longest pause after a failure, ten years.
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Makes sure that there can be such timers, and gives each id once, in their order: the first that has it counts.
///
/// In one order, so that those who set the same timers at once do not wait for each other in a circle.
pub(crate) fn check_new_timers<'t>(queue: &str, timers: &'t [NewTimer]) -> Result<Vec<&'t NewTimer>, Error> {
    check_queue(queue)?;
    bounded("timers at once", timers.len(), CALL_TIMERS)?;
    let mut by_id = BTreeMap::new();
    for timer in timers {
        check_due(timer.due_at)?;
        bounded("bytes in a timer's payload", timer.payload.len(), PAYLOAD_BYTES)?;
        // PostgreSQL takes as JSON what this does; and how deep it is counts for whoever reads it.
        if serde_json::from_str::<&serde_json::value::RawValue>(&timer.payload).is_err() {
            return Err(Error::invalid("what a timer says is JSON"));
        }
        check_depth(&timer.payload)?;
        by_id.entry(timer.id).or_insert(timer);
    }
    Ok(by_id.into_values().collect())
}

/// Makes sure that these can be woken, and gives each id once, in their order.
pub(crate) fn check_woken(queue: &str, ids: &[Uuid], at: DateTime<Utc>) -> Result<Vec<Uuid>, Error> {
    check_queue(queue)?;
    check_due(at)?;
    bounded("timers at once", ids.len(), CALL_TIMERS)?;
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Makes sure that a name can be that of a queue.
pub(crate) fn check_queue(queue: &str) -> Result<(), Error> {
    if queue.is_empty() || queue.len() > QUEUE_BYTES || !queue.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid(format!("a queue is named by 1 to {QUEUE_BYTES} visible ASCII characters")));
    }
    Ok(())
}

/// Makes sure that a time can be stored.
pub(crate) fn check_due(at: DateTime<Utc>) -> Result<(), Error> {
    if !(1..=9999).contains(&at.year()) {
        return Err(Error::invalid(format!("a timer is due in one of the years 1 to 9999, not at {at}")));
    }
    Ok(())
}

/// The time as it is stored, in whole microseconds: never before the one that was asked for.
pub(crate) fn due_in_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    let over = i64::from(at.nanosecond() % 1_000);
    if over == 0 { at } else { at + TimeDelta::nanoseconds(1_000 - over) }
}

/// Makes sure that not too many leases are renewed at once, nor for too long.
pub(crate) fn check_renewed(held: &[HeldTimer], lease: Duration) -> Result<(), Error> {
    check_lease(lease)?;
    bounded("timers at once", held.len(), CALL_TIMERS)
}

impl DueClaim {
    /// Makes sure that the claim can be stored.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_queue(&self.queue)?;
        if self.owner.is_empty() || self.owner.len() > OWNER_BYTES || self.owner.contains('\0') {
            return Err(Error::invalid(format!(
                "whoever fires timers is named by 1 to {OWNER_BYTES} bytes without NUL"
            )));
        }
        check_lease(self.lease)?;
        bounded("timers at once", self.limit as usize, CALL_TIMERS)
    }
}

impl Settled {
    /// Makes sure that the outcome can be stored.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Fired { keep_for } => check_kept(*keep_for),
            Self::Later { at } => check_due(*at),
            Self::Failed { pause, .. } if *pause > LONGEST_PAUSE => {
                Err(Error::invalid(format!("after a failure ten years are waited at the most, not {pause:?}")))
            }
            Self::Failed { .. } | Self::Idle | Self::Parked { .. } | Self::GivenBack => Ok(()),
        }
    }
}

impl TimerQuery {
    /// Makes sure that the answer is bounded. Gives the first id it may have; `None`: there is none after the last.
    pub(crate) fn check(&self) -> Result<Option<Uuid>, Error> {
        check_queue(&self.queue)?;
        if self.limit == 0 || self.limit > ANSWER_TIMERS {
            return Err(Error::invalid(format!("1 to {ANSWER_TIMERS} timers are listed at once, not {}", self.limit)));
        }
        Ok(self.after.map_or(Some(Uuid::nil()), |after| after.as_u128().checked_add(1).map(Uuid::from_u128)))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::{check_due, check_queue, due_in_micros};

    #[test]
    fn times_are_never_stored_earlier_than_they_are() {
        let whole = DateTime::from_timestamp(1_700_000_000, 5_000).unwrap();
        assert_eq!(due_in_micros(whole), whole);
        for nanos in [1, 999] {
            assert_eq!(due_in_micros(whole + TimeDelta::nanoseconds(nanos)), whole + TimeDelta::microseconds(1));
        }
        check_due(whole).unwrap();
        for beyond in [DateTime::<chrono::Utc>::MAX_UTC, DateTime::<chrono::Utc>::MIN_UTC] {
            assert!(check_due(beyond).is_err(), "{beyond}");
        }
    }

    #[test]
    fn queues_have_visible_names() {
        check_queue("process:order").unwrap();
        for name in ["", "a b", "a\0", "\u{e4}", &"a".repeat(201)] {
            assert!(check_queue(name).is_err(), "{name:?}");
        }
    }
}
