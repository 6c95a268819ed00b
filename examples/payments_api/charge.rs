//! A charge: money taken from a card, and given back in whole or in part.
//!
//! Refunds are commands on the charge and not things of their own: so two of them, at the same time and in two processes,
//! can never come to more than was charged.

use std::collections::BTreeMap;

use annals::Aggregate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::amount::{Amount, Currency};

/// Whatever the merchant wants to keep beside an object, by name.
pub type Notes = BTreeMap<String, String>;

/// A charge, as far as decisions and answers need to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Charge {
    /// What was charged; nothing yet, at first.
    pub charged: Option<Charged>,
    /// In units of the charge's currency; never more than was charged.
    pub refunded: u32,
    /// The last refund alone: at the version of its receipt it is the one that an answer is about.
    pub last_refund: Option<Refunded>,
}

/// What can be asked of a charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChargeCommand {
    Create {
        charged: Charged,
        card: Card,
    },
    Refund {
        refund: Uuid,
        account: String,
        /// None: all that is left.
        amount: Option<Amount>,
        metadata: Notes,
    },
}

/// What the card's bank says: made up here, and part of the command, since decisions ask nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Card {
    Accepted,
    Declined,
}

/// What can have happened to a charge. These names and shapes are stored: they stay readable for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum ChargeEvent {
    ChargeCreated(Charged),
    ChargeRefunded(Refunded),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    /// Whose charge it is: to all others it is not there.
    pub account: String,
    pub amount: Amount,
    pub currency: Currency,
    pub metadata: Notes,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunded {
    pub refund: Uuid,
    pub amount: Amount,
    pub metadata: Notes,
}

/// Why a charge says no. Stored under the request's key, and given back as this very value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum ChargeRejection {
    #[error("the card was declined")]
    CardDeclined,
    #[error("the charge has been made before")]
    AlreadyCreated,
    #[error("there is no such charge")]
    NoSuchCharge,
    #[error("the charge has been refunded in full")]
    NothingLeft,
    #[error("of the charge {left} can still be refunded, not {asked}")]
    MoreThanIsLeft { left: u32, asked: u32 },
}

impl Aggregate for Charge {
    const TYPE: &'static str = "charge";
    type Command = ChargeCommand;
    type Event = ChargeEvent;
    type Rejection = ChargeRejection;

    fn decide(&self, command: &ChargeCommand) -> Result<Vec<ChargeEvent>, ChargeRejection> {
        Ok(vec![match command {
            ChargeCommand::Create { charged, card } => self.create(charged, *card)?,
            ChargeCommand::Refund { refund, account, amount, metadata } => {
                let amount = self.refund(account, *amount)?;
                ChargeEvent::ChargeRefunded(Refunded { refund: *refund, amount, metadata: metadata.clone() })
            }
        }])
    }

    fn evolve(&mut self, event: &ChargeEvent) {
        match event {
            ChargeEvent::ChargeCreated(charged) => self.charged = Some(charged.clone()),
            ChargeEvent::ChargeRefunded(refunded) => {
                self.refunded += refunded.amount.units();
                self.last_refund = Some(refunded.clone());
            }
        }
    }
}

impl Charge {
    fn create(&self, charged: &Charged, card: Card) -> Result<ChargeEvent, ChargeRejection> {
        match (&self.charged, card) {
            (Some(_), _) => Err(ChargeRejection::AlreadyCreated),
            (None, Card::Declined) => Err(ChargeRejection::CardDeclined),
            (None, Card::Accepted) => Ok(ChargeEvent::ChargeCreated(charged.clone())),
        }
    }

    /// How much a refund comes to.
    fn refund(&self, account: &str, asked: Option<Amount>) -> Result<Amount, ChargeRejection> {
        let charged = self.charged.as_ref().filter(|charged| charged.account == account);
        let charged = charged.ok_or(ChargeRejection::NoSuchCharge)?;
        let left = Amount::new(charged.amount.units() - self.refunded).ok_or(ChargeRejection::NothingLeft)?;
        match asked {
            Some(asked) if asked > left => {
                Err(ChargeRejection::MoreThanIsLeft { left: left.units(), asked: asked.units() })
            }
            asked => Ok(asked.unwrap_or(left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::Scenario;

    use super::*;

    const REFUND: Uuid = Uuid::from_u128(7);

    fn amount(units: u32) -> Amount {
        Amount::new(units).unwrap()
    }

    fn charged() -> Charged {
        Charged {
            account: "acct_1".to_owned(),
            amount: amount(2000),
            currency: Currency::Eur,
            metadata: Notes::from([("order".to_owned(), "42".to_owned())]),
        }
    }

    fn created() -> ChargeEvent {
        ChargeEvent::ChargeCreated(charged())
    }

    fn refunded(units: u32) -> ChargeEvent {
        ChargeEvent::ChargeRefunded(Refunded { refund: REFUND, amount: amount(units), metadata: Notes::new() })
    }

    fn refund(account: &str, units: Option<u32>) -> ChargeCommand {
        let (account, amount) = (account.to_owned(), units.map(amount));
        ChargeCommand::Refund { refund: REFUND, account, amount, metadata: Notes::new() }
    }

    #[test]
    fn a_charge_is_made_once() {
        let create = ChargeCommand::Create { charged: charged(), card: Card::Accepted };
        Scenario::<Charge>::given([]).when(create.clone()).then([created()]);
        Scenario::<Charge>::given([created()]).when(create).then_rejected(ChargeRejection::AlreadyCreated);
    }

    #[test]
    fn a_declined_card_makes_no_charge() {
        let create = ChargeCommand::Create { charged: charged(), card: Card::Declined };
        Scenario::<Charge>::given([]).when(create).then_rejected(ChargeRejection::CardDeclined);
    }

    #[test]
    fn refunds_never_come_to_more_than_was_charged() {
        let given = || Scenario::<Charge>::given([created(), refunded(1500)]);
        given().when(refund("acct_1", Some(500))).then([refunded(500)]);
        given().when(refund("acct_1", None)).then([refunded(500)]);
        let too_much = ChargeRejection::MoreThanIsLeft { left: 500, asked: 501 };
        given().when(refund("acct_1", Some(501))).then_rejected(too_much);
        let all = [created(), refunded(1500), refunded(500)];
        for units in [None, Some(1)] {
            let refund = refund("acct_1", units);
            Scenario::<Charge>::given(all.clone()).when(refund).then_rejected(ChargeRejection::NothingLeft);
        }
    }

    #[test]
    fn a_charge_is_there_for_its_own_account_alone() {
        let no = ChargeRejection::NoSuchCharge;
        Scenario::<Charge>::given([created()]).when(refund("acct_2", None)).then_rejected(no.clone());
        Scenario::<Charge>::given([]).when(refund("acct_1", None)).then_rejected(no);
    }

    #[test]
    fn stored_names_stay() {
        let stored = r#"{"type":"charge-created","data":{"account":"acct_1","amount":2000,"currency":"eur","metadata":{"order":"42"}}}"#;
        assert_eq!(serde_json::to_string(&created()).unwrap(), stored);
        let stored = r#"{"type":"charge-refunded","data":{"refund":"00000000-0000-0000-0000-000000000007","amount":5,"metadata":{}}}"#;
        assert_eq!(serde_json::from_str::<ChargeEvent>(stored).unwrap(), refunded(5));
        let stored = r#"{"more-than-is-left":{"left":1,"asked":2}}"#;
        let rejection = ChargeRejection::MoreThanIsLeft { left: 1, asked: 2 };
        assert_eq!(serde_json::to_string(&rejection).unwrap(), stored);
    }
}
