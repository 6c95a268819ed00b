//! A payment intent: that somebody is about to pay, and how much. No money has moved yet.

use annals::Aggregate;
use serde::{Deserialize, Serialize};

use super::charge::Charged;

/// A payment intent, as far as decisions and answers need to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaymentIntent {
    /// What is to be paid; nothing yet, at first. It has the shape of what is charged in the end.
    pub intended: Option<Charged>,
}

/// What can be asked of a payment intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentIntentCommand {
    Create(Charged),
}

/// What can have happened to a payment intent. These names and shapes are stored: they stay readable for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "kebab-case")]
pub enum PaymentIntentEvent {
    PaymentIntentCreated(Charged),
}

/// Why a payment intent says no. Stored under the request's key, and given back as this very value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum PaymentIntentRejection {
    #[error("the payment intent has been made before")]
    AlreadyCreated,
}

impl Aggregate for PaymentIntent {
    const TYPE: &'static str = "payment-intent";
    type Command = PaymentIntentCommand;
    type Event = PaymentIntentEvent;
    type Rejection = PaymentIntentRejection;

    fn decide(&self, command: &PaymentIntentCommand) -> Result<Vec<PaymentIntentEvent>, PaymentIntentRejection> {
        let PaymentIntentCommand::Create(intended) = command;
        match self.intended {
            None => Ok(vec![PaymentIntentEvent::PaymentIntentCreated(intended.clone())]),
            Some(_) => Err(PaymentIntentRejection::AlreadyCreated),
        }
    }

    fn evolve(&mut self, event: &PaymentIntentEvent) {
        let PaymentIntentEvent::PaymentIntentCreated(intended) = event;
        self.intended = Some(intended.clone());
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::Scenario;

    use super::super::{
        amount::{Amount, Currency},
        charge::Notes,
    };
    use super::*;

    #[test]
    fn a_payment_intent_is_made_once() {
        let intended = Charged {
            account: "acct_1".to_owned(),
            amount: Amount::new(700).unwrap(),
            currency: Currency::Jpy,
            metadata: Notes::new(),
        };
        let created = PaymentIntentEvent::PaymentIntentCreated(intended.clone());
        let create = PaymentIntentCommand::Create(intended);
        Scenario::<PaymentIntent>::given([]).when(create.clone()).then([created.clone()]);
        let again = Scenario::<PaymentIntent>::given([created.clone()]).when(create);
        again.then_rejected(PaymentIntentRejection::AlreadyCreated);
        let stored = r#"{"type":"payment-intent-created","data":{"account":"acct_1","amount":700,"currency":"jpy","metadata":{}}}"#;
        assert_eq!(serde_json::to_string(&created).unwrap(), stored);
    }
}
