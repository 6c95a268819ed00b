//! `annals subscriptions pause`, `resume` and `forget`.

use annals::{CheckpointStore, ConsumerKind, Consumers, RunState};
use clap::Args as ClapArgs;
use serde_json::json;

use super::{find, nobody, patiently};
use crate::{
    args::Session,
    ask::confirm,
    ending::{Ended, Failure},
    printer::grouped,
    verbs::status::quoted,
};

#[derive(Debug, ClapArgs)]
pub struct NameArgs {
    /// Its name, as `list` shows it
    pub name: String,
}

/// Forgets a subscription: its position and its parked events
///
/// For one that is not used any more: it then no longer shows as lagging. End the programs that run it first: a runner that is
/// still there begins anew, with the first event if it is not told otherwise. A projection that has tables is removed by its
/// program (Projector::remove), which knows them. Asks before it does anything.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals subscriptions forget old-mail")]
pub struct ForgetArgs {
    #[command(flatten)]
    name: NameArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub async fn pause<S: CheckpointStore + Clone>(session: &Session, store: &S, name: &str) -> Result<Ended, Failure> {
    let progress = find(store, name).await?;
    let Some(first) = progress.first() else {
        return Ok(nobody(name));
    };
    let was_paused = matches!(first.state, RunState::Paused { .. });
    if !was_paused {
        patiently(async || Consumers::new(store).pause(name).await).await?;
    }
    let said = if was_paused { "was paused already" } else { "is paused: nobody runs it until it is resumed" };
    let text = || format!("{name} {said}\n  annals subscriptions resume {}", quoted(name));
    session.printer.object(&json!({ "name": name, "state": "paused", "changed": !was_paused }), text)?;
    Ok(Ended::Done)
}

pub async fn resume<S: CheckpointStore + Clone>(session: &Session, store: &S, name: &str) -> Result<Ended, Failure> {
    let progress = find(store, name).await?;
    let Some(first) = progress.first() else {
        return Ok(nobody(name));
    };
    let was_paused = matches!(first.state, RunState::Paused { .. });
    if was_paused {
        patiently(async || Consumers::new(store).resume(name).await).await?;
    }
    let said = if was_paused { "may run again: runners that wait go on within a second" } else { "was not paused" };
    session.printer.object(&json!({ "name": name, "changed": was_paused }), || format!("{name} {said}"))?;
    Ok(Ended::Done)
}

pub async fn forget<S: CheckpointStore + Clone>(
    session: &Session,
    store: &S,
    args: &ForgetArgs,
) -> Result<Ended, Failure> {
    let name = &args.name.name;
    let progress = find(store, name).await?;
    let Some(first) = progress.first() else {
        return Ok(nobody(name));
    };
    if first.kind == ConsumerKind::Projection && progress.iter().any(|one| one.build > 0) {
        return Err(Failure::failed(format!(
            "{name} is a projection with tables, which its program knows: remove it there, with Projector::remove"
        )));
    }
    let running = progress.iter().any(|one| matches!(one.state, RunState::Running { .. }));
    let warning = if running { " It is being run: its runner will begin anew." } else { "" };
    let parked = if first.parked > 0 { format!(" and {} parked events", grouped(first.parked)) } else { String::new() };
    let question = format!("{name}: forget its position{parked}?{warning}");
    confirm(args.yes, &question)?;
    patiently(async || Consumers::new(store).forget(name).await).await?;
    session.printer.object(&json!({ "name": name, "forgotten": true }), || format!("{name} is forgotten"))?;
    Ok(Ended::Done)
}
