//! Rebuilding: a new build beside the one that is shown, swapped in when it has caught up.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{ConnectionOf, Projector, batch::Applying};
use crate::{
    read::{
        Attempts, Projection, Start,
        projection::Build,
        runner::{Chunk, Handle, Handled, Held, Raise, Runner, signal},
        settings::Settings,
        telemetry,
    },
    store::{Checkpoint, CheckpointWork, Claimed, Consumer, Error, Lease, ProjectionStore, Work as _},
};

/// After so many rounds the runner of the build that is shown is made to stand by, so that it no longer runs away.
const ROUNDS: u32 = 5;

/// The longest pause between two tries to swap, while somebody holds the views or the database is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const PAUSES: Attempts =
    Attempts { most: u32::MAX, first_pause: Duration::from_millis(50), longest_pause: LONGEST_PAUSE };

impl<S: ProjectionStore, P: Projection<ConnectionOf<S>>> Projector<S, P> {
    /// Builds the projection anew, **without downtime**.
    ///
    /// Returns when the new build is shown.
    ///
    /// The new build has tables of its own. While it catches up, readers see the old one, and its runner goes on; when both
    /// stand at the same event, the views are swapped in one transaction with the checkpoint. Then the old tables are
    /// removed. Views of the application's own on top of these keep the old tables on PostgreSQL.
    ///
    /// [`Projection::effect`] is not called: what is replayed was handled before. Interrupted, at whatever point, it goes on
    /// when it is called again. Where there is nothing to rebuild, it [catches up](Self::catch_up).
    ///
    /// Newer code brings a projection's [`version`](Projection::version) with it: the old code goes on until the swap, and ends
    /// with [`Error::Schema`] then.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run). [`Error::Invalid`], too: it declares no tables.
    pub async fn rebuild(&self) -> Result<(), Error> {
        if self.projection.tables().is_empty() {
            return Err(Error::invalid(format!(
                "{} declares no tables, so it cannot be rebuilt",
                self.projection.name()
            )));
        }
        let shown = &self.runner.settings.consumer;
        let store = &self.runner.store;
        let (mut first, mut pauses) = (None, PAUSES.pauses());
        for round in 0.. {
            let Some(checkpoint) = store.checkpoint(shown).await?.filter(|checkpoint| checkpoint.build > 0) else {
                return self.catch_up().await;
            };
            self.fits(&checkpoint)?;
            if checkpoint.build != *first.get_or_insert(checkpoint.build) {
                // Somebody else has rebuilt it meanwhile.
                return Ok(());
            }
            // Held until the swap, however long what is left to build takes.
            let (checkpoint, _halted) =
                if round < ROUNDS { (checkpoint, None) } else { self.halt(&checkpoint).await? };
            let rebuild = self.rebuild_runner();
            self.discard_other(&rebuild, &checkpoint).await?;
            self.build_up_to(&rebuild, &checkpoint).await?;
            match self.swap(&rebuild, checkpoint.build + 1).await {
                Ok(true) => {
                    self.remove_old(checkpoint.build).await;
                    return Ok(());
                }
                Ok(false) => {}
                // Somebody reads the view in a long transaction, or the reply was lost: the next round finds out.
                Err(error) if error.is_retryable() || error.is_outcome_unknown() => {
                    telemetry::interrupted(&rebuild.settings.consumer, &error);
                    sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Builds up to where the build that is shown stands.
    async fn build_up_to(&self, rebuild: &Runner<S>, shown: &Checkpoint) -> Result<(), Error> {
        let (raise, overtaken) = signal();
        let mut rebuilding = Rebuilding {
            store: self.runner.store.clone(),
            shown: shown.consumer.clone(),
            applying: Applying::new(self.runner.store.clone(), Arc::clone(&self.projection), true),
            number: shown.build + 1,
            overtaken: raise,
        };
        rebuild.run(overtaken.up(), Some(shown.cursor), &mut rebuilding).await?;
        if overtaken.is_up() {
            // What was begun on top of somebody else's new build has no tables yet.
            rebuild.store.forget(rebuild.settings.consumer.name()).await?;
        }
        Ok(())
    }

    /// What is shown must be no newer than this code.
    fn fits(&self, shown: &Checkpoint) -> Result<(), Error> {
        if shown.version <= self.projection.version() {
            return Ok(());
        }
        Err(Error::Schema {
            message: format!(
                "the projection {} was built by version {}, and this is version {}: run the newer code",
                self.projection.name(),
                shown.version,
                self.projection.version()
            ),
            source: None,
        })
    }

    /// Runs the rebuild as a consumer of its own.
    fn rebuild_runner(&self) -> Runner<S> {
        let settings = Settings {
            consumer: self.runner.settings.consumer.rebuild(),
            start: Start::Beginning,
            ..self.runner.settings.clone()
        };
        Runner { store: self.runner.store.clone(), settings }
    }

    /// Removes a rebuild that was begun by an older version, or for what is no longer shown.
    async fn discard_other(&self, rebuild: &Runner<S>, shown: &Checkpoint) -> Result<(), Error> {
        let Some(found) = rebuild.store.checkpoint(&rebuild.settings.consumer).await? else {
            return Ok(());
        };
        self.fits(&found)?;
        if found.version == self.projection.version() && (found.build == 0 || found.build == shown.build + 1) {
            return Ok(());
        }
        if found.build > 0 && found.build != shown.build {
            let mut work = rebuild.store.begin().await?;
            // Its runner, if there is one, finds its tables gone and its lease too.
            work.lock_checkpoint(&rebuild.settings.consumer).await?;
            work.run_script(&Build::new(found.build, self.projection.tables()).removal()).await?;
            work.commit().await?;
        }
        rebuild.store.forget(rebuild.settings.consumer.name()).await.map(drop)
    }

    /// Takes the lease of the build that is shown, so that it stands still. Its runner gets it back after the swap.
    async fn halt(&self, shown: &Checkpoint) -> Result<(Checkpoint, Option<Held>), Error> {
        let mut runner = self.runner.clone();
        runner.settings.version = shown.version;
        Ok(match runner.claim(&runner.settings.run_owner(), true).await? {
            (Claimed::Taken(stands), _) => {
                let held = Held::keep(&runner.store, runner.lease(&stands));
                (stands, Some(held))
            }
            (Claimed::Refused(stands), _) => (stands, None),
        })
    }

    /// Shows the new build, if both stand at the same event. `false`: the one that is shown has gone on.
    async fn swap(&self, rebuild: &Runner<S>, number: u32) -> Result<bool, Error> {
        let found = rebuild.store.checkpoint(&rebuild.settings.consumer).await?;
        if found.is_none_or(|found| found.build != number) {
            return Ok(false);
        }
        let (Claimed::Taken(built), _) = rebuild.claim(&rebuild.settings.run_owner(), false).await? else {
            return Ok(false);
        };
        let lease = rebuild.lease(&built);
        let is_swapped = self.swap_in(&built, &lease).await;
        if !matches!(is_swapped, Ok(true)) {
            // One that is not let go lapses by itself.
            drop(rebuild.store.release(&lease).await);
        }
        is_swapped
    }

    async fn swap_in(&self, built: &Checkpoint, lease: &Lease) -> Result<bool, Error> {
        let shown = &self.runner.settings.consumer;
        let mut work = self.runner.store.begin().await?;
        if !work.hold(lease).await? {
            return Ok(false);
        }
        let stands = work.lock_checkpoint(shown).await?;
        let is_level =
            |stands: &Checkpoint| stands.build + 1 == built.build && stands.cursor.position == built.cursor.position;
        if !stands.is_some_and(|stands| is_level(&stands)) {
            return Ok(false);
        }
        for (view, table) in Build::new(built.build, self.projection.tables()).tables() {
            work.show_table(view, &table).await?;
        }
        if !work.swap_build(lease, shown).await? {
            return Ok(false);
        }
        work.commit().await?;
        Ok(true)
    }

    /// Removes the tables that are no longer shown, and those of the build before, if something kept them then.
    async fn remove_old(&self, shown_before: u32) {
        for build in [shown_before, shown_before.saturating_sub(1)].into_iter().filter(|build| *build > 0) {
            let Ok(mut work) = self.runner.store.begin().await else { return };
            // What cannot be removed now, since somebody reads or depends on it, can be at the next rebuild.
            if work.run_script(&Build::new(build, self.projection.tables()).removal()).await.is_ok() {
                drop(work.commit().await);
            }
        }
    }
}

/// Applies events to a build that is not shown yet.
struct Rebuilding<S, P> {
    applying: Applying<S, P>,
    /// The number of a build that is begun now.
    number: u32,
    store: S,
    shown: Consumer,
    /// Somebody else has rebuilt it meanwhile.
    overtaken: Raise,
}

impl<S: ProjectionStore, P: Projection<ConnectionOf<S>>> Handle for Rebuilding<S, P> {
    async fn begin(&mut self, checkpoint: &Checkpoint, lease: &Lease) -> Result<bool, Error> {
        let stands = self.store.checkpoint(&self.shown).await?;
        if stands.is_none_or(|stands| stands.build + 1 != self.number) {
            self.overtaken.raise();
            return Ok(false);
        }
        let is_begun = checkpoint.build > 0;
        self.applying.set_build(if is_begun { checkpoint.build } else { self.number });
        if is_begun {
            return Ok(true);
        }
        self.applying.make(lease, &[self.applying.creation()]).await
    }

    async fn handle(&mut self, chunk: Chunk<'_>) -> Result<Handled, Error> {
        self.applying.handle(chunk).await
    }
}
