//! `annals subscriptions`.
