//! The fulfilment example under everything at once: cards declined, requests and replies lost, promises missed, and the
//! runner and the payment service killed. The books balance: nothing is paid twice, nothing is lost, every order ends once.

use std::time::Instant;

use crate::{
    campaign,
    fulfilment_example::place::{Place, on_every_place},
    order_example::program::text,
};

/// How many orders are placed.
const ORDERS: u32 = 80;

/// How often a process is killed meanwhile.
const KILLS: u32 = 4;

/// How long an order has to be shipped, in seconds.
const SHIP_WITHIN: &str = "4";

on_every_place! {
    the_books_balance_however_often_the_runner_and_the_payment_service_are_killed
}

async fn the_books_balance_however_often_the_runner_and_the_payment_service_are_killed(open: impl AsyncFn() -> Place) {
    let (orders, kills) = (campaign::sized(ORDERS).to_string(), campaign::sized(KILLS).to_string());
    let seed = fastrand::u64(..).to_string();
    println!("seed {seed}");
    let (place, began) = (open().await, Instant::now());
    let arguments = ["--orders", &orders, "--chaos", "--kills", &kills, "--seed", &seed, "--ship-within", SHIP_WITHIN];
    let output = place.many(&arguments).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && out.ends_with("\nThe books balance.\n"), "{out}{err}");
    print!("books:\n{out}");
    println!("seconds={}", began.elapsed().as_secs());
    let killed = out.lines().find_map(|line| line.split_once("killed: ")).expect("it says how often it killed");
    let killed: u32 =
        killed.1.split(|letter: char| !letter.is_ascii_digit()).filter_map(|n| n.parse::<u32>().ok()).sum();
    assert!(killed.to_string() == kills || killed > kills.parse().unwrap(), "{out}");
}
