//! The pieces of work that every contender does in a process of its own, peers among them.

use std::path::PathBuf;

use annals_contest::{Cell, Entry, Work};
use anyhow::Result;

use crate::{
    apart::{self, Came},
    args::Args,
    contender,
    fresh::Fresh,
    report::{Group, Row},
    server::RunServer,
};

/// Measures round by round: each runs every contender in turn, so that what disturbs the machine disturbs them all.
pub(crate) async fn run(args: &Args, mut server: Option<&mut RunServer>) -> Result<Vec<Group>> {
    let works = args.works();
    let roster = roster(args, &works).await?;
    let mut groups = Vec::new();
    for engine in args.engines() {
        groups.extend(works.iter().enumerate().map(|(at, work)| Group::of(*engine, (at, *work), &roster)));
    }
    for round in 0..args.rounds {
        for group in &mut groups {
            eprintln!("round {} of {}: {}, {}", round + 1, args.rounds, group.engine, group.work);
            for row in group.rows.iter_mut().filter(|row| row.abstains.is_none()) {
                let came = measure(row, group.work, args, server.as_deref_mut()).await;
                if let Err(error) = &came {
                    eprintln!("{} has failed: {error:#}", row.contender);
                }
                row.add(came);
            }
        }
    }
    groups.iter_mut().for_each(Group::sum_up);
    Ok(groups)
}

/// Who takes part, and in which program: ours first.
async fn roster(args: &Args, works: &[Work]) -> Result<Vec<(PathBuf, Entry)>> {
    let own = std::env::current_exe()?;
    let mut roster: Vec<_> =
        contender::all().iter().map(|contender| (own.clone(), Entry::of(&**contender, works))).collect();
    for program in &args.peers {
        let entries = apart::entries(program, works).await?;
        roster.extend(entries.into_iter().map(|entry| (program.clone(), entry)));
    }
    roster.retain(|(_, entry)| args.wants(&entry.name));
    Ok(roster)
}

async fn measure(row: &Row, work: Work, args: &Args, mut server: Option<&mut RunServer>) -> Result<Came> {
    let (contender, engine) = (row.contender.clone(), Some(row.engine));
    let fresh = Fresh::make(args, row.engine, server.as_deref_mut()).await?;
    let place = fresh.place.clone();
    let cell = Cell { contender, engine, work, commands: args.commands, place, part: 0 };
    let came = apart::measure(&row.program, &cell).await;
    fresh.remove(server).await?;
    came
}
