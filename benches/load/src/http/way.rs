//! The ways in which a request is served.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::RunRedis;

/// Who stands between a request and its handler, and what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// Nobody: the handler makes up a key for its command.
    Without,
    /// The layer, with a new key each time.
    Layer,
    /// The layer, with keys whose answers are stored.
    Replays,
    /// The same, with Redis in front of the database.
    RedisReplays,
    /// The layer, which claims, writes and answers in one transaction.
    Transactional,
}

impl Way {
    /// In the order of the table; others are compared with the first.
    pub(super) const ALL: [Self; 5] =
        [Self::Without, Self::Layer, Self::Replays, Self::RedisReplays, Self::Transactional];

    /// Why it cannot be measured here.
    pub(super) fn abstains(self, redis: &RunRedis) -> Option<&str> {
        match (self, redis) {
            (Self::RedisReplays, RunRedis::Missing(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Whether all requests have been carried out before.
    pub(super) const fn is_replay(self) -> bool {
        match self {
            Self::Replays | Self::RedisReplays => true,
            Self::Without | Self::Layer | Self::Transactional => false,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Without => "without the layer",
            Self::Layer => "with the layer",
            Self::Replays => "replays",
            Self::RedisReplays => "replays from Redis",
            Self::Transactional => "in one transaction",
        })
    }
}
