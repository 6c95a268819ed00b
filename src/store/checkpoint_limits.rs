//! Bounds on what is kept beside checkpoints, checked before any I/O.

use std::time::Duration;

use super::{Claim, Consumer, Cursor, Error, NewParkedEvent, ParkedQuery, Position, Step};

/// The most bytes of a text that says what went wrong.
const FAILURE_BYTES: usize = 2000;

/// The most bytes of a name as it is stored, and of an owner.
const NAME_BYTES: usize = 255;

/// The shortest and the longest lease.
const LEASES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(24 * 60 * 60));

/// The most events that one step parks.
const STEP_PARKED_EVENTS: usize = 10_000;

/// The most parked events of one answer.
const ANSWER_PARKED_EVENTS: u32 = 100_000;

/// The most bytes of the name of a table or view: as many as PostgreSQL keeps.
const TABLE_NAME_BYTES: usize = 63;

/// The greatest number of a build, and of a version of a projection: what a column holds.
const GREATEST_NUMBER: u32 = i32::MAX.unsigned_abs();

/// The most checkpoints of one answer.
pub(crate) const ANSWER_CHECKPOINTS: i64 = 10_000;

/// Up to how many events are counted.
pub(crate) const COUNTED_EVENTS: u64 = 1_000_000;

impl Claim {
    /// Makes sure that the claim can be stored.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let owner = &self.owner;
        if owner.is_empty() || owner.len() > NAME_BYTES || owner.contains('\0') {
            return Err(Error::invalid(format!("a runner is named by 1 to {NAME_BYTES} bytes without NUL")));
        }
        check_length(self.length)?;
        check_number("the version of a projection", self.version)?;
        self.start.as_ref().map_or(Ok(()), check_cursor)
    }
}

impl Step<'_> {
    /// Makes sure that the step goes forward, and can be stored.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.to.position < self.from {
            return Err(Error::invalid(format!("a checkpoint is never moved back, from {} to {}", self.from, self.to)));
        }
        if self.parked.len() > STEP_PARKED_EVENTS {
            return Err(Error::invalid(format!("a step parks at most {STEP_PARKED_EVENTS} events")));
        }
        check_cursor(&self.to)?;
        self.parked.iter().try_for_each(NewParkedEvent::check)
    }
}

impl NewParkedEvent {
    /// Makes sure that there can be such an event.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.sequence == 0 || self.position.get() == 0 {
            return Err(Error::invalid("sequences and positions of events are counted from 1"));
        }
        Ok(())
    }
}

impl ParkedQuery {
    /// Makes sure that the answer is bounded.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.limit > ANSWER_PARKED_EVENTS {
            return Err(Error::invalid(format!("at most {ANSWER_PARKED_EVENTS} parked events are read at once")));
        }
        check_name(&self.name)
    }
}

/// Makes sure that an answer of parked events is bounded.
pub(crate) fn check_requested(name: &str, limit: u32) -> Result<(), Error> {
    ParkedQuery { name: name.to_owned(), aggregate_id: None, after: Position::START, limit }.check()
}

fn check_length(length: Duration) -> Result<(), Error> {
    if length < LEASES.0 || length > LEASES.1 {
        return Err(Error::invalid("a lease lasts from 1 millisecond to 24 hours"));
    }
    Ok(())
}

pub(crate) fn check_cursor(cursor: &Cursor) -> Result<(), Error> {
    match &cursor.event {
        Some(event) if cursor.position.get() == 0 || event.sequence == 0 => {
            Err(Error::invalid("sequences and positions of events are counted from 1"))
        }
        _ => Ok(()),
    }
}

/// Makes sure that a number fits into its column.
pub(crate) fn check_number(what: &str, number: u32) -> Result<(), Error> {
    if number > GREATEST_NUMBER {
        return Err(Error::invalid(format!("{what} is at most {GREATEST_NUMBER}, not {number}")));
    }
    Ok(())
}

/// Makes sure that a number of partitions is one.
pub(crate) fn check_partitions(of: u32) -> Result<(), Error> {
    if of == 0 || of > Consumer::MOST_PARTITIONS {
        return Err(Error::invalid(format!("a name has 1 to {} partitions, not {of}", Consumer::MOST_PARTITIONS)));
    }
    Ok(())
}

/// Makes sure that a name can be that of a consumer, or of one that is built anew.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let is_visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(is_visible) {
        return Err(Error::invalid(format!("{name:?} is not the name of a consumer")));
    }
    Ok(())
}

/// Makes sure that the name of a table or view is plain, so that it can stand in a statement.
pub(crate) fn check_table_name(name: &str) -> Result<(), Error> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if !begins_well || name.len() > TABLE_NAME_BYTES || !name.bytes().all(is_plain) {
        return Err(Error::invalid(format!(
            "a table or view is named by 1 to {TABLE_NAME_BYTES} of a to z, 0 to 9 and _, with no digit first: not {name:?}"
        )));
    }
    Ok(())
}

/// Makes a text storable: at most 2,000 bytes, and without NUL, which PostgreSQL keeps in no text.
pub(crate) fn storable_text(text: &str) -> String {
    let end = text.floor_char_boundary(FAILURE_BYTES);
    let storable = text[..end].replace('\0', "\u{fffd}");
    storable[..storable.floor_char_boundary(FAILURE_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::{check_name, check_table_name, storable_text};

    #[test]
    fn texts_are_cut_between_characters_and_hold_no_nul() {
        assert_eq!(storable_text("a\0b"), "a\u{fffd}b");
        let long = "\u{e4}".repeat(2000);
        assert_eq!(storable_text(&long), "\u{e4}".repeat(1000));
        assert_eq!(storable_text(&format!("x{long}")).len(), 1999);
        assert_eq!(storable_text(&"\0".repeat(5000)), "\u{fffd}".repeat(666));
    }

    #[test]
    fn names_of_tables_are_plain() {
        for name in ["sales", "_sales__2", "a"] {
            check_table_name(name).unwrap();
        }
        for name in ["", "Sales", "2sales", "sales\"", "s ales", "s\u{e4}les", &"a".repeat(64)] {
            assert!(check_table_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn names_of_consumers_are_visible() {
        check_name("mail (rebuild)").unwrap();
        for name in ["", "a\0b", "\u{e4}", &"a".repeat(256)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
