//! Stripe's own client for Python, as it comes from the package index, against the example.
//!
//! It runs in a virtual environment of the test's own, through a proxy that swallows replies. Needs python3 with venv, and
//! the package index; where that is away on purpose `ANNALS_OFFLINE=1` says so.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::tempdir;

use super::{
    process::{database, events},
    program::Service,
};
use crate::order_example::program::text;

#[tokio::test]
async fn stripes_own_client_charges_once_though_replies_are_swallowed() {
    let folder = tempdir().unwrap();
    let Some(python) = python_with_stripe(folder.path()) else { return };
    let service = Service::begin(folder.path(), &["--errors", "stripe"]);
    let mut client = Command::new(python);
    client.arg("-B").arg(sources().join("client.py"));
    client.args([service.address().ip().to_string(), service.address().port().to_string()]);
    let output = client.output().unwrap();
    let err = text(&output.stderr);
    assert!(output.status.success(), "{}: {err}", output.status);
    let made: Value = serde_json::from_str(&text(&output.stdout)).unwrap();

    let events = events(&database(folder.path()).await).await;
    let recorded = |of: &str| events.iter().filter(|event| *event == of).count();
    assert!(made["charges"].as_u64().is_some_and(|charges| charges > 0), "{made}");
    for (name, event) in
        [("charges", "charge-created"), ("payment_intents", "payment-intent-created"), ("refunds", "charge-refunded")]
    {
        assert_eq!(made[name], recorded(event), "{name}: the client has made {made}, there are {events:?}");
    }
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stripe_client")
}

/// A virtual environment with the client. `None`: it cannot be had, and that is all right.
fn python_with_stripe(folder: &Path) -> Option<PathBuf> {
    let environment = folder.join("venv");
    let made = Command::new("python3").args(["-m", "venv"]).arg(&environment).output();
    let hint = "scripts/test.sh installs it; by hand: the packages python3 and python3-venv";
    let made = made.unwrap_or_else(|error| panic!("python3 is missing ({error}): {hint}"));
    assert!(made.status.success(), "python3 cannot make a virtual environment: {hint}\n{}", said(&made));
    let python = environment.join("bin/python");
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    pip.args(["--retries", "2", "--timeout", "20", "-r"]).arg(sources().join("requirements.txt"));
    let installed = pip.output().unwrap();
    if installed.status.success() {
        return Some(python);
    }
    let reason = said(&installed);
    assert!(
        std::env::var("ANNALS_OFFLINE").is_ok_and(|is_offline| is_offline == "1"),
        "Stripe's client cannot be installed; without a package index run with ANNALS_OFFLINE=1\n{reason}"
    );
    // Not by a macro: what those print of a test that passes is swallowed.
    let _ = writeln!(
        std::io::stderr(),
        "NOT RUN: stripes_own_client_charges_once_though_replies_are_swallowed: ANNALS_OFFLINE=1, and Stripe's client \
         cannot be installed"
    );
    None
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
