//! `annals responses expire`, `release` and `revive`.

use annals::{
    ResponseStore,
    store::{ResponseAction, ResponseState},
};
use clap::Args as ClapArgs;
use serde_json::json;

use super::{KeyArgs, find, nothing};
use crate::{
    args::Session,
    ask::confirm,
    ending::{Ended, Failure},
    verbs::subscriptions::times,
};

/// What all of them take.
#[derive(Debug, ClapArgs)]
pub struct OperateArgs {
    #[command(flatten)]
    key: KeyArgs,

    /// Who does it, kept beside the answer
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    operator: String,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub async fn run<S: ResponseStore>(
    session: &Session,
    store: &S,
    args: &OperateArgs,
    action: ResponseAction,
) -> Result<Ended, Failure> {
    let key = args.key.key()?;
    let Some(row) = find(store, &key).await? else {
        return Ok(nothing());
    };
    let (needs, question) = match action {
        ResponseAction::Expire => ("completed or dead", "Forget it, so that the request is carried out anew?"),
        ResponseAction::Release => ("running", "Take it from whoever is at work on it?"),
        _ => ("dead", "Let it be tried anew?"),
    };
    let fits = match action {
        ResponseAction::Expire => row.state != ResponseState::Running,
        ResponseAction::Release => row.state == ResponseState::Running,
        _ => row.state == ResponseState::Dead,
    };
    let not_so = || Ended::No(format!("it is {}, and not {needs}: nothing was done", row.state.as_str()));
    if !fits {
        return Ok(not_so());
    }
    let status = row.status.map(|status| format!(", status {status}")).unwrap_or_default();
    confirm(args.yes, &format!("It is {}{status}, begun {}. {question}", row.state.as_str(), times(row.attempts)))?;
    if !store.operate_response(&key, action, &args.operator).await? {
        // It has moved on while the question was answered.
        return Ok(match find(store, &key).await? {
            Some(row) => Ended::No(format!("it is {} by now: nothing was done", row.state.as_str())),
            None => nothing(),
        });
    }
    let done = match action {
        ResponseAction::Expire => "its answer is forgotten: the next request under the key is carried out",
        ResponseAction::Release => "it is free: the same request may take it over at once",
        _ => "it may be tried anew: the next request under the key goes on with it",
    };
    session
        .printer
        .object(&json!({ "action": action.as_str(), "operator": args.operator, "done": true }), || done.to_owned())?;
    Ok(Ended::Done)
}
