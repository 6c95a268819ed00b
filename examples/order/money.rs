//! Amounts as people read them.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// An exact amount, shown with two decimals, or more where it has more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub Decimal);

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut amount = self.0.normalize();
        if amount.scale() < 2 {
            amount.rescale(2);
        }
        f.pad(&amount.to_string())
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Groups the digits of a number before its decimal point by threes.
pub fn grouped(number: &str) -> String {
    let (whole, decimals) = number.split_at(number.find('.').unwrap_or(number.len()));
    let (sign, digits) = whole.split_at(whole.len() - whole.trim_start_matches('-').len());
    let mut text = sign.to_owned();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + decimals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_exactly() {
        for (amount, shown) in [
            ("0.0", "0.00"),
            ("2.5", "2.50"),
            ("12.3450", "12.345"),
            ("-11062.06", "-11,062.06"),
            ("338847.47", "338,847.47"),
            ("1000000", "1,000,000.00"),
        ] {
            assert_eq!(grouped(&Money(amount.parse().unwrap()).to_string()), shown);
        }
    }
}
