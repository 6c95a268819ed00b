//! `annals completions`.
