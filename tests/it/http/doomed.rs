//! Processes that die while they carry a request out.

use std::{sync::mpsc, thread, time::Duration};

use annals::http::IdempotencyLayerBuilder;
use http::StatusCode;
use tokio::runtime;

use super::{
    app::{App, Ask, Gate, layer},
    place::{Place, Process},
};

/// Begins a request in a process of its own, which is gone, with all its tasks, when its handler has begun.
///
/// Its lease is all that is left of it.
pub async fn die_while_processing(
    place: &Place,
    ask: Ask,
    settings: fn(IdempotencyLayerBuilder) -> IdempotencyLayerBuilder,
) {
    die_with(place, ask, move |process| settings(layer(process))).await;
}

/// As [`die_while_processing`], with a layer made of the process.
pub async fn die_with(place: &Place, ask: Ask, layer: impl FnOnce(&Process) -> IdempotencyLayerBuilder + Send) {
    let gate = Gate::shut();
    let at = gate.clone();
    // Its own runtime: what runs there ends with it, as in a process that is killed.
    tokio::task::block_in_place(|| {
        thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
                let (began, has_begun) = mpsc::channel();
                runtime.block_on(async {
                    let app = App::new(layer(&place.process().await), move |_| {
                        let gate = at.clone();
                        async move {
                            gate.pass().await;
                            StatusCode::IM_A_TEAPOT
                        }
                    });
                    drop(app.spawn(ask));
                    gate.come(1).await;
                    began.send(()).unwrap();
                });
                has_begun.recv_timeout(Duration::from_secs(60)).unwrap();
                runtime.shutdown_background();
            });
        });
    });
}
