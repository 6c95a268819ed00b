//! How much is held at once.

/// Bounds the rows that are held at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Rows of one table, read ahead.
    pub(super) page_rows: u32,
    /// Receipts of one aggregate, while its events go by.
    pub(super) claims: usize,
}

/// The bytes of rows of one table, read ahead; the row that goes beyond is the last.
pub(super) const PAGE_BYTES: usize = 1 << 20;

/// Rows held at once, unless it is told otherwise.
const HELD_ROWS: usize = 65_536;
/// With fewer nothing could be compared.
const LEAST_HELD_ROWS: usize = 64;
/// More at once make nothing faster.
const MOST_PAGE_ROWS: u32 = 512;

impl Bounds {
    /// Divides so many rows: half of them for receipts, and there are never more than five pages.
    pub(super) fn new(rows: usize) -> Self {
        let rows = rows.max(LEAST_HELD_ROWS);
        let page_rows = u32::try_from(rows / 16).map_or(MOST_PAGE_ROWS, |rows| rows.min(MOST_PAGE_ROWS));
        Self { page_rows, claims: rows / 2 }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::new(HELD_ROWS)
    }
}
