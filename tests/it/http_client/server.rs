//! A server on the loopback interface that follows a script, one connection after the other.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

/// What the server does with a request that it has read.
#[derive(Debug, Clone)]
pub enum Step {
    /// Answers, with headers of its own.
    Say(u16, Vec<(&'static str, String)>, &'static str),
    /// Closes without a word.
    Close,
    /// Closes with a reset.
    Reset,
    /// Says more bytes than it gives.
    Truncate,
    /// Says nothing until the client goes away.
    Hang,
    /// Waits until it is let go on, and then does the next step.
    Hold,
}

impl Step {
    pub fn status(status: u16) -> Self {
        Self::Say(status, Vec::new(), "{}")
    }

    pub fn with(status: u16, name: &'static str, value: impl Into<String>) -> Self {
        Self::Say(status, vec![(name, value.into())], "{}")
    }
}

/// A request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(found, _)| found == name);
        let first = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        first
    }

    pub fn key(&self) -> Option<&str> {
        self.header("idempotency-key")
    }
}

struct Shared {
    /// What is done with the next requests; 200 to all that come behind.
    script: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<Seen>>,
    arrived: mpsc::UnboundedSender<()>,
    go_on: Semaphore,
}

/// Ends with its value.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    arrivals: tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let script = Mutex::new(script.into_iter().collect());
        let (seen, go_on) = (Mutex::default(), Semaphore::new(0));
        let shared = Arc::new(Shared { script, seen, arrived, go_on });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, arrivals: tokio::sync::Mutex::new(arrivals), _tasks: tasks }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1/charges", self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Adds to the script.
    pub fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.shared.script.lock().unwrap().extend(steps);
    }

    /// Waits for the next request that was not waited for yet.
    pub async fn arrival(&self) {
        self.arrivals.lock().await.recv().await.unwrap();
    }

    /// Lets one request that is held go on.
    pub fn go_on(&self) {
        self.shared.go_on.add_permits(1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A client that goes away half-way is part of the play.
            drop(serve(stream, &shared).await);
        });
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let Some(seen) = read_request(&mut stream).await? else { return Ok(()) };
    shared.seen.lock().unwrap().push(seen);
    // A test that has ended does not listen.
    let _ = shared.arrived.send(());
    loop {
        let step = shared.script.lock().unwrap().pop_front().unwrap_or(Step::Say(200, Vec::new(), "{\"ok\":true}"));
        return match step {
            Step::Hold => {
                shared.go_on.acquire().await.unwrap().forget();
                continue;
            }
            Step::Close => Ok(()),
            Step::Reset => stream.set_zero_linger(),
            Step::Truncate => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"ok\"").await,
            Step::Hang => stream.read(&mut [0; 64]).await.map(drop),
            Step::Say(status, headers, body) => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
                stream.write_all(format!("{head}{body}").as_bytes()).await?;
                stream.shutdown().await
            }
        };
    }
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<Seen>> {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8(read[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, path) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(pair).collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while read.len() < head_end + 4 + length {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Seen { method, path, headers, body: read[head_end + 4..].to_vec() }))
}
