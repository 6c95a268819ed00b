//! The example as its users run it: a program, its output, its exit code.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::SystemTime,
};

use annals::{CheckpointStore, SqliteStore};
use serde_json::Value;

#[cfg(feature = "postgres")]
use crate::postgres_server::Database;

pub fn order() -> Command {
    example("order")
}

/// An example, which `cargo test` has built beside the tests.
pub fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let target = tests.parent().and_then(Path::parent).unwrap();
    let program = target.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let built = program.metadata().and_then(|metadata| metadata.modified()).ok();
    let written = newest_source(&target.join(format!("examples/{name}.d")));
    assert!(
        built.is_some_and(|built| built >= written),
        "{} is {}. `cargo test` builds it; `cargo test --test it` does not: first run cargo build --example {name}{}",
        program.display(),
        if built.is_some() { "older than its code" } else { "missing" },
        if cfg!(debug_assertions) { "" } else { " --release" }
    );
    let mut example = Command::new(program);
    example.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    example
}

/// When the newest file that the program is made of was written: cargo lists them beside it, `program: file file …`.
fn newest_source(list: &Path) -> SystemTime {
    let list = std::fs::read_to_string(list).unwrap_or_default().replace("\\ ", "\0");
    let (_, files) = list.split_once(": ").unwrap_or_default();
    let written = |file: &str| Path::new(&file.replace('\0', " ")).metadata().and_then(|file| file.modified()).ok();
    files.split_whitespace().filter_map(written).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A database and the files to import into it, in a folder of their own.
pub struct Shop {
    folder: tempfile::TempDir,
    #[cfg(feature = "postgres")]
    database: Option<Database>,
}

impl Shop {
    /// With the file that the program takes where it is not told of another.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            #[cfg(feature = "postgres")]
            database: None,
        }
    }

    pub async fn on_file() -> Self {
        Self::new()
    }

    #[cfg(feature = "postgres")]
    pub async fn on_server() -> Self {
        Self { database: Some(Database::create().await), ..Self::new() }
    }

    #[cfg(feature = "postgres")]
    pub const fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// What the program is told, in the shop's folder.
    pub fn database_url(&self) -> String {
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            return database.url().to_owned();
        }
        "sqlite:orders.db".to_owned()
    }

    /// What the program tells.
    pub fn shown_url(&self) -> String {
        let url = self.database_url();
        let url = url.split('?').next().unwrap_or_default();
        let Some((before, rest)) =
            url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?)))
        else {
            return url.to_owned();
        };
        format!("{before}://{}@{}", rest.0.split(':').next().unwrap_or_default(), rest.1)
    }

    /// The database, seen with the crate's own eyes.
    pub async fn store(&self) -> Arc<dyn CheckpointStore> {
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            let store = annals::PostgresStore::options().readers(1).connect(database.url()).await;
            return Arc::new(store.unwrap());
        }
        Arc::new(SqliteStore::options().readers(1).open(self.path("orders.db")).await.unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program, about to import a file as JSON.
    pub fn importer(&self, file: &Path) -> Command {
        let mut order = order();
        order.current_dir(&self.folder).args(["--format", "json"]).arg(file);
        #[cfg(feature = "postgres")]
        if let Some(database) = &self.database {
            order.args(["--database-url", database.url()]);
        }
        order
    }

    /// Imports a file, with further arguments, and returns the summary.
    pub fn import(&self, file: &Path, arguments: &[&str]) -> Value {
        summary_of(&self.importer(file).args(arguments).output().unwrap())
    }

    pub fn spawn(&self, file: &Path) -> Child {
        self.importer(file).stdout(Stdio::null()).spawn().unwrap()
    }
}

/// The one object on standard output.
pub fn summary_of(output: &Output) -> Value {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}: {err}", output.status);
    assert_eq!(out.lines().count(), 1, "one line on standard output: {out}");
    serde_json::from_str(&out).unwrap()
}

/// A summary without what may differ: the time it took, and where the database is.
pub fn without_time_and_place(mut summary: Value) -> Value {
    for name in ["elapsed_seconds", "database"] {
        assert!(summary.as_object_mut().unwrap().remove(name).is_some(), "{name} is missing");
    }
    summary
}

/// What a summary says about the store, without the run.
pub fn totals(summary: &Value) -> Value {
    let names = ["sales_orders", "credit_notes", "adjustments", "gross", "credits", "adjusted", "net", "top_countries"];
    names.iter().map(|name| ((*name).to_owned(), summary[*name].clone())).collect()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
