//! One way of serving, measured in a process of its own, in which the clients are as well.

use std::{
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use annals_contest::{Place, percentile};
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::{process::Command, task::JoinSet};
use uuid::Uuid;

use super::{client::Client, service::Service, way::Way};

/// How long requests are sent before the clock starts, and after.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED_FOR: Duration = Duration::from_millis(1_500);

/// How many keys each client asks for again and again: never one that another asks for at that moment.
const REPLAYED_KEYS: usize = 4;

/// What is to be measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HttpCell {
    pub(super) way: Way,
    pub(super) tasks: u64,
    /// Empty, and the cell's own.
    pub(super) place: Place,
    pub(super) redis: Option<String>,
}

/// What was measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct HttpMeasures {
    pub(super) per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// How often each request asked the database about answers: to claim, to complete, and for anything else.
    pub(super) calls: [f64; 3],
}

impl HttpCell {
    /// Measures in a new process.
    pub(super) async fn measure_apart(&self) -> Result<HttpMeasures> {
        let output = Command::new(std::env::current_exe()?)
            .arg("--http-cell")
            .arg(serde_json::to_string(self)?)
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await?;
        ensure!(output.status.success(), "{} with {} tasks ended with {}", self.way, self.tasks, output.status);
        serde_json::from_slice(&output.stdout).context("a measurement cannot be read")
    }

    /// Measures in this process.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) async fn measure(&self) -> Result<HttpMeasures> {
        let service = Service::start(self.way, &self.place, self.redis.as_deref()).await?;
        let mut clients = self.clients(service.address).await?;
        service.settle().await;
        clients = self.ask(clients, WARM_UP).await?.0;
        service.calls.take();
        let began = Instant::now();
        let (clients, mut latencies) = self.ask(clients, MEASURED_FOR).await?;
        let seconds = began.elapsed().as_secs_f64();
        let calls = service.calls.take();
        drop(clients);
        service.end().await;

        latencies.sort_unstable();
        let count = latencies.len() as f64;
        let [claims, completions, _] = calls;
        let requests = latencies.len() as u64;
        ensure!(claims <= requests && completions <= requests, "{requests} requests led to {claims} claims");
        Ok(HttpMeasures {
            per_second: count / seconds,
            p50_us: percentile(&latencies, 0.5) as f64 / 1_000.0,
            p99_us: percentile(&latencies, 0.99) as f64 / 1_000.0,
            calls: calls.map(|calls| calls as f64 / count),
        })
    }

    /// Connects all clients; where they are to ask again, they have asked once.
    async fn clients(&self, address: SocketAddr) -> Result<Vec<Asking>> {
        let mut connecting = JoinSet::new();
        for number in 0..self.tasks {
            let keys = if self.way.is_replay() { REPLAYED_KEYS } else { 0 };
            connecting.spawn(Asking::connect(address, number, keys));
        }
        let mut clients = Vec::new();
        while let Some(connected) = connecting.join_next().await {
            clients.push(connected??);
        }
        Ok(clients)
    }

    /// All clients ask for so long, each as fast as it is answered.
    async fn ask(&self, clients: Vec<Asking>, time: Duration) -> Result<(Vec<Asking>, Vec<u64>)> {
        let until = Instant::now() + time;
        let mut asking = JoinSet::new();
        for client in clients {
            asking.spawn(client.ask_until(until));
        }
        let (mut clients, mut latencies) = (Vec::new(), Vec::new());
        while let Some(asked) = asking.join_next().await {
            let (client, mut took) = asked??;
            clients.push(client);
            latencies.append(&mut took);
        }
        Ok((clients, latencies))
    }
}

/// A client, and the keys it asks for.
struct Asking {
    client: Client,
    /// None: a new one each time.
    keys: Vec<String>,
    asked: usize,
}

impl Asking {
    async fn connect(address: SocketAddr, number: u64, keys: usize) -> Result<Self> {
        let mut client = Client::connect(address, number).await?;
        let keys: Vec<_> = (0..keys).map(|_| new_key()).collect();
        for key in &keys {
            client.charge(key, false).await?;
        }
        Ok(Self { client, keys, asked: 0 })
    }

    async fn ask_until(mut self, until: Instant) -> Result<(Self, Vec<u64>)> {
        let mut latencies = Vec::new();
        while Instant::now() < until {
            let took = match self.keys.len() {
                0 => self.client.charge(&new_key(), false).await?,
                keys => self.client.charge(&self.keys[self.asked % keys], true).await?,
            };
            latencies.push(took);
            self.asked += 1;
        }
        Ok((self, latencies))
    }
}

/// As clients make them: at random, without an order.
fn new_key() -> String {
    Uuid::new_v4().to_string()
}
