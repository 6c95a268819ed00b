//! What a process cannot take.

use serde::{Deserialize, Serialize};

/// Tells why a signal could not be reacted to.
///
/// Nothing was recorded, and it comes again: mend or deploy the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProcessFault {
    /// A newer definition has touched the process.
    #[error("the process was touched by version {found} of its definition, and this is version {known}")]
    NewerDefinition {
        /// The version that was recorded.
        found: u32,
        /// The version of this code.
        known: u32,
    },
    /// `react` has planned something that makes no sense.
    #[error("the reaction to {cause} {problem}")]
    Reaction {
        /// What was reacted to.
        cause: String,
        /// What is wrong.
        problem: String,
    },
    /// What was said of the process is not so: somebody else was faster. Look at it anew.
    #[error("the process is not where it was thought to be")]
    Moved,
}
