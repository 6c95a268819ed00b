//! `annals responses`: the stored answers of HTTP requests.

mod list;
mod operate;
mod show;

use annals::{IdempotencyKey, ResponseStore, Scope, ScopedKey, store::ResponseQuery, store::ResponseRow};
use clap::{Args as ClapArgs, Subcommand};

use self::{list::ListArgs, operate::OperateArgs, show::ShowArgs};
use crate::{
    args::Session,
    database::on,
    ending::{Ended, Failure},
};

/// Shows the stored answers of HTTP requests, and tends them
///
/// A request with an Idempotency-Key is carried out once, and its answer is stored under that key: running while somebody is at
/// work on it, completed once it has its answer, dead where it was given up after too many attempts.
#[derive(Debug, ClapArgs)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct ResponsesArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(ListArgs),
    Show(ShowArgs),
    Expire(ExpireArgs),
    Release(ReleaseArgs),
    Revive(ReviveArgs),
}

/// Forgets a stored answer: the next request under its key is carried out anew
///
/// For a completed or dead one. **What the request does is then done again**, unless the service knows it by other means, such
/// as a receipt. Noted beside it with the operator's name. Asks before it does anything.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals responses expire --scope acct_1 --key 8e03978e-40d5-43dd-bc93-6894a57f9324")]
struct ExpireArgs {
    #[command(flatten)]
    operate: OperateArgs,
}

/// Takes a running request from whoever is at work on it
///
/// For one whose process hangs or is gone, and whose lease is long: the same request may be taken over at once. The answer of
/// whoever had it counts no more; what that one has done by then is done. Noted beside it with the operator's name. Asks before
/// it does anything.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  annals responses release --scope acct_1 --key 8e03978e-40d5-43dd-bc93-6894a57f9324"
)]
struct ReleaseArgs {
    #[command(flatten)]
    operate: OperateArgs,
}

/// Lets a request that was given up be tried anew, with all its attempts
///
/// For a dead one, once the cause is mended: the next request under its key goes on with what was begun. Noted beside it with
/// the operator's name. Asks before it does anything.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  annals responses revive --scope acct_1 --key 8e03978e-40d5-43dd-bc93-6894a57f9324")]
struct ReviveArgs {
    #[command(flatten)]
    operate: OperateArgs,
}

/// Names one stored answer.
#[derive(Debug, ClapArgs)]
struct KeyArgs {
    /// Whose key it is: the account or tenant
    #[arg(long, value_name = "SCOPE")]
    scope: String,

    /// Of which endpoint, as `list` shows it; for services that keep keys of endpoints apart
    #[arg(long, value_name = "HASH")]
    endpoint: Option<String>,

    /// The Idempotency-Key
    #[arg(long, value_name = "KEY")]
    key: String,
}

impl KeyArgs {
    fn key(&self) -> Result<ScopedKey, Failure> {
        let key = IdempotencyKey::new(&self.key).map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(ScopedKey::new(scope(&self.scope, self.endpoint.as_deref())?, key))
    }
}

/// What stands between a principal and an endpoint in a stored scope.
const ENDPOINT: char = '\u{1f}';

/// A scope as it is stored.
fn scope(principal: &str, endpoint: Option<&str>) -> Result<Scope, Failure> {
    let scope = Scope::new(principal).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(endpoint.map_or(scope, |endpoint| Scope::from_stored(&format!("{principal}{ENDPOINT}{endpoint}"))))
}

/// The endpoint of a stored scope.
fn endpoint(scope: &Scope) -> Option<&str> {
    scope.as_str().split_once(ENDPOINT).map(|(_, endpoint)| endpoint)
}

/// Rows are read in pages of so many.
const PAGE: u32 = 1_000;

/// The row of a key; `None` where there is none.
async fn find<S: ResponseStore>(store: &S, key: &ScopedKey) -> Result<Option<ResponseRow>, Failure> {
    let mut query = ResponseQuery { scope: Some(key.scope.clone()), state: None, after: None, limit: PAGE };
    loop {
        let page = store.list_responses(&query).await?;
        if let Some(row) = page.iter().find(|row| row.key == *key) {
            return Ok(Some(row.clone()));
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => query.after = Some(last.key.clone()),
            _ => return Ok(None),
        }
    }
}

fn nothing() -> Ended {
    Ended::No(
        "there is no stored answer under that key: `annals responses list --keys` shows those that there are"
            .to_owned(),
    )
}

pub async fn run(session: &Session, args: &ResponsesArgs) -> Result<Ended, Failure> {
    use annals::store::ResponseAction::{Expire, Release, Revive};

    on!(session.open().await?, store => match &args.verb {
        Verb::List(args) => list::run(session, &store, args).await,
        Verb::Show(args) => show::run(session, &store, args).await,
        Verb::Expire(args) => operate::run(session, &store, &args.operate, Expire).await,
        Verb::Release(args) => operate::run(session, &store, &args.operate, Release).await,
        Verb::Revive(args) => operate::run(session, &store, &args.operate, Revive).await,
    })
}
