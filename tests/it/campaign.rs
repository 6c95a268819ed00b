//! How large the campaigns are.

/// Scales a campaign: `ANNALS_CAMPAIGN=10` makes every campaign ten times as large, `0.1` a tenth. Default: 1.
pub fn sized(by_default: u32) -> u32 {
    let factor = std::env::var("ANNALS_CAMPAIGN").map_or(1.0, |text| {
        let factor: f64 = text.parse().expect("ANNALS_CAMPAIGN is a number");
        assert!(factor > 0.0 && factor <= 10_000.0, "ANNALS_CAMPAIGN is above 0 and at most 10000");
        factor
    });
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just above")]
    let size = (f64::from(by_default) * factor).ceil() as u32;
    size
}
