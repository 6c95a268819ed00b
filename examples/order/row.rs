//! One row of the file.

use annals::Fingerprint;
use chrono::NaiveDateTime;
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use rust_decimal::{Decimal, prelude::ToPrimitive as _};

use crate::domain::{Header, Line};

/// What the first line of a file has to be.
pub const HEADER: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
const COLUMNS: usize = 8;

/// A line of an invoice, as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// SHA-256 of the row's own content: what tells a line from another, and knows it again.
    pub content: Fingerprint,
    pub header: Header,
    pub line: Line,
}

/// Why a row was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("{0} columns instead of {COLUMNS}")]
    Columns(usize),
    #[error("not UTF-8")]
    NotUtf8,
    #[error("a quote is opened and not closed")]
    OpenQuote,
    #[error("a quote is closed before the field ends")]
    AfterQuote,
    #[error("longer than {0} bytes")]
    TooLong(usize),
    #[error("{column} is empty")]
    Empty { column: &'static str },
    #[error("{column} {value:?} is not {wanted}")]
    Value { column: &'static str, value: String, wanted: &'static str },
}

impl Row {
    /// Reads a row from its bytes, which end with a line break.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let record = split(text)?;
        let fields: Vec<&str> = record.iter().collect();
        let &[invoice, stock_code, description, quantity, invoiced_at, unit_price, customer, country] = &fields[..]
        else {
            return Err(Malformed::Columns(fields.len()));
        };
        let parts: [&[u8]; COLUMNS] = std::array::from_fn(|at| fields[at].as_bytes());
        Ok(Self {
            content: Fingerprint::of_parts(&parts),
            header: Header {
                invoice: text_of("InvoiceNo", invoice)?,
                // Customers are numbered, and were exported as if one could be a half.
                customer: optional(customer.strip_suffix(".0").unwrap_or(customer)),
                country: text_of("Country", country)?,
            },
            line: Line {
                stock_code: text_of("StockCode", stock_code)?,
                description: optional(description),
                quantity: pieces(quantity)?,
                unit_price: decimal("UnitPrice", unit_price, "a decimal number")?,
                invoiced_at: time(invoiced_at)?,
            },
        })
    }
}

/// Splits one row into its fields.
fn split(text: &[u8]) -> Result<StringRecord, Malformed> {
    check_quotes(text)?;
    let mut record = ByteRecord::new();
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(512).from_reader(text);
    match reader.read_byte_record(&mut record) {
        Ok(true) => StringRecord::from_byte_record(record).map_err(|_| Malformed::NotUtf8),
        // A slice cannot fail to be read, and here rows may have any number of columns.
        Ok(false) | Err(_) => Err(Malformed::Columns(0)),
    }
}

/// Makes sure that quotes open and close whole fields. The reader is more lenient: it would glue two rows together.
fn check_quotes(text: &[u8]) -> Result<(), Malformed> {
    enum At {
        FieldStart,
        Plain,
        Quoted,
        Closed,
    }
    let mut at = At::FieldStart;
    for byte in text {
        at = match (at, byte) {
            (At::FieldStart | At::Closed, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) => At::Quoted,
            (_, b',') => At::FieldStart,
            (At::Closed, b'\r' | b'\n') => At::Closed,
            (At::Closed, _) => return Err(Malformed::AfterQuote),
            (At::FieldStart | At::Plain, _) => At::Plain,
        };
    }
    if matches!(at, At::Quoted) { Err(Malformed::OpenQuote) } else { Ok(()) }
}

fn text_of(column: &'static str, value: &str) -> Result<String, Malformed> {
    if value.is_empty() { Err(Malformed::Empty { column }) } else { Ok(value.to_owned()) }
}

fn optional(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// Reads a number of pieces, which may be written `6.0`.
fn pieces(value: &str) -> Result<i64, Malformed> {
    const WANTED: &str = "a whole number";
    let quantity = decimal("Quantity", value, WANTED)?;
    let whole = if quantity.fract().is_zero() { quantity.to_i64() } else { None };
    whole.ok_or_else(|| malformed("Quantity", value, WANTED))
}

/// Reads a decimal number exactly, or not at all: no exponents, no rounding.
fn decimal(column: &'static str, value: &str, wanted: &'static str) -> Result<Decimal, Malformed> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
    let number = if plain { Decimal::from_str_exact(value).ok() } else { None };
    number.ok_or_else(|| malformed(column, value, wanted))
}

fn time(value: &str) -> Result<NaiveDateTime, Malformed> {
    NaiveDateTime::parse_from_str(value, "%Y-%m-%d %H:%M:%S")
        .map_err(|_| malformed("InvoiceDate", value, "a time such as 2010-12-01 08:26:00"))
}

fn malformed(column: &'static str, value: &str, wanted: &'static str) -> Malformed {
    /// The most characters shown of what does not fit.
    const SHOWN: usize = 40;
    match value {
        "" => Malformed::Empty { column },
        _ => Malformed::Value { column, value: value.chars().take(SHOWN).collect(), wanted },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Row, Malformed> {
        Row::parse(format!("{text}\n").as_bytes())
    }

    #[test]
    fn a_row_is_read_exactly() {
        let row = parse("536520,22760,\"TRAY, 7\"\" WIDE\",-6.0,2010-12-01 12:43:00,12.755,14729.0,France").unwrap();
        assert_eq!((row.header.invoice.as_str(), row.header.country.as_str()), ("536520", "France"));
        assert_eq!(row.header.customer.as_deref(), Some("14729"));
        assert_eq!(row.line.description.as_deref(), Some("TRAY, 7\" WIDE"));
        assert_eq!((row.line.quantity, row.line.unit_price.to_string().as_str()), (-6, "12.755"));
        assert_eq!(row.line.amount().to_string(), "-76.530");
    }

    #[test]
    fn what_real_files_have_is_accepted() {
        let row = parse("A1,B,,0,2010-12-01 12:43:00,-11062.06,,France").unwrap();
        assert_eq!((row.header.customer, row.line.description), (None, None));
        assert!(parse("536520,22760,7\" WIDE,6,2010-12-01 12:43:00,0.0,,France\r").is_ok(), "a lone quote is a quote");
    }

    #[test]
    fn rows_are_the_same_where_their_content_is() {
        let content = |text: &str| parse(text).unwrap().content;
        let plain = content("1,2,AB,6.0,2010-12-01 12:43:00,1.0,,France");
        assert_eq!(plain, content("1,2,\"AB\",6.0,2010-12-01 12:43:00,1.0,,France\r"));
        assert_ne!(plain, content("1,2A,B,6.0,2010-12-01 12:43:00,1.0,,France"));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, problem) in [
            ("1,2,3", "3 columns instead of 8"),
            ("1,2,A,x,2010-12-01 12:43:00,1.0,,France", "Quantity \"x\" is not a whole number"),
            ("1,2,A,1.5,2010-12-01 12:43:00,1.0,,France", "Quantity \"1.5\" is not a whole number"),
            ("1,2,A,1,2010-12-01 12:43:00,1e3,,France", "UnitPrice \"1e3\" is not a decimal number"),
            ("1,2,A,1,2010-12-01 12:43:00,1_0,,France", "UnitPrice \"1_0\" is not a decimal number"),
            ("1,2,A,1,2010-12-01 12:43:00,,,France", "UnitPrice is empty"),
            ("1,2,A,1,12/1/2010,1.0,,France", "InvoiceDate \"12/1/2010\" is not a time such as 2010-12-01 08:26:00"),
            (",2,A,1,2010-12-01 12:43:00,1.0,,France", "InvoiceNo is empty"),
            ("1,2,\"A,1,2010-12-01 12:43:00,1.0,,France", "a quote is opened and not closed"),
            ("1,2,\"A\"B,1,2010-12-01 12:43:00,1.0,,France", "a quote is closed before the field ends"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), problem, "{text}");
        }
        assert_eq!(Row::parse(b"1,2,\xa3,1,2010-12-01 12:43:00,1.0,,France\n"), Err(Malformed::NotUtf8));
    }
}
