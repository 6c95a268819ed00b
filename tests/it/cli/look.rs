//! `annals show`, `event`, `log`, `trace` and `receipts`.
