//! How a step can end other than with its result.

use std::{error::Error as StdError, fmt, sync::Arc};

use serde::de::DeserializeOwned;

use super::failure::BoxError;
use crate::{domain::without_data, store::Error};

type Source = Arc<dyn StdError + Send + Sync>;

/// Tells why a step has no result.
///
/// The predicates are the promised interface; variants may be added. What a service said is no part of a message.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// It was refused for good, now or in an earlier attempt. Compensate, or go another way.
    #[error("the step {step} was refused")]
    Refused {
        /// The step.
        step: String,
        /// Why.
        refusal: StepRefusal,
    },
    /// The call may have had its effect, or not. End this attempt: the next repeats the call with the same key.
    #[error("whether the step {step} has happened is not known")]
    Unknown {
        /// The step.
        step: String,
        /// What the last call failed with.
        source: Source,
    },
    /// This step has had no effect, and may succeed later.
    #[error("the step {step} could not be taken, nothing has happened")]
    Retryable {
        /// The step.
        step: String,
        /// What the last call failed with.
        source: Source,
    },
    /// Another attempt has taken over. Stop: call nobody, answer nobody.
    #[error("another attempt has taken over from the one that took the step {step}")]
    Fenced {
        /// The step.
        step: String,
    },
    /// The run is being undone, or this step is: it is not taken any more. Compensate, and give up.
    #[error("the step {step} is not taken, since what was done before is being undone")]
    Undone {
        /// The step.
        step: String,
    },
    /// It could not be undone, as often as it was tried. The next attempt tries again, with the same key.
    #[error("the step {step} could not be undone")]
    NotUndone {
        /// The step.
        step: String,
        /// What the last try failed with.
        source: Source,
    },
    /// An earlier attempt has taken it, this one has not come to it: so how it is undone is not known.
    ///
    /// The code has changed since, or goes another way this time. Nothing was undone.
    #[error("the step {step} has to be undone, but this attempt has not come to it")]
    NotReached {
        /// The step.
        step: String,
    },
    /// Steps were used in a way that makes no sense: mend the code.
    #[error("the step {step} {message}")]
    Invalid {
        /// The step.
        step: String,
        /// What is wrong.
        message: &'static str,
    },
    /// A result or a refusal could not be written as JSON, or not be read back.
    #[error("the result of the step {step} does not fit")]
    Codec {
        /// The step.
        step: String,
        /// What does not fit.
        source: Arc<serde_json::Error>,
    },
    /// The store has failed, as often as it was tried. End this attempt: the next goes on from what is recorded.
    #[error("the step {step} could not be recorded")]
    Store {
        /// The step.
        step: String,
        /// What the store said.
        source: Error,
    },
}

impl StepError {
    pub(super) fn unknown(step: &str, error: BoxError) -> Self {
        Self::Unknown { step: step.to_owned(), source: error.into() }
    }

    pub(super) fn retryable(step: &str, error: BoxError) -> Self {
        Self::Retryable { step: step.to_owned(), source: error.into() }
    }

    pub(super) fn not_undone(step: &str, error: BoxError) -> Self {
        Self::NotUndone { step: step.to_owned(), source: error.into() }
    }

    pub(super) fn fenced(step: &str) -> Self {
        Self::Fenced { step: step.to_owned() }
    }

    pub(super) fn undone(step: &str) -> Self {
        Self::Undone { step: step.to_owned() }
    }

    pub(super) fn not_reached(step: &str) -> Self {
        Self::NotReached { step: step.to_owned() }
    }

    pub(super) fn invalid(step: &str, message: &'static str) -> Self {
        Self::Invalid { step: step.to_owned(), message }
    }

    pub(super) fn codec(step: &str, error: serde_json::Error) -> Self {
        Self::Codec { step: step.to_owned(), source: Arc::new(without_data(error)) }
    }

    pub(super) fn store(step: &str, source: Error) -> Self {
        Self::Store { step: step.to_owned(), source }
    }

    /// The step.
    #[must_use]
    pub fn step(&self) -> &str {
        match self {
            Self::Refused { step, .. }
            | Self::Unknown { step, .. }
            | Self::Retryable { step, .. }
            | Self::Fenced { step }
            | Self::Undone { step }
            | Self::NotUndone { step, .. }
            | Self::NotReached { step }
            | Self::Invalid { step, .. }
            | Self::Codec { step, .. }
            | Self::Store { step, .. } => step,
        }
    }

    /// Why it was refused, where it was.
    #[must_use]
    pub const fn refusal(&self) -> Option<&StepRefusal> {
        if let Self::Refused { refusal, .. } = self { Some(refusal) } else { None }
    }

    /// It is recorded, and every later attempt ends in the same.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// This step has had no effect, and may succeed later.
    ///
    /// Steps before it may have had theirs.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Retryable { .. })
    }

    /// Another attempt has taken over: whatever this one has to say counts no more.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }

    /// Something may have happened that is not settled.
    ///
    /// The same run has to be taken up again.
    ///
    /// Everything but what is final, retryable or fenced.
    #[must_use]
    pub const fn is_unsettled(&self) -> bool {
        !(self.is_final() || self.is_retryable() || self.is_fenced())
    }
}

/// Why a step was refused.
///
/// What [`StepFailure::refused`](super::StepFailure::refused) was given, as JSON.
///
/// `Debug` shows the length alone.
#[derive(Clone, PartialEq, Eq)]
pub struct StepRefusal {
    step: Arc<str>,
    json: Arc<str>,
}

impl StepRefusal {
    pub(super) fn new(step: &str, json: &str) -> Self {
        Self { step: step.into(), json: json.into() }
    }

    /// The reason as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The reason as the type it had.
    ///
    /// # Errors
    ///
    /// [`StepError::Codec`]: it was another type.
    pub fn decode<R: DeserializeOwned>(&self) -> Result<R, StepError> {
        serde_json::from_str(&self.json).map_err(|error| StepError::codec(&self.step, error))
    }
}

impl fmt::Debug for StepRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepRefusal({} bytes)", self.json.len())
    }
}
