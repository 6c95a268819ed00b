//! An endpoint as another service has it: first the signature, then the inbox, then trouble as it is told.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use annals::{Append, Handled, Inbox, NewEvent, Work as _, http::webhook::WebhookVerifier, process::CloudEvent};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use uuid::Uuid;

use crate::inbox::Place;

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It is answered so, and nothing is done.
    Refuses(u16),
    /// It is told to come again, at once.
    AsksForPatience(u16),
    /// It is handled, and the sender is told otherwise.
    LosesItsAnswer(u16),
    /// It is handled, and nothing is ever said.
    FallsSilent,
}

/// What is seen of the requests.
#[derive(Debug, Default)]
pub struct Seen {
    /// How often each message has come, and was handled.
    pub requests: HashMap<String, u32>,
    /// Those that came before their turn, and those that were not believed.
    pub early: u32,
    pub refused: u32,
    pub changed: u32,
}

/// Says what goes wrong with the n-th request for a message.
pub type Plan = Arc<dyn Fn(&str, u32) -> Option<Mishap> + Send + Sync>;

/// An endpoint on the loopback interface.
pub struct Endpoint<S> {
    shared: Shared<S>,
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared<S> {
    inbox: Inbox<S>,
    verifier: WebhookVerifier,
    plan: Plan,
    seen: Arc<Mutex<Seen>>,
    is_dead: Arc<watch::Sender<bool>>,
}

/// The aggregate that has an event for each effect of a source's messages.
pub fn effects_of(source: Uuid) -> Uuid {
    Uuid::new_v5(&source, b"effects")
}

impl<S: Place> Endpoint<S> {
    pub async fn start(store: &S, plan: Plan) -> Self {
        let shared = Shared {
            inbox: Inbox::new(store, "partner").unwrap(),
            verifier: WebhookVerifier::new(super::secret(1)),
            plan,
            seen: Arc::default(),
            is_dead: Arc::default(),
        };
        let (address, server) = serve(&shared, SocketAddr::from(([127, 0, 0, 1], 0))).await;
        Self { shared, address, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shared.seen.lock().unwrap())
    }

    /// Ends it in the midst of whatever it does.
    pub async fn kill(&mut self) {
        self.shared.is_dead.send_replace(true);
        self.server.abort();
        drop((&mut self.server).await);
    }

    /// Starts it again at the same address.
    pub async fn restart(&mut self) {
        self.shared.is_dead.send_replace(false);
        (_, self.server) = serve(&self.shared, self.address).await;
    }
}

async fn serve<S: Place>(shared: &Shared<S>, address: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/hooks", post(receive::<S>)).with_state(shared.clone());
    (address, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
}

/// Where it is killed, what is under way is dropped, and connections that live on are of no use.
async fn receive<S: Place>(State(shared): State<Shared<S>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut is_dead = shared.is_dead.subscribe();
    tokio::select! {
        biased;
        _ = is_dead.wait_for(|is_dead| *is_dead) => StatusCode::BAD_GATEWAY.into_response(),
        answer = answer(&shared, headers, body) => answer,
    }
}

async fn answer<S: Place>(shared: &Shared<S>, headers: HeaderMap, body: Bytes) -> Response {
    let webhook = match shared.verifier.verify(&headers, &body) {
        Ok(webhook) => webhook,
        Err(refused) => {
            shared.seen.lock().unwrap().refused += 1;
            return refused.status().into_response();
        }
    };
    let event = CloudEvent::parse(&body).unwrap();
    let number = {
        let mut seen = shared.seen.lock().unwrap();
        let number = seen.requests.entry(webhook.message.id().to_owned()).or_default();
        *number += 1;
        *number
    };
    let mishap = (shared.plan)(webhook.message.id(), number);
    let status = |status: u16| StatusCode::from_u16(status).unwrap();
    match mishap {
        Some(Mishap::Refuses(code)) => return status(code).into_response(),
        Some(Mishap::AsksForPatience(code)) => return (status(code), [("retry-after", "0")]).into_response(),
        _ => {}
    }
    let answer = handle(shared, &webhook.message, &event).await;
    match mishap {
        Some(Mishap::LosesItsAnswer(code)) => status(code).into_response(),
        Some(Mishap::FallsSilent) => std::future::pending().await,
        _ => answer.into_response(),
    }
}

async fn handle<S: Place>(shared: &Shared<S>, message: &annals::IncomingMessage, event: &CloudEvent) -> StatusCode {
    // Every event of each aggregate is sent: one before its turn would be seen.
    let (source, sequence) = (event.aggregate_id().unwrap(), event.sequence().unwrap());
    let message = message.clone().in_order(source, sequence);
    let append = Append::new("effect", effects_of(source)).events([NewEvent::new("happened", &sequence).unwrap()]);
    let handled = shared
        .inbox
        .handle(&message, |work| {
            Box::pin(async {
                work.append(&append).await?;
                Ok(())
            })
        })
        .await;
    match handled {
        Ok(Handled::New(()) | Handled::Duplicate { .. }) => StatusCode::NO_CONTENT,
        Ok(Handled::Changed { .. }) => {
            shared.seen.lock().unwrap().changed += 1;
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Ok(Handled::Early { .. }) => {
            shared.seen.lock().unwrap().early += 1;
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
