//! `annals responses`.
