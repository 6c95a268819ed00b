//! What is due at a time: the values.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Failure, LeaseHolder};

/// Says how far a timer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimerState {
    /// It waits until it is due, or is being fired.
    Waiting,
    /// It was set aside after it had failed too often: somebody has to look at it.
    Parked,
    /// It has fired.
    Fired,
    /// It was cancelled before it had fired.
    Cancelled,
}

impl TimerState {
    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Waiting => 0,
            Self::Parked => 1,
            Self::Fired => 2,
            Self::Cancelled => 3,
        }
    }

    /// Finds a state by its number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Waiting, Self::Parked, Self::Fired, Self::Cancelled].into_iter().find(|state| state.number() == number)
    }
}

/// A timer that is to be set.
///
/// `Debug` shows the payload's length alone.
#[derive(Clone, PartialEq, Eq)]
pub struct NewTimer {
    /// Names it in its queue, and names its effect.
    ///
    /// A timer with this id takes effect once.
    ///
    /// Derive it from what it is for, and setting it again changes nothing.
    pub id: Uuid,
    /// When it is due.
    pub due_at: DateTime<Utc>,
    /// What it says to whoever fires it: JSON, 64 KiB at the most.
    pub payload: Arc<str>,
}

impl fmt::Debug for NewTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewTimer({} due {}, {} bytes)", self.id, self.due_at, self.payload.len())
    }
}

/// A timer as it stands.
///
/// `Debug` leaves the payload out.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timer {
    /// The queue.
    pub queue: Arc<str>,
    /// Its name within the queue.
    pub id: Uuid,
    /// How far it has come.
    pub state: TimerState,
    /// When it is due, or was.
    pub due_at: DateTime<Utc>,
    /// When it is looked at next.
    ///
    /// When it is due, when it is tried again, or when the lease of whoever fires it lapses.
    pub next_at: DateTime<Utc>,
    /// What it says, as JSON.
    ///
    /// `None` for one that was only woken, or cancelled before it was set.
    pub payload: Option<Arc<str>>,
    /// Rises with whatever is done to it from outside, such as moving it.
    pub revision: u64,
    /// How often it was begun to be fired since it last got on.
    pub attempts: u32,
    /// Who fires it, whether or not the lease has lapsed.
    pub lease: Option<LeaseHolder>,
    /// What went wrong last.
    pub failure: Option<Failure>,
    /// When it was set.
    pub scheduled_at: DateTime<Utc>,
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timer({} {} {:?} due {})", self.queue, self.id, self.state, self.due_at)
    }
}

/// Asks for what is due.
#[derive(Debug, Clone)]
pub struct DueClaim {
    /// The queue: 1 to 200 visible ASCII characters.
    pub queue: Arc<str>,
    /// Who asks, in 1 to 255 bytes.
    pub owner: Arc<str>,
    /// How long they may be held without a sign of life: 1 ms to 24 h.
    pub lease: Duration,
    /// The most timers: 0 to 1,000. 0 only asks when the next is due.
    pub limit: u32,
}

/// Answers a [`DueClaim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What is due and nobody else holds, in the order in which it became due.
    pub timers: Vec<HeldTimer>,
    /// How long it is until the next one may be looked at.
    ///
    /// By the store's clock; zero where more are due.
    ///
    /// `None`: there is none.
    pub next: Option<Duration>,
}

/// A timer in the hands of whoever may fire it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldTimer {
    /// The timer, as it stood when it was taken.
    pub timer: Timer,
    /// Drawn for this holding alone; a later one is higher, in every queue.
    pub fence: u64,
}

/// Says what became of a timer that was held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// It has fired. Its id is remembered for so long, 1 ms to 10 years: setting it again until then changes nothing.
    Fired {
        /// How long.
        keep_for: Duration,
    },
    /// There is nothing more to do about it, and it is forgotten.
    ///
    /// Unless it was woken meanwhile: then it is due at once.
    Idle,
    /// It got on, and is to be looked at again; sooner where it was woken meanwhile.
    Later {
        /// When.
        at: DateTime<Utc>,
    },
    /// It has failed, and is to be tried again after a while.
    Failed {
        /// How long to wait.
        pause: Duration,
        /// What went wrong; kept up to 2,000 bytes.
        failure: String,
    },
    /// It is set aside.
    Parked {
        /// Why; kept up to 2,000 bytes.
        failure: String,
    },
    /// It is given back as it was: whoever is asked next may have it. This attempt does not count.
    GivenBack,
}

/// Asks for timers of a queue, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerQuery {
    /// The queue.
    pub queue: Arc<str>,
    /// In this state only.
    pub state: Option<TimerState>,
    /// After this id.
    pub after: Option<Uuid>,
    /// The most timers: 1 to 10,000.
    pub limit: u32,
}

/// Tells how much there is to do in a queue: as of one look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimerCounts {
    /// Timers that wait or are being fired; counted up to a million, as are the others.
    pub waiting: u64,
    /// Of these: to be looked at by now, and nobody holds them.
    pub due: u64,
    /// Of these: somebody holds them.
    pub held: u64,
    /// Timers that were set aside.
    pub parked: u64,
    /// How long the oldest of what is due has been due.
    pub lag: Duration,
}
