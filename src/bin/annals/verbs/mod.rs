//! The verbs, one file each.

pub mod bench;
pub mod completions;
pub mod event;
pub mod export;
pub mod import;
pub mod log;
pub mod migrate;
pub mod receipts;
pub mod responses;
pub mod show;
pub mod status;
pub mod subscriptions;
pub mod sweep;
pub mod timers;
pub mod trace;
pub mod types;
pub mod verify;

use super::{
    args::{Session, Verb},
    ending::{Ended, Failure},
};

/// Does what was asked for.
pub async fn run(session: &Session, verb: &Verb) -> Result<Ended, Failure> {
    match verb {
        Verb::Bench(args) => bench::run(session, args).await,
        Verb::Completions(args) => completions::run(session, args),
        Verb::Event(args) => event::run(session, args).await,
        Verb::Export(args) => export::run(session, args).await,
        Verb::Import(args) => import::run(session, args).await,
        Verb::Log(args) => log::run(session, args).await,
        Verb::Migrate(args) => migrate::run(session, args).await,
        Verb::Receipts(args) => receipts::run(session, args).await,
        Verb::Responses(args) => responses::run(session, args).await,
        Verb::Show(args) => show::run(session, args).await,
        Verb::Status(args) => status::run(session, args).await,
        Verb::Subscriptions(args) => subscriptions::run(session, args).await,
        Verb::Sweep(args) => sweep::run(session, args).await,
        Verb::Timers(args) => timers::run(session, args).await,
        Verb::Trace(args) => trace::run(session, args).await,
        Verb::Types(args) => types::run(session, args).await,
        Verb::Verify(args) => verify::run(session, args).await,
    }
}
