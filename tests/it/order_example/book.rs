//! Made-up invoices, and what they come to: computed here in whole thousandths, without the example's code.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use fastrand::Rng;
use serde_json::{Value, json};

pub const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";

/// A file of invoices, with everything that real files have.
pub struct Book {
    pub csv: String,
    /// The numbers of the lines that no import can read.
    pub malformed: Vec<u64>,
    pub lines: Vec<Line>,
}

#[derive(Clone)]
pub struct Line {
    text: String,
    invoice: String,
    country: &'static str,
    thousandths: i128,
}

const COUNTRIES: [&str; 7] =
    ["United Kingdom", "EIRE", "France", "Germany", "Norway", "Åland", "\"Guernsey, St. Peter Port\""];

const DESCRIPTIONS: [&str; 6] =
    ["METAL LANTERN", "", "\"TRAY, BREAKFAST IN BED\"", "\"RECORD FRAME 7\"\" SIZE\"", "7\" TIN", "£1 MUG"];

const MALFORMED: [&str; 8] = [
    "600001,85123A,MUG,one,2010-12-01 08:26:00,2.55,17850.0,France",
    "600001,85123A,MUG,1.5,2010-12-01 08:26:00,2.55,17850.0,France",
    "600001,85123A,MUG,1.0,2010-12-01 08:26:00,2.5.5,17850.0,France",
    "600001,85123A,MUG,1.0,yesterday,2.55,17850.0,France",
    "600001,85123A,MUG",
    ",85123A,MUG,1.0,2010-12-01 08:26:00,2.55,17850.0,France",
    "600001,85123A,\"MUG,1.0,2010-12-01 08:26:00,2.55,17850.0,France",
    "600001,85123A,MUG,1.0,2010-12-01 08:26:00,2.55,17850.0,France,more",
];

impl Book {
    /// Makes up at least this many lines. The same seed makes the same book.
    pub fn of(lines: usize, seed: u64) -> Self {
        let random = &mut Rng::with_seed(seed);
        let mut book = Self { csv: format!("{HEADER}\n"), malformed: Vec::new(), lines: Vec::new() };
        let mut written = 1;
        for number in 600_001.. {
            let prefix = ["", "", "", "", "", "", "", "C", "C", "A"][random.usize(..10)];
            let invoice = format!("{prefix}{number}");
            let country = COUNTRIES[random.usize(..COUNTRIES.len())];
            for _ in 0..=random.usize(..12) {
                book.lines.push(Line::of(&invoice, country, random));
                // Some lines come twice, at once or much later; and some cannot be read.
                if random.u32(..100) < 6 {
                    let earlier = if random.bool() { book.lines.len() - 1 } else { random.usize(..book.lines.len()) };
                    book.lines.push(book.lines[earlier].clone());
                }
                for line in &book.lines[written - 1 - book.malformed.len()..] {
                    writeln!(book.csv, "{}", line.text).unwrap();
                    written += 1;
                }
                if random.u32(..100) < 3 {
                    writeln!(book.csv, "{}", MALFORMED[random.usize(..MALFORMED.len())]).unwrap();
                    written += 1;
                    book.malformed.push(written as u64);
                }
            }
            if book.lines.len() >= lines {
                break;
            }
        }
        book
    }

    /// The file without the lines that no import can read.
    pub fn readable(&self) -> String {
        let lines = self.csv.lines().zip(1..).filter(|(_, number)| !self.malformed.contains(number));
        lines.map(|(line, _)| format!("{line}\n")).collect()
    }

    /// What the import of `copies` of it into an empty database has to print, but for the time it took and the place.
    pub fn summary(&self, copies: u64) -> Value {
        let mut seen = HashSet::new();
        let distinct: Vec<&Line> = self.lines.iter().filter(|line| seen.insert(&line.text)).collect();
        let orders = |prefix| {
            let invoices = distinct.iter().filter(|line| kind(&line.invoice) == prefix).map(|line| &line.invoice);
            copies * invoices.collect::<HashSet<_>>().len() as u64
        };
        let sum = |prefixes: &[char]| {
            let amounts =
                distinct.iter().filter(|line| prefixes.contains(&kind(&line.invoice))).map(|line| line.thousandths);
            i128::from(copies) * amounts.sum::<i128>()
        };
        let mut gross = BTreeMap::<&str, i128>::new();
        for line in distinct.iter().filter(|line| kind(&line.invoice) == 'S') {
            *gross.entry(line.country.trim_matches('"')).or_default() += i128::from(copies) * line.thousandths;
        }
        let mut top: Vec<_> = gross.into_iter().filter(|(_, amount)| *amount != 0).collect();
        top.sort_by_key(|(_, amount)| -amount);
        let top: Vec<_> =
            top.into_iter().take(5).map(|(name, sum)| json!({ "country": name, "gross": money(sum) })).collect();
        let accepted = copies * distinct.len() as u64;
        let (sales, credits, adjustments) = (orders('S'), orders('C'), orders('A'));
        json!({
            "lines_read": copies * (self.lines.len() + self.malformed.len()) as u64,
            "lines_malformed": copies * self.malformed.len() as u64,
            "commands_accepted": accepted,
            "commands_replayed": copies * self.lines.len() as u64 - accepted,
            "commands_rejected": 0,
            "events_recorded": accepted + sales + credits + adjustments,
            "sales_orders": sales,
            "credit_notes": credits,
            "adjustments": adjustments,
            "gross": money(sum(&['S'])),
            "credits": money(sum(&['C'])),
            "adjusted": money(sum(&['A'])),
            "net": money(sum(&['S', 'C', 'A'])),
            "top_countries": top,
        })
    }
}

impl Line {
    fn of(invoice: &str, country: &'static str, random: &mut Rng) -> Self {
        let pieces = random.i64(-2..30);
        let quantity = if invoice.starts_with('C') { -pieces } else { pieces };
        let decimals = random.u32(1..4);
        let unit = 10_i64.pow(3 - decimals);
        let price = random.i64(0..20_000) / unit * unit * if invoice.starts_with('A') { -1 } else { 1 };
        let text = format!(
            "{invoice},{}{},{},{quantity}{},2010-12-0{} 08:{}:00,{},{},{country}",
            random.u32(10_000..100_000),
            ["", "A", "B"][random.usize(..3)],
            DESCRIPTIONS[random.usize(..DESCRIPTIONS.len())],
            ["", ".0"][random.usize(..2)],
            random.u32(1..8),
            random.u32(10..60),
            decimal(price.into(), decimals),
            ["", "17850.0"][random.usize(..2)],
        );
        Self { text, invoice: invoice.to_owned(), country, thousandths: i128::from(quantity) * i128::from(price) }
    }
}

fn kind(invoice: &str) -> char {
    invoice.chars().next().filter(|first| "CA".contains(*first)).unwrap_or('S')
}

/// Writes thousandths with two decimals, or three where the third is not zero.
fn money(thousandths: i128) -> String {
    decimal(thousandths, if thousandths % 10 == 0 { 2 } else { 3 })
}

fn decimal(thousandths: i128, decimals: u32) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, part) = (thousandths.abs() / 1000, thousandths.abs() % 1000 / 10_i128.pow(3 - decimals));
    format!("{sign}{whole}.{part:0width$}", width = decimals as usize)
}
