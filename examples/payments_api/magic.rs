//! Notes that make the service slow, or make it fail, so that what happens then can be tried by hand.

use std::time::Duration;

use annals::Executed;

use super::{
    api_error::ApiError,
    charge::{Card, Notes},
};

/// The longest a request can be made to take at each of its two places, in milliseconds.
const LONGEST_MS: u64 = 60_000;

/// What the magic notes of a request ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Magic {
    /// `delay_ms`: waits before anything happens, as for a slow bank.
    delay: Duration,
    /// `linger_ms`: waits between the commit and the answer: the time to kill the process.
    linger: Duration,
    fail: Option<Fail>,
}

/// `fail`: how the request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fail {
    /// `decline`: the bank says no, and that is the answer.
    Decline,
    /// `500`: after the commit, so that the charge is there and the answer does not say so.
    Error,
    /// `panic`: likewise.
    Panic,
}

impl Magic {
    pub fn of(notes: &Notes) -> Result<Self, ApiError> {
        let unfit = |note: &str, message: String| ApiError::invalid(Some(&format!("metadata[{note}]")), message);
        let milliseconds = |note: &str| match notes.get(note).map(|value| value.parse()) {
            None => Ok(Duration::ZERO),
            Some(Ok(milliseconds @ ..=LONGEST_MS)) => Ok(Duration::from_millis(milliseconds)),
            Some(_) => Err(unfit(note, format!("this note is a number of milliseconds, 0 to {LONGEST_MS}"))),
        };
        let fail = match notes.get("fail").map(String::as_str) {
            None => None,
            Some("decline") => Some(Fail::Decline),
            Some("500") => Some(Fail::Error),
            Some("panic") => Some(Fail::Panic),
            Some(_) => return Err(unfit("fail", "this note is decline, 500 or panic".to_owned())),
        };
        Ok(Self { delay: milliseconds("delay_ms")?, linger: milliseconds("linger_ms")?, fail })
    }

    pub fn card(self) -> Card {
        match self.fail {
            Some(Fail::Decline) => Card::Declined,
            Some(Fail::Error | Fail::Panic) | None => Card::Accepted,
        }
    }

    /// Takes its time, before anything happens.
    pub async fn before(self) {
        tokio::time::sleep(self.delay).await;
    }

    /// Takes its time after the commit, and fails: only if something has been done now, so a retry gets its answer.
    pub async fn after(self, executed: &Executed) -> Result<(), ApiError> {
        tokio::time::sleep(self.linger).await;
        match self.fail.filter(|_| !executed.replayed) {
            Some(Fail::Error) => Err(ApiError::failed_as_asked()),
            Some(Fail::Panic) => panic!("panics as metadata[fail] asked"),
            Some(Fail::Decline) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn magic(notes: &[(&str, &str)]) -> Result<Magic, ApiError> {
        Magic::of(&notes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn magic_has_bounds() {
        let none = Magic { delay: Duration::ZERO, linger: Duration::ZERO, fail: None };
        assert_eq!(magic(&[("order", "42")]).unwrap(), none);
        let slow = magic(&[("delay_ms", "60000"), ("linger_ms", "5"), ("fail", "500")]).unwrap();
        assert_eq!((slow.delay, slow.linger), (Duration::from_secs(60), Duration::from_millis(5)));
        assert_eq!((slow.fail, slow.card()), (Some(Fail::Error), Card::Accepted));
        for (note, value) in [("delay_ms", "60001"), ("delay_ms", "-1"), ("linger_ms", "soon"), ("fail", "maybe")] {
            assert_eq!(magic(&[(note, value)]).unwrap_err().param(), Some(&*format!("metadata[{note}]")), "{value}");
        }
    }
}
