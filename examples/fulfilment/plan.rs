//! What is ordered, and what the warehouse makes of it: drawn, so that every way an order can go is gone.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::order::{Card, Line, Placed};

/// The articles, by their price in cents. The last two are hardly there.
const PRICES: [u32; 10] = [199, 250, 499, 850, 1_250, 1_799, 2_995, 4_500, 9_900, 12_345];
const SCARCE: usize = 2;

/// How many pieces an order comes to, at a guess: between one and three lines of one to three pieces.
const PIECES: u32 = 4;

/// An order that is going to be placed.
#[derive(Debug, Clone)]
pub struct Plan {
    pub number: String,
    lines: Vec<Line>,
    card: Card,
    ship_within: Duration,
    pub hand_over: HandOver,
}

/// When the warehouse hands the parcel over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// So long after it was booked.
    After(Duration),
    /// So many milliseconds after the promise, or before it.
    AtTheDeadline(i64),
    Never,
}

/// What comes in before anything is sold, for so many orders.
pub fn deliveries(orders: u32) -> impl Iterator<Item = (String, u32)> {
    let fair = orders * PIECES / 10 + 2;
    let scarce = orders * PIECES / 60 + 1;
    (0..PRICES.len()).map(move |at| (article(at), if at + SCARCE < PRICES.len() { fair } else { scarce }))
}

/// Everything that is sold.
pub fn articles() -> impl Iterator<Item = String> {
    (0..PRICES.len()).map(article)
}

fn article(at: usize) -> String {
    format!("article-{at}")
}

impl Plan {
    pub fn draw(at: u32, random: &mut fastrand::Rng, ship_within: Duration, is_chaos: bool) -> Self {
        let mut articles: Vec<usize> = (0..PRICES.len()).collect();
        random.shuffle(&mut articles);
        articles.truncate(random.usize(1..=3));
        let lines = articles.into_iter().map(|at| Line {
            article: article(at),
            quantity: random.u32(1..=3),
            unit_cents: PRICES[at],
        });
        let lines = lines.collect();
        let drawn = random.u32(0..100);
        let card = match drawn {
            0..10 => Card::Declined,
            10..14 if is_chaos => Card::Slow,
            _ => Card::Good,
        };
        let soon = Duration::from_millis(random.u64(0..300));
        let (ship_within, hand_over) = match random.u32(0..100) {
            // The promise may end while the card is charged, while stock is reserved, or right after.
            0..8 if is_chaos => (Duration::from_millis(random.u64(50..2_000)), HandOver::After(soon)),
            8..14 if is_chaos => (ship_within, HandOver::AtTheDeadline(random.i64(-40..40))),
            14..18 => (ship_within, HandOver::Never),
            _ => (ship_within, HandOver::After(soon)),
        };
        Self { number: format!("order-{at}"), lines, card, ship_within, hand_over }
    }

    /// The order, as it is placed now.
    pub fn placed(&self, now: DateTime<Utc>) -> Placed {
        Placed {
            number: self.number.clone(),
            lines: self.lines.clone(),
            card: self.card,
            ship_by: now + self.ship_within,
        }
    }
}
