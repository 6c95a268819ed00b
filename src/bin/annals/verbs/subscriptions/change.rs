//! `annals subscriptions pause`, `resume` and `forget`.

use std::time::Duration;

use annals::{CheckpointStore, ConsumerKind, Consumers, Progress, RunState};
use clap::Args as ClapArgs;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{find, nobody, patiently};
use crate::{
    args::Session,
    ask::confirm,
    ending::{Ended, Failure},
    printer::{counted, quoted},
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
    if !was_paused {
        session.printer.object(&json!({ "name": name, "changed": false }), || format!("{name} was not paused"))?;
        return Ok(Ended::Done);
    }
    patiently(async || Consumers::new(store).resume(name).await).await?;
    let progress = taken_up(store, name).await?;
    let is_run = runs(&progress);
    let behind: u64 = progress.iter().map(|one| one.lag_events).max().unwrap_or_default();
    let said = match is_run {
        true => "is resumed, and its program goes on with it".to_owned(),
        false => format!(
            "is resumed, but nobody runs it, or all of it, now: it goes on once its program is started, {}",
            if behind == 0 {
                "with the next event".to_owned()
            } else {
                format!("with {} to handle", counted(behind, "event"))
            }
        ),
    };
    let object = json!({ "name": name, "changed": true, "is_run": is_run, "lag_events": behind });
    session.printer.object(&object, || format!("{name} {said}"))?;
    Ok(Ended::Done)
}

/// For so long it looks whether a program that has waited takes it up: those look each second.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(2);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn runs(progress: &[Progress]) -> bool {
    progress.iter().all(|one| matches!(one.state, RunState::Running { .. }))
}

/// How far it is, as soon as all of it is run, or when nobody has taken it up.
async fn taken_up<S: CheckpointStore + Clone>(store: &S, name: &str) -> Result<Vec<Progress>, Failure> {
    let began = Instant::now();
    loop {
        let progress = find(store, name).await?;
        if runs(&progress) || began.elapsed() > TAKEN_UP_WITHIN {
            return Ok(progress);
        }
        sleep(LOOK_EVERY).await;
    }
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
    let parked =
        if first.parked > 0 { format!(" and {}", counted(first.parked, "parked event")) } else { String::new() };
    let question = format!("{name}: forget its position{parked}?{warning}");
    confirm(args.yes, &question)?;
    patiently(async || Consumers::new(store).forget(name).await).await?;
    session.printer.object(&json!({ "name": name, "forgotten": true }), || format!("{name} is forgotten"))?;
    Ok(Ended::Done)
}
