//! Clients: each has one connection, which it keeps.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Result, ensure};
use axum::http::{HeaderValue, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use super::service::{ACCOUNT, PATH};

/// What each request asks for.
const BODY: &str = r#"{"amount":2000,"currency":"eur","description":"two seats in the first row, on the left"}"#;

/// A connection over which one request goes after the other.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    /// Ends the connection with this value.
    _connection: JoinSet<Result<(), hyper::Error>>,
    host: HeaderValue,
    account: HeaderValue,
}

impl Client {
    /// Connects, for one of several accounts.
    pub(super) async fn connect(address: SocketAddr, number: u64) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut task = JoinSet::new();
        task.spawn(connection);
        let host = HeaderValue::from_str(&address.to_string())?;
        let account = HeaderValue::from_str(&format!("account-{number}"))?;
        Ok(Self { sender, _connection: task, host, account })
    }

    /// Makes a charge under a key, or hears of it again. Gives how long that took, in nanoseconds.
    pub(super) async fn charge(&mut self, key: &str, is_replay: bool) -> Result<u64> {
        let request = Request::post(PATH)
            .header(header::HOST, &self.host)
            .header(ACCOUNT, &self.account)
            .header("idempotency-key", key)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(BODY.as_bytes())))?;
        let began = Instant::now();
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let took = u64::try_from(began.elapsed().as_nanos())?;
        ensure!(parts.status == StatusCode::CREATED, "a charge was answered {}: {body:?}", parts.status);
        let is_replayed = parts.headers.contains_key("idempotent-replayed");
        ensure!(is_replayed == is_replay, "an answer was {}a replay", if is_replayed { "" } else { "not " });
        Ok(took)
    }
}
