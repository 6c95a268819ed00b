//! Where the shop and the payment service keep what they know: a database each, of either kind.

use std::process::Command;

use tempfile::TempDir;

use crate::order_example::program::example;
#[cfg(feature = "postgres")]
use crate::postgres_server::Database;

/// Two databases, for as long as the test has them.
pub struct Place {
    folder: TempDir,
    #[cfg(feature = "postgres")]
    databases: Option<[Database; 2]>,
}

impl Place {
    /// In files.
    pub async fn on_files() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            #[cfg(feature = "postgres")]
            databases: None,
        }
    }

    #[cfg(feature = "postgres")]
    pub async fn on_server() -> Self {
        let databases = [Database::create().await, Database::create().await];
        Self { databases: Some(databases), ..Self::on_files().await }
    }

    /// The shop's, and the payment service's.
    pub fn urls(&self) -> [String; 2] {
        #[cfg(feature = "postgres")]
        if let Some(databases) = &self.databases {
            return databases.each_ref().map(|database| database.url().to_owned());
        }
        ["shop.db", "payments.db"].map(|name| format!("sqlite:{}", self.folder.path().join(name).display()))
    }

    /// The example, in a folder of its own.
    pub fn fulfilment(&self) -> Command {
        let mut fulfilment = example("fulfilment");
        fulfilment.current_dir(&self.folder);
        fulfilment
    }

    /// The example with many orders, on these databases.
    pub fn many(&self, arguments: &[&str]) -> Command {
        let mut fulfilment = self.fulfilment();
        let [shop, payments] = self.urls();
        fulfilment.args(arguments).args(["--database-url", &shop, "--payments-database-url", &payments]);
        fulfilment
    }
}

/// Makes a test of each function on each kind of database.
macro_rules! on_every_place {
    ($($test:ident)+) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::fulfilment_example::place::Place::on_files).await;
                }
            )+
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::fulfilment_example::place::Place::on_server).await;
                }
            )+
        }
    };
}
pub(crate) use on_every_place;
