//! One order, and then many: the tutorial of this crate.
//!
//! ```sh
//! cargo run --example order                                      # a story, with nothing to set up
//! cargo run --release --example order -- orders.csv.gz           # an import of real orders
//! cargo run --features postgres --example order -- --database-url postgres://ann@localhost/shop
//! cargo run --release --example order -- --help
//! ```
//!
//! Read [`domain`] first: it is the model, and all of it. Then [`story`], which sends commands to it and lets go wrong
//! what goes wrong in practice. [`import`] does the same at scale, and [`summary`] reads the result back from the log.
#![allow(missing_docs, unreachable_pub, reason = "a program is no library: nobody calls in from outside")]

mod answer;
mod args;
mod database;
mod domain;
mod file;
mod import;
mod money;
mod progress;
mod row;
mod story;
mod summary;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Instant,
};

use clap::Parser as _;

use crate::{
    answer::{Done, Format, exit_code},
    args::Args,
    file::Rows,
    import::{Import, ImportError},
    summary::{Sales, Summary},
};

/// What files are imported into.
const DATABASE_URL: &str = "sqlite:orders.db";

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = Args::parse();
    let done = match args.file.take() {
        Some(file) => import(file, args).await,
        None => story::tell(args.database_url.as_deref(), &mut io::stdout()).await,
    };
    exit_code(done)
}

async fn import(file: PathBuf, args: Args) -> Done {
    // Before a database is made: a mistyped file name leaves none behind.
    Rows::open(&file, |file| file).map_err(|source| ImportError::File { path: file.clone(), source })?;
    let url = args.database_url.as_deref().unwrap_or(DATABASE_URL);
    let store = database::connect(url, None).await?;
    let started = Instant::now();
    let run = Import { file, workers: args.workers, copies: args.repeat }.run(&store).await?;
    let summary = Summary {
        run,
        elapsed_seconds: started.elapsed(),
        sales: Sales::in_store(&store).await?,
        database: database::without_secrets(url),
    };
    let text = match args.format {
        Format::Text => summary.to_string(),
        Format::Json => serde_json::to_string(&summary)? + "\n",
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
