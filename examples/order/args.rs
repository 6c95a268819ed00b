//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::answer::Format;

/// Tells the story of one order, or imports a file of real ones.
///
/// Without a file: a short story, on a database in memory. With a file: every invoice becomes an order, and every
/// line of it a command that is executed once, however often the file is imported.
#[derive(Debug, Parser)]
#[command(name = "order")]
pub struct Args {
    /// The file to import: CSV, plain or gzipped, with the header
    /// InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
    #[arg(value_name = "FILE.csv[.gz]")]
    pub file: Option<PathBuf>,

    /// The database: sqlite:FILE, made where there is none, or postgres://USER@HOST/NAME. Unless told otherwise an
    /// import goes to sqlite:orders.db in the current folder, and the story takes place in memory
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,

    /// How many orders are worked on at once; lines of one order stay in the file's order
    #[arg(long, value_name = "N", default_value_t = 32, requires = "file",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,

    /// How many times to import the file, for larger loads: from the second time on its invoices are numbered 536365#2,
    /// 536365#3 and so on, so they are orders of their own
    #[arg(long, value_name = "N", default_value_t = 1, requires = "file",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeat: u16,

    /// How the summary is written to standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text, requires = "file")]
    pub format: Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Args::command().debug_assert();
        assert!(Args::try_parse_from(["order"]).unwrap().file.is_none());
        assert!(Args::try_parse_from(["order", "--database-url", "postgres://ann@db/shop"]).is_ok());
        assert!(Args::try_parse_from(["order", "--workers", "2"]).is_err(), "the story has no workers");
        assert!(Args::try_parse_from(["order", "--workers", "0", "a.csv"]).is_err());
    }
}
