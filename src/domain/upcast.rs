//! Old shapes of events, lifted to today's.

use std::{error::Error, fmt};

use serde_json::Value;

/// Lifts the payload of one event type from one schema version to the next.
pub type UpcastFn = fn(Value) -> Result<Value, Box<dyn Error + Send + Sync>>;

/// Lifts stored events of old shapes, one schema version at a time.
///
/// An event type starts at schema version 1; each upcaster given for it adds one. The first given for a type lifts
/// version 1 to 2, the second 2 to 3, and so on; an event is stored under the latest and lifted when it is read.
/// What is stored is never changed.
///
/// ```
/// use annals::Upcasters;
/// use serde_json::{Value, json};
///
/// let upcasters = Upcasters::none()
///     // 1 → 2: prices had no currency
///     .upcast("line-added", |mut data| {
///         data.as_object_mut().ok_or("expected an object")?.insert("currency".into(), json!("GBP"));
///         Ok(data)
///     });
/// assert_eq!(upcasters.schema_version("line-added"), 2);
/// assert_eq!(upcasters.schema_version("order-placed"), 1);
/// ```
#[derive(Clone, Default)]
pub struct Upcasters {
    // A handful of types at most: a scan beats a hash.
    chains: Vec<(&'static str, Vec<UpcastFn>)>,
}

impl Upcasters {
    /// No upcasters: every event type has schema version 1.
    #[must_use]
    pub const fn none() -> Self {
        Self { chains: Vec::new() }
    }

    /// Adds a step that lifts `event_type` to its next schema version.
    #[must_use]
    pub fn upcast(mut self, event_type: &'static str, step: UpcastFn) -> Self {
        match self.chains.iter_mut().find(|(name, _)| *name == event_type) {
            Some((_, steps)) => steps.push(step),
            None => self.chains.push((event_type, vec![step])),
        }
        self
    }

    /// The schema version under which an event type is stored today.
    ///
    /// 1 and one more for each of its upcasters.
    #[must_use]
    pub fn schema_version(&self, event_type: &str) -> u32 {
        u32::try_from(self.steps(event_type).len()).map_or(u32::MAX, |steps| steps.saturating_add(1))
    }

    /// The event types that have upcasters.
    pub fn event_types(&self) -> impl Iterator<Item = &'static str> {
        self.chains.iter().map(|(name, _)| *name)
    }

    /// The steps that lift `event_type`, from schema version 1 on.
    pub(super) fn steps(&self, event_type: &str) -> &[UpcastFn] {
        self.chains.iter().find(|(name, _)| *name == event_type).map_or(&[], |(_, steps)| steps)
    }
}

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.chains.iter().map(|(name, steps)| (name, steps.len() + 1))).finish()
    }
}
