//! The runner and the payment service as processes that can be killed.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    process::{Child as Process, ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};

use clap::Parser as _;
use tokio::{sync::oneshot, task::spawn_blocking, time::timeout};

use crate::{
    answer::{AnyError, Done},
    payments::{Patience, Payments},
    payments_api::{args::Args as PaymentsArgs, server},
    runner::Runner,
    shop::Shop,
};

/// What a runner says when it is there.
const READY: &str = "running";

/// The longest that a child may take to begin, or to end when it is told to.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long a runner waits for the payment service.
const PATIENCE: Patience = Patience {
    answer: Duration::from_millis(500),
    attempts: 3,
    call: Duration::from_secs(4),
    pause: Duration::from_millis(200),
};

/// A child process, gone when it is dropped.
#[derive(Debug)]
pub struct Child {
    process: Process,
    /// Ends with whoever holds it, and the child with it.
    stdin: Option<ChildStdin>,
    first_line: String,
}

impl Child {
    pub async fn payments(database_url: &str) -> Result<(Self, SocketAddr), AnyError> {
        let child = Self::begin(&["payments", "--database-url", database_url]).await?;
        let address = child.first_line.strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| format!("the payment service says {:?} first", child.first_line))?;
        Ok((child, address))
    }

    pub async fn runner(database_url: &str, payments: SocketAddr) -> Result<Self, AnyError> {
        let payments = payments.to_string();
        let child = Self::begin(&["runner", "--database-url", database_url, "--payments", &payments]).await?;
        if child.first_line != READY {
            return Err(format!("the runner says {:?} first", child.first_line).into());
        }
        Ok(child)
    }

    async fn begin(arguments: &[&str]) -> Result<Self, AnyError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let mut child = Self { process, stdin, first_line: String::new() };
        let line = spawn_blocking(move || {
            let mut line = String::new();
            if let Some(stdout) = stdout {
                BufReader::new(stdout).read_line(&mut line)?;
            }
            Ok::<_, std::io::Error>(line)
        });
        let line = timeout(LONGEST_WAIT, line).await.map_err(|_| "a child process does not begin")???;
        line.trim_end().clone_into(&mut child.first_line);
        Ok(child)
    }

    /// Kills it where it stands (SIGKILL on Unix).
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Whether it has ended by itself, which it must not.
    pub fn has_ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Tells it to end, and waits until it has.
    pub async fn end(&mut self) -> Done {
        drop(self.stdin.take());
        let began = std::time::Instant::now();
        while began.elapsed() < LONGEST_WAIT {
            if let Some(status) = self.process.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(format!("a child process ended with {status}").into())
                };
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!("a child process has not ended within {LONGEST_WAIT:?}").into())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ready when nobody holds the other end of the standard input any more: whoever has begun this process has ended.
async fn stdin_ended() {
    let (end, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = end.send(());
    });
    let _ = ended.await;
}

/// This process is the payment service.
pub async fn be_payments(database_url: &str) -> Done {
    let args = ["payments_api", "--listen", "127.0.0.1:0", "--database-url", database_url];
    // Short, since it is killed: what it has left is taken over by the next request under the key.
    let args = args.into_iter().chain(["--lease", "0.5", "--finish-abandoned-after", "1", "--in-flight-wait", "0.3"]);
    // However often it is killed over one charge: a request that was given up is for people to look into.
    let args = args.chain(["--attempts", "1000"]);
    tokio::select! {
        done = server::run(PaymentsArgs::parse_from(args)) => done,
        () = stdin_ended() => Ok(()),
    }
}

/// This process runs fulfilments.
pub async fn be_runner(database_url: &str, payments: SocketAddr) -> Done {
    let shop = Shop::open(database_url, None).await?;
    let payments = Payments::new(&format!("http://{payments}"), std::sync::Arc::clone(&shop.keys), PATIENCE);
    let runner = Runner::on(&shop.database, &payments)?.impatient();
    let mut out = std::io::stdout();
    writeln!(out, "{READY}")?;
    out.flush()?;
    runner.run(stdin_ended()).await?;
    shop.close().await;
    Ok(())
}
