//! Who is told: a task of this process, or another process that says when it was.

use std::process::Stdio;

use annals_contest::Place;
use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    sync::{
        mpsc::{UnboundedReceiver, unbounded_channel},
        oneshot,
    },
    task::JoinHandle,
};

use super::{now, store::Store};

/// A subscription under way.
pub(super) struct Listener {
    /// When each event was told. One is under way at a time.
    told: UnboundedReceiver<u64>,
    /// Hands on what is told; the subscription itself, within this process.
    task: JoinHandle<Result<()>>,
    end: oneshot::Sender<()>,
    process: Option<Child>,
}

impl Listener {
    pub(super) async fn start(store: &Store, place: &Place, is_apart: bool) -> Result<Self> {
        let (send, told) = unbounded_channel();
        let (end, ends) = oneshot::channel();
        if !is_apart {
            let store = store.clone();
            let told_at = move || _ = send.send(now());
            let task = tokio::spawn(async move { store.subscribe(async { drop(ends.await) }, told_at).await });
            return Ok(Self { told, task, end, process: None });
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--listen").arg(serde_json::to_string(place)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("it has an output")?).lines();
        let task = tokio::spawn(async move {
            while let Some(line) = lines.next_line().await? {
                _ = send.send(line.parse()?);
            }
            Ok(())
        });
        Ok(Self { told, task, end, process: Some(process) })
    }

    pub(super) async fn next(&mut self) -> Result<u64> {
        self.told.recv().await.context("the subscription has ended")
    }

    pub(super) async fn end(self) -> Result<()> {
        // Nobody listens where it is a process.
        _ = self.end.send(());
        if let Some(mut process) = self.process {
            drop(process.stdin.take());
            let ended = process.wait().await?;
            ensure!(ended.success(), "the subscription's process ended with {ended}");
        }
        self.task.await?
    }
}

/// What the other process does: says when each event was told, until its input ends.
pub(crate) async fn listen(place: &Place) -> Result<()> {
    let store = Store::open(place).await?;
    let input_ends = async {
        drop(tokio::io::stdin().read_to_end(&mut Vec::new()).await);
    };
    store.subscribe(input_ends, || println!("{}", now())).await?;
    store.close().await;
    Ok(())
}
