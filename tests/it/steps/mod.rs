//! Steps: broken off at every point, undone, taken over; their effects happen once.

mod behaviour;
mod completer;
mod crash;
mod memory;
mod model;
mod order;
pub mod points;
pub mod service;

use std::sync::Arc;

use annals::StepStore;

/// The stores that the tests of behaviour run on, each with what has to live as long.
async fn in_memory() -> (Arc<dyn StepStore>, ()) {
    (Arc::new(memory::MemorySteps::default()), ())
}

mod memory_steps {
    super::behaviour::on_steps!(super::in_memory);
    super::crash::on_steps!(super::in_memory);
}
