//! Two readers in turn, on the same rows.

use std::time::Instant;

use annals_contest::{Place, cpu_microseconds, median};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    READERS, Reader,
    fill::EVENTS_PER_ORDER,
    order_log::{Fold, Lot, Opened},
};

/// What the readers have come to, round by round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Race {
    /// The whole log.
    pub(crate) whole: Laps,
    /// The orders of one kind, three quarters of it.
    pub(crate) selected: Laps,
}

/// The laps of each reader.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Laps([Vec<Lap>; 3]);

/// One reader, once.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Lap {
    pub(crate) per_second: f64,
    /// CPU time of the process. A server's is not in it.
    pub(crate) cpu_us_per_event: f64,
}

impl Laps {
    /// The median of a reader's laps.
    pub(crate) fn median(&self, reader: Reader, of: fn(&Lap) -> f64) -> f64 {
        median(self.of(reader).iter().map(of)).unwrap_or_default()
    }

    /// The median of the rounds' own ratios, one reader to another.
    pub(crate) fn ratio(&self, reader: Reader, to: Reader, of: fn(&Lap) -> f64) -> f64 {
        let laps = self.of(reader).iter().zip(self.of(to));
        median(laps.map(|(lap, other)| of(lap) / of(other))).unwrap_or_default()
    }

    fn of(&self, reader: Reader) -> &[Lap] {
        let at = READERS.iter().position(|known| *known == reader);
        at.map_or(&[], |at| &self.0[at])
    }
}

/// Lets all read the whole log and a selection, as often as that; who was first is last the next time.
pub(super) async fn run(place: &Place, rounds: u32, orders: u64) -> Result<Race> {
    let mut readers = Vec::new();
    for (at, reader) in READERS.into_iter().enumerate() {
        readers.push((at, Opened::open(place, reader).await?));
    }
    let chosen = (0..orders).filter(|number| Lot::of(*number) == Lot::Order).count();
    let chosen = u64::try_from(chosen)? * EVENTS_PER_ORDER;
    let mut race = Race::default();
    // The first round warms up what is kept of the file, and is not counted.
    for round in 0..=rounds {
        let cases =
            [(&mut race.whole, None, orders * EVENTS_PER_ORDER), (&mut race.selected, Some(Lot::Order), chosen)];
        for (laps, lot, events) in cases {
            let mut found: Option<Fold> = None;
            for (at, reader) in &mut readers {
                let (lap, fold) = lap(reader, lot).await?;
                ensure!(fold.events == events && fold.is_in_order(), "of {events} events: {fold:?}");
                ensure!(found.is_none_or(|found| found == fold), "the readers have read different logs");
                found = Some(fold);
                if round > 0 {
                    laps.0[*at].push(lap);
                }
            }
        }
        readers.reverse();
    }
    Ok(race)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn lap(reader: &mut Opened, lot: Option<Lot>) -> Result<(Lap, Fold)> {
    let (cpu_before, began) = (cpu_microseconds()?, Instant::now());
    let fold = reader.fold(lot).await?;
    let (seconds, cpu_us) = (began.elapsed().as_secs_f64(), cpu_microseconds()? - cpu_before);
    let events = fold.events as f64;
    Ok((Lap { per_second: events / seconds, cpu_us_per_event: cpu_us as f64 / events }, fold))
}
