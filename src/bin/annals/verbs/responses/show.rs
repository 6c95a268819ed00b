//! `annals responses show`.

use std::fmt::Write as _;

use annals::{
    ResponseStore,
    store::{ClaimedResponse, FinishedResponse, ResponseRow, StoredBody},
};
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::{KeyArgs, find, list, nothing};
use crate::{
    args::Session,
    ending::{Ended, Failure},
    printer::{bytes, time},
    verbs::subscriptions::times,
};

/// Shows one stored answer: how it stands, its headers, and its body if asked for
///
/// Headers and bodies hold what the client was answered: mind who looks over your shoulder.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals responses show --scope acct_1 --key 8e03978e-40d5-43dd-bc93-6894a57f9324
  annals responses show --scope acct_1 --key 8e03978e-40d5-43dd-bc93-6894a57f9324 --body")]
pub struct ShowArgs {
    #[command(flatten)]
    key: KeyArgs,

    /// Show the body, too
    #[arg(long)]
    body: bool,
}

pub async fn run<S: ResponseStore>(session: &Session, store: &S, args: &ShowArgs) -> Result<Ended, Failure> {
    let key = args.key.key()?;
    let Some(row) = find(store, &key).await? else {
        return Ok(nothing());
    };
    let finished = match store.find_response(&key).await? {
        Some(ClaimedResponse::Finished(finished)) => Some(finished),
        _ => None,
    };
    let finished = finished.as_deref();
    session.printer.object(&object(&row, finished, args.body), || text(&row, finished, args.body))?;
    Ok(Ended::Done)
}

fn object(row: &ResponseRow, finished: Option<&FinishedResponse>, is_body_shown: bool) -> Value {
    let mut object = list::object(row, true);
    let Some(FinishedResponse { response, .. }) = finished else {
        return object;
    };
    let headers: Vec<_> =
        response.headers.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect();
    object["headers"] = headers.into();
    let (kind, size, body) = parts(&response.body);
    object["body_kind"] = kind.into();
    object["body_bytes"] = size.into();
    if is_body_shown {
        object["body"] = body.into();
    }
    object
}

/// What kind of body it is, how long, and what it says.
fn parts(body: &StoredBody) -> (&'static str, usize, Option<String>) {
    match body {
        StoredBody::Whole(body) => ("whole", body.len(), Some(String::from_utf8_lossy(body).into_owned())),
        StoredBody::Reference(reference) => ("reference", reference.len(), Some(reference.to_string())),
        _ => ("not kept: too large", 0, None),
    }
}

fn text(row: &ResponseRow, finished: Option<&FinishedResponse>, is_body_shown: bool) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<11}{value}");
    };
    line("key", list::shown(row, true));
    line("scope", row.key.scope.principal().to_owned());
    if let Some(endpoint) = super::endpoint(&row.key.scope) {
        line("endpoint", endpoint.to_owned());
    }
    line("state", row.state.as_str().to_owned());
    line("begun", format!("{}, {}", time(row.created_at), times(row.attempts)));
    if let Some(lease) = row.lease_expires_at {
        line("leased", format!("until {}", time(lease)));
    }
    line("kept", format!("until {}", time(row.expires_at)));
    if let Some(done) = &row.operation {
        line("operated", format!("{} by {}, {}", done.name, done.operator, time(done.at)));
    }
    if let Some(FinishedResponse { response, .. }) = finished {
        line("status", response.status.to_string());
        for (name, value) in &response.headers {
            line("header", format!("{name}: {}", String::from_utf8_lossy(value)));
        }
        let (kind, size, body) = parts(&response.body);
        line("body", format!("{kind}, {}", bytes(size as u64)));
        if let Some(body) = body.filter(|_| is_body_shown) {
            let _ = writeln!(text, "\n{body}");
        }
    }
    text
}
