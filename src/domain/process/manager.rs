//! What a user writes: events in, what to do out.

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

use super::{Inputs, Process, Reaction, Signal};
use crate::domain::{Id, Upcasters};

/// Models work that spans aggregates and systems: the implementing type is its state.
///
/// Pure and synchronous, like an [`Aggregate`](crate::Aggregate): [`correlate`](Self::correlate) says to which process an
/// event belongs, [`react`](Self::react) says what is to be done about it, [`evolve`](Self::evolve) folds what the process
/// has recorded. What was decided is recorded in the process's own history, [`Process`], before anything is done; then a
/// runner does it, as often as it takes, each time under the same key.
///
/// In the literature it is a process manager or saga (Garcia-Molina and Salem, *Sagas*, 1987, for the compensation).
///
/// ```
/// use annals::{Aggregate, Id, process::{Action, Inputs, Process, ProcessManager, Reaction, Reply, Signal}};
/// use chrono::{DateTime, Utc};
/// use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Default)] struct Order;
/// # #[derive(Debug, Serialize, Deserialize)] enum OrderCommand { MarkPaid }
/// # #[derive(Debug, Serialize, Deserialize)]
/// # #[serde(tag = "type", content = "data", rename_all = "kebab-case")]
/// # enum OrderEvent { Placed { pence: u64 }, Paid }
/// # #[derive(Debug, Serialize, Deserialize, thiserror::Error)] #[error("no")] struct No;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Command = OrderCommand; type Event = OrderEvent; type Rejection = No;
/// #     fn decide(&self, _: &OrderCommand) -> Result<Vec<OrderEvent>, No> { Ok(vec![OrderEvent::Paid]) }
/// #     fn evolve(&mut self, _: &OrderEvent) {}
/// # }
///
/// /// Has an order paid.
/// #[derive(Debug, Default)]
/// struct Payment { order: Option<Id<Order>> }
///
/// enum Input { Placed { order: Id<Order>, pence: u64 } }
///
/// #[derive(Debug, Serialize, Deserialize)]
/// #[serde(tag = "type", content = "data", rename_all = "kebab-case")]
/// enum Event { PaymentAsked { order: Id<Order> } }
///
/// impl ProcessManager for Payment {
///     const TYPE: &'static str = "payment";
///     type Input = Input;
///     type Event = Event;
///
///     fn inputs() -> Inputs<Input> {
///         Inputs::none().of(|order: Id<Order>, event| match event {
///             OrderEvent::Placed { pence } => Some(Input::Placed { order, pence }),
///             OrderEvent::Paid => None,
///         })
///     }
///
///     fn correlate(input: &Input) -> Option<Id<Process<Self>>> {
///         let Input::Placed { order, .. } = input;
///         Some(Id::derived(*order))
///     }
///
///     fn react(&self, signal: Signal<'_, Input>, _: DateTime<Utc>) -> Reaction<Event> {
///         match signal {
///             Signal::Event(Input::Placed { order, pence }) => Reaction::nothing()
///                 .record(Event::PaymentAsked { order: *order })
///                 .then(Action::call("charge", &pence).undo_by("refund")),
///             Signal::Done { step: "charge", .. } => match self.order {
///                 Some(order) => Reaction::nothing().then(Action::command("mark-paid", order, &OrderCommand::MarkPaid)),
///                 None => Reaction::nothing(),
///             },
///             Signal::Done { .. } => Reaction::nothing().complete(),
///             Signal::Refused { step, .. } => Reaction::compensate(format!("{step} was refused")),
///             Signal::Due { .. } | Signal::Undone { .. } => Reaction::nothing(),
///         }
///     }
///
///     fn evolve(&mut self, event: &Event) {
///         let Event::PaymentAsked { order } = event;
///         self.order = Some(*order);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a process manager",
    label = "needs `impl ProcessManager for {Self}`",
    note = "implement `annals::process::ProcessManager` for the state type: `TYPE`, `Input`, `Event`, `inputs`, `correlate`, `react` and `evolve`"
)]
pub trait ProcessManager: Default + Send + Sync + 'static {
    /// The kind of process, as it is stored: the aggregate type of its history.
    ///
    /// Kebab-case, 1 to 64 bytes, never renamed, and no aggregate's.
    const TYPE: &'static str;

    /// The version of this definition, from 1. Raise it with every change to `react` that older code must not undo.
    ///
    /// A process that a newer definition has touched is left alone by older code: during a deploy both may run.
    const VERSION: u32 = 1;

    /// What it makes of the events it reads.
    type Input: Send + Sync + 'static;

    /// What it remembers, beside what the runner records for it.
    ///
    /// An enum with `#[serde(tag = "type", content = "data")]`, as an aggregate's. No name begins with `process-`.
    type Event: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Which events of which aggregates it reads.
    fn inputs() -> Inputs<Self::Input>;

    /// Says to which process an input belongs; `None`: to none.
    ///
    /// The first input that leads to anything begins the process. Derive the id from the business:
    /// `Id::natural("537434")`, or [`Id::derived`] from the id of the aggregate it is about.
    fn correlate(input: &Self::Input) -> Option<Id<Process<Self>>>;

    /// Says what is to be done.
    ///
    /// Pure: it may be called again, before what it says is recorded. Once it is, the signal never comes again. The time is
    /// that of the event, or of whatever else happened.
    ///
    /// After [`Reaction::compensate`] events of the log no longer come here: only how the undoing has ended does, and what
    /// becomes of steps that are taken after that.
    fn react(&self, signal: Signal<'_, Self::Input>, at: DateTime<Utc>) -> Reaction<Self::Event>;

    /// Folds one of its own events into the state. What has happened has happened: this cannot fail.
    fn evolve(&mut self, event: &Self::Event);

    /// Lifts old shapes of its own stored events to today's. None by default.
    fn upcasters() -> Upcasters {
        Upcasters::none()
    }
}
