//! What retries may cost, over all calls.

use std::sync::{Arc, Mutex, PoisonError};

/// Bounds how many retries a client makes over all its calls.
///
/// So it does not add to an outage.
///
/// A bucket of tokens: a retry costs 5, after a timeout 10; an answer pays 1 back, and one that came of a retry what that
/// retry has cost. Where there are too few, calls are not retried. Clones share it, so several clients can, too.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    bucket: Option<Arc<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    capacity: u32,
    tokens: Mutex<u32>,
}

/// What a retry costs.
pub(super) const RETRY: u32 = 5;
/// What it costs after a timeout: those make an outage worse.
pub(super) const RETRY_OF_TIMEOUT: u32 = 10;
/// What an answer at the first attempt pays back.
pub(super) const ANSWERED: u32 = 1;

impl RetryBudget {
    /// The tokens of a budget that is not set otherwise: 500.
    ///
    /// Enough for a hundred retries beyond what answers pay back.
    pub const DEFAULT_TOKENS: u32 = 500;

    /// Makes a full bucket of so many tokens.
    #[must_use]
    pub fn new(tokens: u32) -> Self {
        Self { bucket: Some(Arc::new(Bucket { capacity: tokens, tokens: Mutex::new(tokens) })) }
    }

    /// Bounds nothing: each call has its attempts and its deadline alone.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { bucket: None }
    }

    /// How many tokens are left; `None`: there is no bound.
    #[must_use]
    pub fn tokens(&self) -> Option<u32> {
        self.bucket.as_ref().map(|bucket| *bucket.tokens.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what a retry costs; `false`: there is not as much.
    pub(super) fn take(&self, cost: u32) -> bool {
        let Some(bucket) = &self.bucket else { return true };
        let mut tokens = bucket.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.checked_sub(cost).is_some_and(|left| {
            *tokens = left;
            true
        })
    }

    pub(super) fn pay_back(&self, amount: u32) {
        if let Some(bucket) = &self.bucket {
            let mut tokens = bucket.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            *tokens = tokens.saturating_add(amount).min(bucket.capacity);
        }
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(Self::DEFAULT_TOKENS)
    }
}

#[cfg(test)]
mod tests {
    use super::RetryBudget;

    #[test]
    fn a_budget_is_spent_and_paid_back_up_to_its_size_by_all_its_clones() {
        let budget = RetryBudget::new(12);
        let clone = budget.clone();
        assert!(budget.take(5) && clone.take(5) && !budget.take(5));
        assert_eq!(clone.tokens(), Some(2));
        clone.pay_back(100);
        assert_eq!(budget.tokens(), Some(12));
        assert!(RetryBudget::unlimited().take(u32::MAX));
    }
}
