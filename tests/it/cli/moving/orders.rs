//! Real orders, moved.

use std::path::PathBuf;

use super::data::{contents, exported, imported, is_sound};
use crate::{
    cli::place::{postgres, sqlite},
    order_example::{book::Book, program::Shop},
};

/// The week of real orders where it is here, else some made up.
#[tokio::test(flavor = "multi_thread")]
async fn orders_move_to_postgresql_and_are_the_same_line_by_line() {
    let shop = Shop::new();
    let file = std::env::var_os("ANNALS_RETAIL_WEEK")
        .map_or_else(|| shop.file("week.csv", Book::of(600, 8).csv.as_bytes()), PathBuf::from);
    shop.import(&file, &["--database-url", "sqlite:orders.db"]);
    let from_url = format!("sqlite:{}", shop.path("orders.db").display());
    let first = exported(&from_url);
    let moved = shop.path("orders.jsonl");
    std::fs::write(&moved, &first).unwrap();
    let (url, store, _, _database) = postgres().await;
    imported(&url, &moved);
    is_sound(&store).await;
    assert!(exported(&url) == first, "the two exports differ");
    let (back_url, back, _, _folder) = sqlite().await;
    imported(&back_url, &moved);
    is_sound(&back).await;
    assert!(exported(&back_url) == first, "the two exports differ");
    assert!(contents(&back).await.1 > 500);
}
