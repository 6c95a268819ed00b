//! `annals bench`.
