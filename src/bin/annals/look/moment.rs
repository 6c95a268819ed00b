//! Times on the command line.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// Reads a time: RFC 3339, a day (its beginning in UTC), or how long ago, such as `15m`.
pub fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    moment_at(text, Utc::now())
}

fn moment_at(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc());
    }
    let wrong = || "a time is 2026-01-05T10:00:00Z, a day such as 2026-01-05, or how long ago: 30s, 15m, 2h, 3d, 1w";
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let count: u32 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong().to_owned()),
    };
    let ago = TimeDelta::seconds(i64::from(count) * seconds);
    now.checked_sub_signed(ago).ok_or_else(|| "that is before all calendars".to_owned())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::moment_at;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = DateTime::from_timestamp(1_767_607_200, 0).unwrap();
        for (text, seconds) in [
            ("2026-01-05T10:00:00Z", 1_767_607_200),
            ("2026-01-05T12:00:00+02:00", 1_767_607_200),
            ("2026-01-05", 1_767_571_200),
            ("0s", 1_767_607_200),
            ("90s", 1_767_607_110),
            ("15m", 1_767_606_300),
            ("2h", 1_767_600_000),
            ("3d", 1_767_348_000),
            ("1w", 1_767_002_400),
        ] {
            assert_eq!(moment_at(text, now).unwrap().timestamp(), seconds, "{text}");
        }
        let wrong = ["", "m", "yesterday", "5", "-5m", "1.5h", "15é", "2026-01-05 10:00", "2026-13-01", "4294967295w"];
        for text in wrong {
            assert!(moment_at(text, now).is_err(), "{text}");
        }
    }
}
