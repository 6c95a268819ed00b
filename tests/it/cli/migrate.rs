//! `annals migrate`.
