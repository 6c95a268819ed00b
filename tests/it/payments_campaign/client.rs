//! A client that sends what it is told, and hears whether there was a whole answer.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::in_time;
use crate::payments_example::program::Answer;

/// A request: on every attempt with the same key and the same bytes.
#[derive(Debug, Clone)]
pub struct Ask {
    pub path: &'static str,
    pub key: String,
    pub form: String,
}

impl Ask {
    /// A charge that can be told from all others by its number.
    pub fn charge(number: usize, amount: u32, magic: &str) -> Self {
        let form = format!("amount={amount}&currency=eur&metadata[number]={number}{magic}");
        Self { path: "/v1/charges", key: format!("charge-{number}"), form }
    }

    /// A refund of a charge, by the id that its client was told.
    pub fn refund(number: usize, charge: &str, amount: u32, magic: &str) -> Self {
        let form = format!("charge={charge}&amount={amount}&metadata[number]={number}{magic}");
        Self { path: "/v1/refunds", key: format!("refund-{number}"), form }
    }

    /// Asks over a connection of its own. `None`: there was no whole answer, and nobody knows what has happened.
    pub async fn send(&self, service: SocketAddr) -> Option<Answer> {
        Connection::open(service).await?.ask(self).await
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { path, key, form } = self;
        let length = form.len();
        let head = "Host: localhost\r\nAuthorization: Bearer sk_test_1\r\nConnection: close\r\n\
                    Content-Type: application/x-www-form-urlencoded";
        format!(
            "POST {path} HTTP/1.1\r\n{head}\r\nIdempotency-Key: \"{key}\"\r\nContent-Length: {length}\r\n\r\n{form}"
        )
        .into_bytes()
    }
}

/// A connection on which nothing was sent yet.
pub struct Connection(TcpStream);

impl Connection {
    pub async fn open(service: SocketAddr) -> Option<Self> {
        TcpStream::connect(service).await.ok().map(Self)
    }

    pub async fn ask(mut self, ask: &Ask) -> Option<Answer> {
        self.0.write_all(&ask.bytes()).await.ok()?;
        let mut answer = Vec::new();
        in_time("an answer", self.0.read_to_end(&mut answer)).await.ok()?;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let answer = Answer {
            status: head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer of HTTP's"),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        };
        // A process that dies while it answers leaves a part.
        let length = header(&answer, "content-length").expect("an answer has a length");
        (length.parse() == Ok(answer.body.len())).then_some(answer)
    }
}

pub fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// What has to be the same whenever an answer is given: all but when it is sent, and that it was given before.
pub fn lasting(answer: &Answer) -> (Vec<&str>, &str) {
    let passing = ["date: ", "idempotent-replayed: "];
    let mut lines: Vec<_> =
        answer.head.lines().filter(|line| !passing.iter().any(|passing| line.starts_with(passing))).collect();
    lines.sort_unstable();
    (lines, &answer.body)
}

/// Whether the key is said to be in use elsewhere, and when to come back.
pub fn is_in_flight(answer: &Answer) -> bool {
    let seconds = header(answer, "retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    answer.status == 409 && seconds.is_some_and(|seconds| seconds >= 1)
}
