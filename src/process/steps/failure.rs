//! How the call that a step makes can fail.

use std::{error::Error as StdError, fmt};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Whatever a call fails with.
pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// Says how the call of a step, or what undoes it, has failed.
///
/// What that means for what comes next.
///
/// Any error becomes [`unknown`](Self::unknown) by `?`: who does not know better must take it that the call may have had
/// its effect.
pub struct StepFailure(pub(super) Kind);

pub(super) enum Kind {
    Refused(Result<Box<RawValue>, serde_json::Error>),
    Unknown(BoxError),
    Retryable(BoxError),
}

impl StepFailure {
    /// It is refused for good, and nothing has happened.
    ///
    /// Recorded: every later attempt gets the same refusal.
    ///
    /// `why` is kept as JSON, and comes back by [`StepRefusal::decode`](super::StepRefusal::decode).
    pub fn refused(why: impl Serialize) -> Self {
        Self(Kind::Refused(to_raw_value(&why)))
    }

    /// It may have happened, or not.
    ///
    /// A time-out, a cut connection, an answer that makes no sense.
    ///
    /// The call is repeated with the same key, now if tries are left, else by the next attempt.
    pub fn unknown(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Kind::Unknown(error.into()))
    }

    /// Nothing has happened, and the same call may succeed later.
    pub fn retryable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Kind::Retryable(error.into()))
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for StepFailure {
    fn from(error: E) -> Self {
        Self::unknown(error)
    }
}

/// Without the reason of a refusal, which may hold anything.
impl fmt::Debug for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Refused(_) => f.write_str("Refused"),
            Kind::Unknown(error) => write!(f, "Unknown({error:?})"),
            Kind::Retryable(error) => write!(f, "Retryable({error:?})"),
        }
    }
}
