//! An aggregate, as it is named on the command line.

use std::fmt;

use annals::{
    Error, EventStoreExt as _, Search, StreamQuery,
    domain::{is_valid_type_name, natural_id},
};
use clap::Args as ClapArgs;
use uuid::Uuid;

use crate::ending::Failure;

/// Which aggregate.
#[derive(Debug, ClapArgs)]
pub struct AggregateArgs {
    /// The type of the aggregate, as `annals types` shows it
    #[arg(value_name = "TYPE", value_parser = type_name)]
    aggregate_type: String,

    /// Which one: its UUID, or natural: and the business key its id was made from
    #[arg(value_name = "ID", value_parser = id)]
    id: Id,
}

#[derive(Debug, Clone)]
enum Id {
    Uuid(Uuid),
    Natural(String),
}

fn id(text: &str) -> Result<Id, String> {
    if let Some(key) = text.strip_prefix("natural:") {
        return Ok(Id::Natural(key.to_owned()));
    }
    text.parse().map(Id::Uuid).map_err(|_| "an id is a UUID, or natural: and a business key".to_owned())
}

/// Reads the name of an aggregate type.
pub fn type_name(text: &str) -> Result<String, String> {
    if is_valid_type_name(text) {
        return Ok(text.to_owned());
    }
    Err("an aggregate type is kebab-case, 1 to 64 bytes: `annals types` shows those there are".to_owned())
}

/// An aggregate that was named.
#[derive(Debug)]
pub struct Named<'a> {
    pub aggregate_type: &'a str,
    pub id: Uuid,
    pub natural: Option<&'a str>,
}

impl AggregateArgs {
    pub fn named(&self) -> Result<Named<'_>, Failure> {
        let aggregate_type = self.aggregate_type.as_str();
        Ok(match &self.id {
            Id::Uuid(id) => Named { aggregate_type, id: *id, natural: None },
            Id::Natural(key) => {
                let id = natural_id(aggregate_type, key).map_err(|error| Failure::Usage(error.to_string()))?;
                Named { aggregate_type, id, natural: Some(key) }
            }
        })
    }
}

impl Named<'_> {
    /// What is in the way of looking at it: it is not there, or of another type.
    pub async fn missing(&self, store: &dyn Search) -> Result<Option<Missing>, Error> {
        let first = store.collect_stream(&StreamQuery::of(self.id).limit(1)).await?;
        Ok(match first.first() {
            None => Some(Missing::NoEvents(format!("there are no events of {self}"))),
            Some(event) if event.aggregate_type() != self.aggregate_type => Some(Missing::OtherType(format!(
                "{} is of type {}: annals show {} {}",
                self.id,
                event.aggregate_type(),
                event.aggregate_type(),
                self.id
            ))),
            Some(_) => None,
        })
    }
}

/// Why an aggregate is not there, in a sentence.
#[derive(Debug)]
pub enum Missing {
    NoEvents(String),
    OtherType(String),
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.aggregate_type, self.id)?;
        self.natural.map_or(Ok(()), |key| write!(f, " (natural:{})", super::plain(key)))
    }
}
