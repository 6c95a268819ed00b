//! `annals export` and `annals import`.
