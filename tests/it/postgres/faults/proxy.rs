//! A proxy between a store and its server that cuts connections at chosen points.
//!
//! It knows as much of the protocol as that takes: a message is a type, a length and a body; a request is what ends in
//! Sync, or a simple query; its reply is what ends in ReadyForQuery, and that comes after the commit.

use std::{
    collections::{HashMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// The longest message a proxy takes, in bytes.
const LONGEST_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// How many requests go by before one that is late arrives at the server: at least, and fewer than.
const LATE_BY_REQUESTS: std::ops::Range<u64> = 2..40;

/// What statements have that write, and what they write.
const WRITES: [(Kind, &[u8]); 3] = [
    (Kind::Append, b"INSERT INTO annals_events"),
    (Kind::Claim, b"INSERT INTO annals_responses"),
    (Kind::Completion, b"SET state = 'completed'"),
];

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Writes events or receipts.
    Append,
    /// Takes the right to carry a request out.
    Claim,
    /// Stores a request's answer.
    Completion,
    /// Is the COMMIT of a transaction.
    Commit,
    /// Anything else.
    Other,
}

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Nothing of the request reaches the server.
    BeforeRequest,
    /// The server has executed the request, and is not told to commit: the connection ends between Execute and Sync.
    BeforeCommit,
    /// The client is gone as soon as the request is on its way; what the server does, it does for nobody.
    Underway,
    /// The server has committed, and nothing of its reply reaches the client.
    AfterCommit,
    /// The reply lacks its last message.
    AmidReply,
    /// The client is gone, and the request arrives at the server long after: others' requests come first.
    Late,
}

impl Cut {
    pub const ALL: [Self; 6] =
        [Self::BeforeRequest, Self::BeforeCommit, Self::Underway, Self::AfterCommit, Self::AmidReply, Self::Late];
}

/// What decides about cuts.
#[derive(Debug)]
struct Plan {
    random: fastrand::Rng,
    /// One of so many requests that write is cut, and one of ten times as many others; 0: none.
    one_of: u32,
    /// What is cut next, whatever chance says.
    next: VecDeque<(Kind, Cut)>,
    made: Vec<(Kind, Cut)>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    plan: Mutex<Plan>,
    /// How many requests have gone by.
    requests: watch::Sender<u64>,
    /// Late requests that have not arrived yet.
    late: watch::Sender<u64>,
}

/// A proxy on a port of 127.0.0.1.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    /// Listens, and passes on to a server.
    pub async fn start(server: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Plan { random: fastrand::Rng::with_seed(seed), one_of: 0, next: VecDeque::new(), made: Vec::new() };
        let shared = Arc::new(Shared {
            server,
            plan: Mutex::new(plan),
            requests: watch::channel(0).0,
            late: watch::channel(0).0,
        });
        let accepting = Arc::clone(&shared);
        let acceptor = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, Arc::clone(&accepting)));
            }
        });
        Self { address, shared, acceptor }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the next request of a kind.
    pub fn cut_next(&self, kind: Kind, cut: Cut) {
        self.shared.plan().next.push_back((kind, cut));
    }

    /// Cuts one of so many requests that write, from now on; 0: none.
    pub fn cut_one_of(&self, requests: u32) {
        self.shared.plan().one_of = requests;
    }

    /// The cuts made so far.
    pub fn cuts(&self) -> Vec<(Kind, Cut)> {
        self.shared.plan().made.clone()
    }

    /// Waits until every late request has arrived. Others have to go by meanwhile: none is cut any more.
    pub async fn late_have_arrived(&self) {
        self.cut_one_of(0);
        self.shared.requests.send_modify(|requests| *requests += LATE_BY_REQUESTS.end);
        self.shared.late.subscribe().wait_for(|late| *late == 0).await.unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plan {
    fn cut(&mut self, kind: Kind) -> Option<Cut> {
        let cut = match self.next.iter().position(|(next, _)| *next == kind) {
            Some(at) => self.next.remove(at)?.1,
            None => {
                let one_of = if kind == Kind::Other { self.one_of.saturating_mul(10) } else { self.one_of };
                if one_of == 0 || self.random.u32(0..one_of) > 0 {
                    return None;
                }
                *self.random.choice(&Cut::ALL)?
            }
        };
        self.made.push((kind, cut));
        Some(cut)
    }
}

/// A message with its type; the first one of a connection has none.
struct Message {
    bytes: Vec<u8>,
    has_type: bool,
}

impl Message {
    /// `None` at the end of the connection.
    async fn read(from: &mut OwnedReadHalf, has_type: bool) -> Option<Self> {
        let header = 4 + usize::from(has_type);
        let mut bytes = vec![0; header];
        from.read_exact(&mut bytes).await.ok()?;
        let length = u32::from_be_bytes(bytes[header - 4..].try_into().ok()?) as usize;
        assert!((4..LONGEST_MESSAGE_BYTES).contains(&length), "not a message of PostgreSQL's");
        bytes.resize(header - 4 + length, 0);
        from.read_exact(&mut bytes[header..]).await.ok()?;
        Some(Self { bytes, has_type })
    }

    fn kind(&self) -> u8 {
        if self.has_type { self.bytes[0] } else { 0 }
    }

    /// The texts its body begins with, each of which ends in a zero.
    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes[5..].split(|byte| *byte == 0)
    }
}

/// What the two directions of a connection tell each other: what becomes of the reply under way.
type Fate = Arc<Mutex<Option<Cut>>>;

fn set(fate: &Fate, cut: Option<Cut>) {
    *fate.lock().unwrap_or_else(PoisonError::into_inner) = cut;
}

fn get(fate: &Fate) -> Option<Cut> {
    *fate.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to the client; none where the client is gone, whatever still comes from the server.
type ToClient = Arc<tokio::sync::Mutex<Option<OwnedWriteHalf>>>;

async fn pass_on(client: TcpStream, shared: Arc<Shared>) {
    // A server that is away looks to the client like a connection that ends at once.
    let Ok(server) = TcpStream::connect(shared.server).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let fate = Fate::default();
    let to_client = ToClient::new(tokio::sync::Mutex::new(Some(to_client)));
    let replies = tokio::spawn(pass_replies(from_server, Arc::clone(&to_client), Arc::clone(&fate)));
    let requests = Requests { to_server, to_client, shared, fate, writes: HashMap::new(), held: Vec::new() };
    requests.pass_on(from_client, replies).await;
}

/// Passes replies on, until the server's end or the cut.
async fn pass_replies(mut from_server: OwnedReadHalf, to_client: ToClient, fate: Fate) {
    while let Some(message) = Message::read(&mut from_server, true).await {
        let is_end = message.kind() == b'Z';
        let is_passed_on = match get(&fate) {
            None => true,
            Some(Cut::AmidReply) => !is_end,
            Some(_) => false,
        };
        if is_passed_on
            && let Some(to_client) = &mut *to_client.lock().await
            && to_client.write_all(&message.bytes).await.is_err()
        {
            return;
        }
        if is_end && get(&fate).is_some() {
            return;
        }
    }
}

/// One connection's way to the server.
struct Requests {
    to_server: OwnedWriteHalf,
    to_client: ToClient,
    shared: Arc<Shared>,
    fate: Fate,
    /// The prepared statements that write.
    writes: HashMap<Vec<u8>, Kind>,
    /// What is held back of a late request.
    held: Vec<u8>,
}

impl Requests {
    /// Passes requests on until the client's end or a cut. Both ends of the connection are closed afterwards.
    async fn pass_on(mut self, mut from_client: OwnedReadHalf, replies: JoinHandle<()>) {
        let mut has_type = false;
        let mut cut = None;
        while let Some(message) = Message::read(&mut from_client, has_type).await {
            has_type = true;
            if let Some(kind) = self.request(&message) {
                cut = self.shared.plan().cut(kind);
            }
            let is_sent = matches!(message.kind(), b'S' | b'Q');
            match cut {
                Some(Cut::BeforeRequest) => break,
                // A simple query is sent and committed with one message.
                Some(Cut::BeforeCommit) if is_sent => break,
                Some(Cut::Late) => self.held.extend_from_slice(&message.bytes),
                _ => {
                    // The server's replies to this request can come from now on.
                    set(&self.fate, cut.filter(|cut| *cut != Cut::BeforeCommit || is_sent));
                    if self.to_server.write_all(&message.bytes).await.is_err() {
                        break;
                    }
                }
            }
            if !is_sent {
                continue;
            }
            self.shared.requests.send_modify(|requests| *requests += 1);
            match cut {
                None => {}
                Some(Cut::Late) => return self.arrive_late(from_client, replies).await,
                Some(Cut::Underway) => {
                    // The client's end is closed here; the server's when it has replied.
                    drop((from_client, self.to_client.lock().await.take()));
                    let _ = replies.await;
                    return;
                }
                Some(_) => {
                    let _ = replies.await;
                    return;
                }
            }
        }
        replies.abort();
        // Its end of the connection falls with it.
        let _ = replies.await;
    }

    /// What a message begins, where it begins a request that can be cut.
    fn request(&mut self, message: &Message) -> Option<Kind> {
        let has = |sql: &[u8], words: &[u8]| sql.windows(words.len()).any(|part| part == words);
        match message.kind() {
            b'P' => {
                let mut texts = message.texts();
                let (name, sql) = (texts.next()?.to_vec(), texts.next()?);
                if let Some((kind, _)) = WRITES.iter().find(|(_, words)| has(sql, words)) {
                    self.writes.insert(name, *kind);
                }
                None
            }
            b'B' => {
                let statement = message.texts().nth(1)?;
                Some(self.writes.get(statement).copied().unwrap_or(Kind::Other))
            }
            b'Q' => Some(if message.texts().next()?.starts_with(b"COMMIT") { Kind::Commit } else { Kind::Other }),
            _ => None,
        }
    }

    /// Sends what was held back after others' requests have gone by, to a client that is long gone.
    async fn arrive_late(mut self, from_client: OwnedReadHalf, replies: JoinHandle<()>) {
        self.shared.late.send_modify(|late| *late += 1);
        set(&self.fate, Some(Cut::Late));
        drop((from_client, self.to_client.lock().await.take()));
        let requests = *self.shared.requests.borrow() + self.shared.plan().random.u64(LATE_BY_REQUESTS);
        let gone_by = self.shared.requests.subscribe().wait_for(|count| *count >= requests).await.is_ok();
        if gone_by && self.to_server.write_all(&self.held).await.is_ok() {
            let _ = replies.await;
        }
        self.shared.late.send_modify(|late| *late -= 1);
    }
}
