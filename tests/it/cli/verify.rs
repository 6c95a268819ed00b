//! `annals verify`: faults are planted, found and named.
