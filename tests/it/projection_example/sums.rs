//! What a file of invoices comes to, and what the read model holds: both seen without the example's code.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::order_example::program::Shop;

/// By country, day and kind: orders, lines, and millionths.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<[String; 3], [i128; 3]>);

impl Sums {
    /// Adds up the distinct lines of a file in whole millionths.
    pub fn of(csv: &str) -> Self {
        let (mut sums, mut lines, mut orders) = (Self::default(), HashSet::new(), HashSet::new());
        for record in csv::Reader::from_reader(csv.as_bytes()).records() {
            let fields: Vec<String> = record.unwrap().iter().map(str::to_owned).collect();
            let [invoice, _, _, quantity, time, price, _, country] = &fields[..] else { panic!("{fields:?}") };
            let kind = match invoice.as_bytes()[0] {
                b'C' => "credit-note",
                b'A' => "adjustment",
                _ => "sale",
            };
            let key = [country.clone(), time[..10].to_owned(), kind.to_owned()];
            let pieces: i128 = quantity.trim_end_matches(".0").parse().unwrap();
            let amount = pieces * millionths(price);
            let invoice = invoice.clone();
            if lines.insert(fields) {
                let sum = sums.0.entry(key).or_default();
                sum[0] += i128::from(orders.insert(invoice));
                sum[1] += 1;
                sum[2] += amount;
            }
        }
        sums
    }

    /// The rows of the view, written as [`rows_of`] writes them.
    pub fn rows(&self) -> Vec<String> {
        let rows = self.0.iter().map(|([country, day, kind], [orders, lines, amount])| {
            format!("{country}|{day}|{kind}|{orders}|{lines}|{amount}")
        });
        sorted(rows.collect())
    }

    /// What the program has to print as JSON of all countries (0) or of all days (1), by their names.
    pub fn by(&self, column: usize) -> HashMap<String, Value> {
        let keys: HashSet<&String> = self.0.keys().map(|key| &key[column]).collect();
        keys.into_iter().map(|name| (name.clone(), self.sum(|key| key[column] == *name))).collect()
    }

    /// What the program has to print as JSON of everything.
    pub fn total(&self) -> Value {
        self.sum(|_| true)
    }

    fn sum(&self, is_counted: impl Fn(&[String; 3]) -> bool) -> Value {
        let counted: Vec<_> = self.0.iter().filter(|(key, _)| is_counted(key)).collect();
        let orders: i128 = counted.iter().map(|(_, sum)| sum[0]).sum();
        let amount = |wanted: Option<&str>| {
            let of_kind = counted.iter().filter(|(key, _)| wanted.is_none_or(|kind| key[2] == kind));
            money(of_kind.map(|(_, sum)| sum[2]).sum())
        };
        json!({
            "orders": i64::try_from(orders).unwrap(),
            "gross": amount(Some("sale")),
            "credits": amount(Some("credit-note")),
            "adjusted": amount(Some("adjustment")),
            "net": amount(None),
        })
    }
}

fn millionths(price: &str) -> i128 {
    let (whole, decimals) = price.split_once('.').unwrap_or((price, ""));
    assert!(decimals.len() <= 6, "{price}");
    format!("{whole}{decimals:0<6}").parse().unwrap()
}

/// With two decimals, or as many as there are.
fn money(millionths: i128) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:06}", millionths.abs() / 1_000_000, millionths.abs() % 1_000_000);
    let zeros = text.len() - text.trim_end_matches('0').len();
    text[..text.len() - zeros.min(4)].to_owned()
}

/// All rows of the read model, in an order that no locale changes.
pub async fn rows_of(shop: &Shop) -> Vec<String> {
    let select =
        "SELECT country || '|' || day || '|' || kind || '|' || orders || '|' || lines || '|' || amount FROM sales";
    texts(shop, select, select).await
}

/// What the projection remembers of every order.
pub async fn orders_of(shop: &Shop) -> Vec<String> {
    texts(
        shop,
        "SELECT lower(hex(order_id)) || '|' || country || '|' || kind || '|' || lines FROM sales_orders",
        "SELECT replace(order_id::text, '-', '') || '|' || country || '|' || kind || '|' || lines FROM sales_orders",
    )
    .await
}

async fn texts(shop: &Shop, on_sqlite: &'static str, _on_postgres: &'static str) -> Vec<String> {
    #[cfg(feature = "postgres")]
    if let Some(database) = shop.database() {
        let mut connection = database.connection().await;
        return sorted(sqlx::query_scalar(_on_postgres).fetch_all(&mut connection).await.unwrap());
    }
    let url = format!("sqlite:{}", shop.path("orders.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sorted(sqlx::query_scalar(on_sqlite).fetch_all(&mut connection).await.unwrap())
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}
