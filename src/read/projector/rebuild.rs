//! Rebuilding: a new build beside the one that is shown, swapped in when it has caught up.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{ConnectionOf, Projector, batch::Applying};
use crate::{
    read::{
        Projection, Start,
        parked::Replayed,
        projection::Build,
        runner::{Chunk, Handle, Handled, Held, OUTAGE, Raise, Runner, is_outage, other_version, signal},
        settings::Settings,
        telemetry,
    },
    store::{Checkpoint, CheckpointWork, Claimed, Consumer, Error, Lease, ProjectionStore, RecordedEvent, Work as _},
};

/// After so many rounds the runner of the build that is shown is made to stand by, so that it no longer runs away.
const ROUNDS: u32 = 5;

impl<S: ProjectionStore, P: Projection<ConnectionOf<S>>> Projector<S, P> {
    /// Builds the projection anew, **without downtime**.
    ///
    /// Returns when the new build is shown.
    ///
    /// The new build has tables of its own. While it catches up, readers see the old one, and its runner goes on; when both
    /// stand at the same event, the views are swapped in one transaction with the checkpoint. Then the old tables are
    /// removed.
    ///
    /// On PostgreSQL the swap waits for transactions that have read a view, and tries again, for as long as that takes; while
    /// it waits, up to the lock timeout, new readers wait too. Grants on a view stay, unless its columns have changed: then
    /// it is made anew, and they have to be given again. A REPEATABLE READ transaction that began before the swap and
    /// reads the view for the first time after it sees no rows. Views of the application's own on top of these keep the
    /// old tables, and those of a table that is no longer declared stay as they are: remove them by hand.
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
        let mut rounds = Rounds { first: None, behind: 0, halted: None };
        let done = self.rebuild_in(&mut rounds).await;
        if let Some(halted) = &mut rounds.halted {
            halted.release(&self.runner.store).await;
        }
        done
    }

    async fn rebuild_in(&self, rounds: &mut Rounds) -> Result<(), Error> {
        let mut pauses = OUTAGE.pauses();
        loop {
            match self.round(rounds).await {
                Ok(Round::NothingShown) => return self.catch_up().await,
                Ok(Round::Rebuilt) => return Ok(()),
                Ok(Round::Swapped { earlier }) => {
                    telemetry::changed(self.projection.name(), "rebuild");
                    self.remove_old(earlier).await;
                    return Ok(());
                }
                Ok(Round::Behind) => rounds.behind += 1,
                Ok(Round::Taken { pause }) => sleep(pause).await,
                // Somebody reads the view in a long transaction, the database is away, or a reply was lost: the next round
                // finds out.
                Err(error) if is_outage(&error) => {
                    telemetry::interrupted(&self.runner.settings.consumer.rebuild(), &error);
                    sleep(pauses.next().unwrap_or(OUTAGE.longest_pause)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Builds up to where the shown build stands now, and swaps if it still does.
    async fn round(&self, rounds: &mut Rounds) -> Result<Round, Error> {
        let Some(mut shown) = self.shown().await? else {
            return Ok(Round::NothingShown);
        };
        if shown.build != *rounds.first.get_or_insert(shown.build) {
            if shown.version == self.projection.version() {
                return Ok(Round::Rebuilt);
            }
            rounds.first = Some(shown.build);
        }
        if rounds.behind >= ROUNDS && rounds.halted.as_ref().is_none_or(|held| held.lost.is_up()) {
            // Held until the swap, however long what is left to build takes.
            rounds.halted = self.halt(&shown).await?;
            // It may have gone on until then.
            shown = self.shown().await?.unwrap_or(shown);
        }
        let rebuild = self.rebuild_runner();
        self.discard_other(&rebuild).await?;
        self.build_up_to(&rebuild, &shown).await?;
        self.swap(&rebuild, shown.build + 1).await
    }

    /// What is shown; `None` where nothing is. It must be no newer than this code.
    async fn shown(&self) -> Result<Option<Checkpoint>, Error> {
        let found = self.runner.store.checkpoint(&self.runner.settings.consumer).await?;
        let shown = found.filter(|shown| shown.build > 0);
        shown.as_ref().map_or(Ok(()), |shown| self.fits(shown))?;
        Ok(shown)
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
        Ok(())
    }

    /// What is shown must be no newer than this code.
    fn fits(&self, shown: &Checkpoint) -> Result<(), Error> {
        if shown.version <= self.projection.version() {
            return Ok(());
        }
        Err(other_version(self.projection.name(), shown.version, self.projection.version()))
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

    /// Removes a rebuild that an older version has begun, or that is no longer on top of what is shown.
    ///
    /// In one transaction that holds both checkpoints, so that no tables are removed that are shown, or left behind.
    async fn discard_other(&self, rebuild: &Runner<S>) -> Result<(), Error> {
        let consumer = &rebuild.settings.consumer;
        let Some(found) = rebuild.store.checkpoint(consumer).await? else {
            return Ok(());
        };
        self.fits(&found)?;
        if found.version == self.projection.version() && found.build == 0 {
            return Ok(());
        }
        let mut work = rebuild.store.begin().await?;
        let shown = work.lock_checkpoint(&self.runner.settings.consumer).await?.map_or(0, |shown| shown.build);
        let Some(found) = work.lock_checkpoint(consumer).await? else {
            return Ok(());
        };
        self.fits(&found)?;
        if found.version == self.projection.version() && (found.build == 0 || found.build == shown + 1) {
            return Ok(());
        }
        if found.build > shown {
            work.run_script(&Build::new(found.build, self.projection.tables()).removal()).await?;
        }
        work.remove_checkpoint(consumer).await?;
        work.commit().await
    }

    /// Takes the lease of the build that is shown, so that it stands still. Its runner gets it back after the swap.
    async fn halt(&self, shown: &Checkpoint) -> Result<Option<Held>, Error> {
        let mut runner = self.runner.clone();
        runner.settings.version = shown.version;
        let (Claimed::Taken(stands), _) = runner.claim(&runner.settings.run_owner(), true).await? else {
            return Ok(None);
        };
        telemetry::changed(shown.consumer.name(), "halt");
        Ok(Some(Held::keep(&runner.store, runner.lease(&stands))))
    }

    /// Shows the new build, if both stand at the same event.
    async fn swap(&self, rebuild: &Runner<S>, number: u32) -> Result<Round, Error> {
        let found = rebuild.store.checkpoint(&rebuild.settings.consumer).await?;
        if found.is_none_or(|found| found.build != number) {
            return Ok(Round::Behind);
        }
        let built = match rebuild.claim(&rebuild.settings.run_owner(), false).await? {
            (Claimed::Taken(built), _) => built,
            (Claimed::Refused(other), _) => return Ok(Round::Taken { pause: rebuild.standby_pause(&other) }),
        };
        let lease = rebuild.lease(&built);
        let swapped = self.swap_in(&built, &lease).await;
        if !matches!(swapped, Ok(Round::Swapped { .. })) {
            // One that is not let go lapses by itself.
            drop(rebuild.store.release(&lease).await);
        }
        swapped
    }

    async fn swap_in(&self, built: &Checkpoint, lease: &Lease) -> Result<Round, Error> {
        let shown = &self.runner.settings.consumer;
        let mut work = self.runner.store.begin().await?;
        if !work.hold(lease).await? {
            return Ok(Round::Behind);
        }
        let stands = work.lock_checkpoint(shown).await?;
        let is_level =
            |stands: &Checkpoint| stands.build + 1 == built.build && stands.cursor.position == built.cursor.position;
        if !stands.is_some_and(|stands| is_level(&stands)) {
            return Ok(Round::Behind);
        }
        for (view, table) in Build::new(built.build, self.projection.tables()).tables() {
            work.show_table(view, &table).await?;
        }
        if !work.swap_build(lease, shown).await? {
            return Ok(Round::Behind);
        }
        work.commit().await?;
        Ok(Round::Swapped { earlier: built.build - 1 })
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

/// What a rebuild knows from one round to the next.
struct Rounds {
    /// What was shown in the first.
    first: Option<u32>,
    /// In so many what is shown had gone on.
    behind: u32,
    /// The lease of what is shown.
    halted: Option<Held>,
}

/// How a round has ended.
enum Round {
    /// There is no build to be replaced.
    NothingShown,
    /// Somebody else has rebuilt it meanwhile.
    Rebuilt,
    Swapped {
        /// What was shown before.
        earlier: u32,
    },
    /// What is shown has gone on.
    Behind,
    /// Somebody else rebuilds it.
    Taken {
        /// It may be over after so long.
        pause: Duration,
    },
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
        let is_begun = checkpoint.build > 0;
        self.applying.set_build(if is_begun { checkpoint.build } else { self.number });
        let mut work = self.store.begin().await?;
        let stands = work.lock_checkpoint(&self.shown).await?;
        if stands.is_none_or(|stands| stands.build + 1 != self.number) {
            if !is_begun && work.hold(lease).await? {
                work.remove_checkpoint(&lease.consumer).await?;
                work.commit().await?;
            }
            self.overtaken.raise();
            return Ok(false);
        }
        if is_begun {
            return Ok(true);
        }
        // Nobody's, as it is beyond what is shown: left behind by whoever was ended at a bad time.
        let scripts = [self.applying.build.removal(), self.applying.build.creation()];
        self.applying.make(work, lease, &scripts).await
    }

    async fn handle(&mut self, chunk: Chunk<'_>) -> Result<Handled, Error> {
        self.applying.handle(chunk).await
    }

    async fn replay(&mut self, lease: &Lease, event: &RecordedEvent) -> Result<Replayed, Error> {
        self.applying.replay(lease, event).await
    }
}
