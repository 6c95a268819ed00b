//! A store that is opened to look at it only.

use annals::{
    Append, CheckpointStore, Cursor, Error, EventStore, EventStoreExt as _, Fault, NewEvent, Transactional, Work as _,
    store::ParkedChoice,
};
use uuid::Uuid;

/// Makes sure that whatever would write is refused, and by the same fault.
pub async fn nothing_is_written<S>(store: &S)
where
    S: EventStore + CheckpointStore + Transactional,
{
    let note = NewEvent::new("noted", &1).unwrap();
    let append = store.append_one(Append::new("note", Uuid::nil()).event(note.clone())).await.unwrap_err();
    let forget = store.forget("mail").await.unwrap_err();
    let pause = store.set_paused("mail", true).await.unwrap_err();
    let reset = store.reset("mail", &Cursor::START).await.unwrap_err();
    let replay = store.request_replay("mail", ParkedChoice::All).await.unwrap_err();
    // A transaction may begin where it cannot write.
    let work = match store.begin().await {
        Ok(mut work) => work.append(&Append::new("note", Uuid::nil()).event(note)).await.unwrap_err(),
        Err(error) => error,
    };
    for (error, what) in [
        (append, "append"),
        (forget, "forget"),
        (pause, "pause"),
        (reset, "reset"),
        (replay, "replay"),
        (work, "a transaction"),
    ] {
        assert!(matches!(error, Error::Backend { fault: Fault::ReadOnly, .. }), "{what}: {error:?}");
    }
}
