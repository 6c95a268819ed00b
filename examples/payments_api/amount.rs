//! Amounts: whole numbers of a currency's smallest unit, so nothing is ever rounded.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An amount in the smallest unit of its currency, such as cents: 1 to 99,999,999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(u32);

impl Amount {
    pub const MAX: u32 = 99_999_999;

    pub const fn new(units: u32) -> Option<Self> {
        match units {
            1..=Self::MAX => Some(Self(units)),
            _ => None,
        }
    }

    pub const fn units(self) -> u32 {
        self.0
    }
}

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    #[error("an amount is a whole number of the currency's smallest unit, such as 1099 for 10.99 dollars")]
    NotWhole,
    #[error("an amount is at least 1")]
    TooSmall,
    #[error("an amount is at most {}", Amount::MAX)]
    TooLarge,
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AmountError::NotWhole);
        }
        match digits.trim_start_matches('0') {
            "" => Err(AmountError::TooSmall),
            _ if is_negative => Err(AmountError::TooSmall),
            // More digits than a number of any size here has: too large, whatever they are.
            digits => digits.parse().ok().and_then(Self::new).ok_or(AmountError::TooLarge),
        }
    }
}

/// Makes the enum of currencies from their ISO 4217 codes.
macro_rules! currencies {
    ($($name:ident $code:literal)+) => {
        /// The currencies that are taken, by their ISO 4217 codes in lower case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Currency {
            $($name),+
        }

        impl Currency {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code),+
                }
            }
        }
    };
}

currencies! {
    Aed "aed" Ars "ars" Aud "aud" Bgn "bgn" Brl "brl" Cad "cad" Chf "chf" Clp "clp" Cny "cny" Cop "cop" Czk "czk" Dkk "dkk"
    Egp "egp" Eur "eur" Gbp "gbp" Hkd "hkd" Huf "huf" Idr "idr" Ils "ils" Inr "inr" Isk "isk" Jpy "jpy" Kes "kes" Krw "krw"
    Mxn "mxn" Myr "myr" Ngn "ngn" Nok "nok" Nzd "nzd" Pen "pen" Php "php" Pln "pln" Ron "ron" Rsd "rsd" Sar "sar" Sek "sek"
    Sgd "sgd" Thb "thb" Try "try" Twd "twd" Uah "uah" Usd "usd" Vnd "vnd" Zar "zar"
}

/// The text is no currency that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a currency is a code of ISO 4217 that is taken here, such as usd or eur")]
pub struct UnknownCurrency;

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let is_it = |currency: &&Self| currency.code().eq_ignore_ascii_case(text);
        Self::ALL.iter().find(is_it).copied().ok_or(UnknownCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_whole_and_within_bounds() {
        for (text, amount) in [
            ("1", Ok(1)),
            ("0099", Ok(99)),
            ("99999999", Ok(99_999_999)),
            ("100000000", Err(AmountError::TooLarge)),
            ("99999999999999999999999999", Err(AmountError::TooLarge)),
            ("0", Err(AmountError::TooSmall)),
            ("-0", Err(AmountError::TooSmall)),
            ("-5", Err(AmountError::TooSmall)),
            ("", Err(AmountError::NotWhole)),
            ("-", Err(AmountError::NotWhole)),
            ("+5", Err(AmountError::NotWhole)),
            ("10.5", Err(AmountError::NotWhole)),
            ("1e3", Err(AmountError::NotWhole)),
            (" 1", Err(AmountError::NotWhole)),
            ("١", Err(AmountError::NotWhole)),
        ] {
            assert_eq!(text.parse().map(Amount::units), amount, "{text:?}");
        }
    }

    #[test]
    fn currencies_are_stored_under_their_codes() {
        for currency in Currency::ALL {
            assert_eq!(serde_json::to_value(currency).unwrap(), currency.code());
            assert_eq!(currency.code().to_uppercase().parse(), Ok(*currency));
        }
        for unknown in ["", "xxx", "us", "usdx", "€"] {
            assert_eq!(unknown.parse::<Currency>(), Err(UnknownCurrency), "{unknown:?}");
        }
    }
}
