//! The network between the shop and the payment service: it loses requests and replies, and holds replies back.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{AbortHandle, JoinSet},
    time::timeout,
};

/// The most connections at a time; more wait.
const CONNECTIONS: usize = 256;

/// The longest that a connection is kept, and so also that a reply is held back.
const LONGEST: Duration = Duration::from_secs(30);

/// Of a hundred connections, how many meet with which fate. The others are well.
const LOST_REQUESTS: u32 = 4;
const LOST_REPLIES: u32 = 8;
const LATE_REPLIES: u32 = 4;

/// What the network has done so far.
#[derive(Debug, Default)]
pub struct Mishaps {
    pub lost_requests: AtomicU64,
    pub lost_replies: AtomicU64,
    /// The client has hung up before the reply was let through, or the service was slow.
    pub time_outs: AtomicU64,
    /// The service was dead.
    pub nobody_there: AtomicU64,
}

/// An address that stays, whatever becomes of the service behind it.
#[derive(Debug)]
pub struct Network {
    pub address: SocketAddr,
    pub mishaps: Arc<Mishaps>,
    service: watch::Sender<Option<SocketAddr>>,
    carrying: AbortHandle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    LostRequest,
    LostReply,
    LateReply,
}

impl Network {
    /// `random` decides what goes wrong; `None`: nothing does.
    pub async fn open(random: Option<fastrand::Rng>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (service, to) = watch::channel(None);
        let mishaps = Arc::new(Mishaps::default());
        let carrier = Carrier { to, mishaps: Arc::clone(&mishaps), random: Arc::new(Mutex::new(random)) };
        let carrying = tokio::spawn(carrier.carry(listener)).abort_handle();
        Ok(Self { address, mishaps, service, carrying })
    }

    /// Says where the service is now. `None`: nowhere.
    pub fn lead_to(&self, service: Option<SocketAddr>) {
        self.service.send_replace(service);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

#[derive(Clone)]
struct Carrier {
    to: watch::Receiver<Option<SocketAddr>>,
    mishaps: Arc<Mishaps>,
    random: Arc<Mutex<Option<fastrand::Rng>>>,
}

impl Carrier {
    async fn carry(self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((client, _)) = listener.accept().await else { continue };
            let carrier = self.clone();
            connections.spawn(async move {
                // What goes wrong here is what networks do.
                let _ = timeout(LONGEST, carrier.connect(client)).await;
                drop(place);
            });
        }
    }

    fn fate(&self) -> Fate {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(random) = &mut *random else { return Fate::Well };
        match random.u32(0..100) {
            0..LOST_REQUESTS => Fate::LostRequest,
            drawn if drawn < LOST_REQUESTS + LOST_REPLIES => Fate::LostReply,
            drawn if drawn < LOST_REQUESTS + LOST_REPLIES + LATE_REPLIES => Fate::LateReply,
            _ => Fate::Well,
        }
    }

    async fn connect(&self, mut client: TcpStream) -> io::Result<()> {
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let to = *self.to.borrow();
        let service = match to {
            Some(to) => TcpStream::connect(to).await.ok(),
            None => None,
        };
        let Some(mut service) = service else {
            count(&self.mishaps.nobody_there);
            return Ok(());
        };
        match self.fate() {
            Fate::Well => {
                let (_, replied) = copy_bidirectional(&mut client, &mut service).await?;
                if replied == 0 {
                    count(&self.mishaps.time_outs);
                }
                return Ok(());
            }
            Fate::LostRequest => {
                client.readable().await?;
                count(&self.mishaps.lost_requests);
            }
            fate @ (Fate::LostReply | Fate::LateReply) => {
                let mut reply = [0; 1];
                let (mut from_client, _) = client.split();
                let (mut from_service, mut to_service) = service.split();
                let asked = async {
                    tokio::io::copy(&mut from_client, &mut to_service).await?;
                    to_service.shutdown().await
                };
                // It has replied: so it has happened.
                tokio::select! {
                    _ = asked => { count(&self.mishaps.time_outs); }
                    replied = from_service.read(&mut reply) => {
                        if fate == Fate::LostReply {
                            replied?;
                            count(&self.mishaps.lost_replies);
                        } else {
                            count(&self.mishaps.time_outs);
                            while client.read(&mut [0; 1024]).await? > 0 {}
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Mishaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lost_requests, lost_replies, time_outs, nobody_there] =
            [&self.lost_requests, &self.lost_replies, &self.time_outs, &self.nobody_there]
                .map(|counter| counter.load(Ordering::Relaxed));
        write!(
            f,
            "{lost_requests} requests lost, {lost_replies} replies lost, {time_outs} time-outs, {nobody_there} times \
             nobody there"
        )
    }
}
