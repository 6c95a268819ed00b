//! How long to wait before the next attempt.

use std::{sync::Mutex, sync::PoisonError, time::Duration};

use chrono::{DateTime, Utc};
use http::{HeaderMap, header};

/// The pauses between attempts: full jitter, growing, and what the server asks for within a bound.
#[derive(Debug)]
pub(super) struct Pauses {
    /// The most of the first pause; each later one may be twice as long.
    pub(super) first: Duration,
    /// The most of any pause that is not asked for.
    pub(super) longest: Duration,
    /// The most that a server may ask for.
    pub(super) longest_asked: Duration,
    random: Mutex<fastrand::Rng>,
}

impl Pauses {
    pub(super) fn new(random: fastrand::Rng) -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(8),
            longest_asked: Duration::from_secs(60),
            random: Mutex::new(random),
        }
    }

    pub(super) fn seed(&self, seed: u64) {
        *self.random() = fastrand::Rng::with_seed(seed);
    }

    /// The pause after so many attempts; `asked` is what the server has asked for.
    ///
    /// What was asked for is the least: behind it comes a part of a pause, so that not all come at once.
    pub(super) fn after(&self, attempts: u32, asked: Option<Duration>) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        let most = self.first.saturating_mul(doubled).min(self.longest);
        match asked {
            Some(asked) => asked.min(self.longest_asked) + self.part_of(self.first.min(self.longest)),
            None => self.part_of(most),
        }
    }

    fn part_of(&self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.random().u64(0..=micros))
    }

    fn random(&self) -> std::sync::MutexGuard<'_, fastrand::Rng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Pauses {
    fn clone(&self) -> Self {
        let random = Mutex::new(self.random().fork());
        Self { random, ..*self }
    }
}

/// What a server asks for: seconds, or a date, which is read by the server's own clock where it tells the time.
pub(in crate::http) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are longer than any bound.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = |text: &str| httpdate::parse_http_date(text).ok().map(DateTime::<Utc>::from);
    let servers_now = headers.get(header::DATE).and_then(|date| date.to_str().ok()).and_then(date);
    let wait = date(text)?.signed_duration_since(servers_now.unwrap_or(now));
    Some(wait.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use http::{HeaderMap, HeaderValue};

    use super::{Pauses, retry_after};

    #[test]
    fn http_m07_pauses_are_full_jitter_up_to_their_bound() {
        let pauses = Pauses::new(fastrand::Rng::with_seed(7));
        for (attempts, most) in [(1, 100), (2, 200), (4, 800), (7, 6400), (8, 8000), (4_000_000_000, 8000)] {
            let most = Duration::from_millis(most);
            let drawn: Vec<_> = (0..200).map(|_| pauses.after(attempts, None)).collect();
            assert!(drawn.iter().all(|pause| *pause <= most));
            // Full jitter: from nothing to all of it.
            assert!(drawn.iter().any(|pause| *pause < most / 4) && drawn.iter().any(|pause| *pause > most * 3 / 4));
        }
    }

    #[test]
    fn http_m07_what_a_server_asks_for_is_the_least_and_has_a_bound() {
        let pauses = Pauses::new(fastrand::Rng::with_seed(7));
        let jitter = Duration::from_millis(100);
        for (asked, least) in [(0, 0), (3, 3), (60, 60), (61, 60), (u64::MAX, 60)] {
            let pause = pauses.after(5, Some(Duration::from_secs(asked)));
            let least = Duration::from_secs(least);
            assert!(pause >= least && pause <= least + jitter, "{asked} gave {pause:?}");
        }
    }

    #[test]
    fn http_m07_retry_after_is_read_as_seconds_and_as_a_date() {
        let now: DateTime<Utc> = "2015-10-21T07:28:00Z".parse().unwrap();
        let read = |after: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", HeaderValue::from_str(after).unwrap());
            date.map(|date| headers.insert("date", HeaderValue::from_str(date).unwrap()));
            retry_after(&headers, now).map(|after| after.as_secs())
        };
        assert_eq!(read("120", None), Some(120));
        assert_eq!(read(" 7 ", None), Some(7));
        assert_eq!(read("99999999999999999999999", None), Some(u64::MAX));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:09 GMT", None), Some(9));
        assert_eq!(read("Wed, 21 Oct 2015 07:27:00 GMT", None), Some(0));
        // By the server's own clock, which is an hour behind.
        assert_eq!(read("Wed, 21 Oct 2015 06:28:09 GMT", Some("Wed, 21 Oct 2015 06:28:00 GMT")), Some(9));
        for none in ["", "soon", "-1", "1.5", "Wed, 32 Oct 2015"] {
            assert_eq!(read(none, None), None, "{none:?}");
        }
    }
}
