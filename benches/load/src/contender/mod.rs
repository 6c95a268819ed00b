//! Who is compared, of those that need no program of their own. A contender is one file and a line in [`all`].

use annals_contest::{Contender, Engine, Work};

mod annals;
mod by_copy;
mod by_hand;
mod by_hand_on_annals;
mod by_hand_on_postgres;
mod raw;
mod summaries;

pub(crate) use self::annals::Annals;
use self::summaries::SummedUp;
pub(crate) use by_hand::pool as sqlite_pool;

/// The contender that all others are compared with.
pub(crate) const BASELINE: &str = "by hand";

/// Why the variants of a contender abstain from what is the same for all of them.
const AS_THE_FIRST: &str = "does here what the first of its name does";

/// Work at which all variants of one contender do the same.
const fn is_same_for_variants(work: Work) -> bool {
    matches!(work, Work::Bulk | Work::Log { .. } | Work::Rebuild { .. } | Work::LostReply | Work::Beside)
}

/// All contenders, in the order of the table.
pub(crate) fn all() -> Vec<Box<dyn Contender>> {
    let mut all = on_sqlite();
    all.extend(on_postgres());
    all
}

fn on_sqlite() -> Vec<Box<dyn Contender>> {
    use self::{by_hand::ByHand, by_hand_on_annals::ByHandOnAnnals, raw::InsertEach, raw::InsertWaiting};

    let annals = Annals::on(Engine::Sqlite);
    vec![
        Box::new(ByHand { connections: 4 }),
        Box::new(ByHand { connections: 1 }),
        Box::new(SummedUp(Engine::Sqlite)),
        Box::new(ByHandOnAnnals),
        Box::new(Annals { without_queue: true, ..annals }),
        Box::new(annals),
        Box::new(Annals { keys: true, ..annals }),
        Box::new(Annals { cache: true, ..annals }),
        Box::new(Annals { cache: true, keys: true, ..annals }),
        Box::new(Annals { snapshots: true, ..annals }),
        Box::new(InsertEach),
        Box::new(InsertWaiting),
    ]
}

fn on_postgres() -> Vec<Box<dyn Contender>> {
    use self::{
        by_copy::ByCopy,
        by_hand_on_postgres::{ByHandOnPostgres, InsertEach},
    };

    let annals = Annals::on(Engine::Postgres);
    vec![
        Box::new(ByHandOnPostgres { connections: 16, without_pings: false }),
        Box::new(ByHandOnPostgres { connections: 4, without_pings: false }),
        Box::new(ByHandOnPostgres { connections: 64, without_pings: false }),
        Box::new(ByHandOnPostgres { connections: 16, without_pings: true }),
        Box::new(SummedUp(Engine::Postgres)),
        Box::new(Annals { without_queue: true, ..annals }),
        Box::new(annals),
        Box::new(Annals { keys: true, ..annals }),
        Box::new(Annals { cache: true, ..annals }),
        Box::new(Annals { cache: true, keys: true, ..annals }),
        Box::new(Annals { snapshots: true, ..annals }),
        Box::new(InsertEach),
        Box::new(ByCopy),
    ]
}
