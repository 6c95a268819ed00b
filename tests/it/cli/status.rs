//! `annals status` and `annals types`.
