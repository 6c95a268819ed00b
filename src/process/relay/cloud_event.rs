//! CloudEvents, as those who are sent them read them.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{
    Deserializer as _,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::attribute;
use crate::store::{Error, Fingerprint, InboxMessage, MessagePlace};

/// A CloudEvent 1.0 that has come in, in the JSON format.
///
/// Any that keeps the rules, not those of this crate alone; what a relay adds is there where a relay has sent it.
///
/// ```
/// # fn main() -> Result<(), annals::Error> {
/// use annals::process::CloudEvent;
///
/// let body = br#"{"specversion":"1.0","id":"7","source":"/shop","type":"order-paid","data":{"cents":4200}}"#;
/// let event = CloudEvent::parse(body)?;
/// assert_eq!((event.event_type(), event.id()), ("order-paid", "7"));
/// let message = event.inbox_message("receipt-mail"); // for InboxWork::receive, in the transaction of the effects
/// assert_eq!(&*message.message_id, "7");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvent {
    /// All attributes, `specversion` apart, as texts.
    attributes: BTreeMap<String, String>,
    time: Option<DateTime<Utc>>,
    data: Data,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Data {
    None,
    /// JSON, byte by byte as it was sent.
    Json(Box<str>),
    /// Base64, as it was sent.
    Base64(Box<str>),
}

/// The largest message that is read, in bytes.
const LARGEST_BYTES: usize = 16 << 20;

/// The most attributes of a message.
const MOST_ATTRIBUTES: usize = 100;

impl CloudEvent {
    /// Reads the JSON format: up to 16 MiB.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`], [`Error::Invalid`]: it is no CloudEvent 1.0. It will not become one: set the message aside.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        if json.len() > LARGEST_BYTES {
            return Err(Error::invalid(format!("a CloudEvent has {LARGEST_BYTES} bytes at the most")));
        }
        // What is said of data that does not fit may hold the data.
        let unfit = |error| Error::codec("a message is no CloudEvent", crate::domain::without_data(error));
        let mut reader = serde_json::Deserializer::from_slice(json);
        let mut members = reader.deserialize_map(Members).map_err(unfit)?;
        reader.end().map_err(unfit)?;
        let version = members.remove("specversion").map(|version| text(&version)).transpose()?.flatten();
        if version.as_deref() != Some("1.0") {
            return Err(Error::invalid("a message is no CloudEvent of version 1.0"));
        }
        let data = match (members.remove("data"), members.remove("data_base64")) {
            (None, None) => Data::None,
            (Some(data), None) => Data::Json(data.get().into()),
            (None, Some(data)) => Data::Base64(text(&data)?.unwrap_or_default().into()),
            (Some(_), Some(_)) => return Err(Error::invalid("a CloudEvent has one of data and data_base64")),
        };
        let mut attributes = BTreeMap::new();
        for (name, value) in members {
            if !attribute::is_name(&name) {
                return Err(Error::invalid("attributes of CloudEvents are named by lower-case letters and digits"));
            }
            // Null is the same as nothing.
            if let Some(value) = text(&value)? {
                attributes.insert(name, value);
            }
        }
        for name in ["id", "source", "type"] {
            attribute::check_required(name, attributes.get(name).map_or("", String::as_str))?;
        }
        if let Some(name) = ["subject", "datacontenttype", "dataschema"].iter().find(|name| is_empty(&attributes, name))
        {
            return Err(Error::invalid(format!("the attribute {name} of a CloudEvent is not empty")));
        }
        if !attribute::is_uri_reference(&attributes["source"]) {
            return Err(Error::invalid("the source of a CloudEvent is a URI-reference"));
        }
        let time = attributes.get("time").map(|time| {
            let time = DateTime::parse_from_rfc3339(time);
            time.map_err(|_| Error::invalid("the time of a CloudEvent is one of RFC 3339"))
        });
        let time = time.transpose()?.map(|time| time.with_timezone(&Utc));
        Ok(Self { attributes, time, data })
    }

    /// The message's id: with its source it tells it from all others.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.attributes["id"]
    }

    /// Where it comes from: a URI-reference.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.attributes["source"]
    }

    /// Its type: of a relay's, the event's type behind the prefix that was set.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.attributes["type"]
    }

    /// What it is about: of a relay's, the aggregate's id.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.attribute("subject")
    }

    /// When it happened: of a relay's, when the event was recorded.
    #[must_use]
    pub const fn time(&self) -> Option<DateTime<Utc>> {
        self.time
    }

    /// Any attribute, by its name: numbers and truth values as they are written.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The kind of aggregate, where a relay has sent it.
    #[must_use]
    pub fn aggregate_type(&self) -> Option<&str> {
        self.attribute("aggregatetype")
    }

    /// The aggregate, where a relay has sent it.
    #[must_use]
    pub fn aggregate_id(&self) -> Option<Uuid> {
        self.subject().and_then(|subject| Uuid::try_parse(subject).ok())
    }

    /// The place of the event within its aggregate, where a relay has sent it.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.attribute("sequence")?.parse().ok()
    }

    /// The shape of the data, where a relay has sent it.
    #[must_use]
    pub fn schema_version(&self) -> Option<u32> {
        self.attribute("schemaversion")?.parse().ok()
    }

    /// The data as JSON, byte by byte as it was sent.
    ///
    /// `None` where there is none, or where it is binary.
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        match &self.data {
            Data::Json(json) => Some(json),
            Data::None | Data::Base64(_) => None,
        }
    }

    /// Binary data, in base64 as it was sent.
    #[must_use]
    pub fn data_base64(&self) -> Option<&str> {
        match &self.data {
            Data::Base64(text) => Some(text),
            Data::None | Data::Json(_) => None,
        }
    }

    /// Decodes the data; what is not there is `null`.
    ///
    /// # Errors
    ///
    /// [`Error::Codec`]: the data and this code do not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let unfit = |error| Error::codec("the data of a message cannot be read", crate::domain::without_data(error));
        serde_json::from_str(self.data().unwrap_or("null")).map_err(unfit)
    }

    /// The message for a consumer's inbox, remembered for ever.
    ///
    /// Its id is the CloudEvent's alone: a consumer of several sources has an inbox for each, or puts the source before the id.
    /// Its content is the type and the data. It has the place that [`place`](Self::place) tells.
    #[must_use]
    pub fn inbox_message(&self, consumer: impl Into<Arc<str>>) -> InboxMessage {
        let data = match &self.data {
            Data::None => "",
            Data::Json(data) | Data::Base64(data) => data,
        };
        InboxMessage {
            consumer: consumer.into(),
            message_id: self.id().into(),
            content: Fingerprint::of_parts(&[CONTENT_V1, self.event_type().as_bytes(), data.as_bytes()]),
            place: self.place(),
            keep_for: None,
        }
    }

    /// Where it stands among the messages of its aggregate, where a relay has sent it.
    ///
    /// Not dense: a relay's selection may leave events out. Who is sent every event of each aggregate may set it.
    #[must_use]
    pub fn place(&self) -> Option<MessagePlace> {
        Some(MessagePlace { source: self.aggregate_id()?, sequence: self.sequence()?, is_dense: false })
    }
}

/// The recipe of the content's hash.
const CONTENT_V1: &[u8] = b"annals message 1";

fn is_empty(attributes: &BTreeMap<String, String>, name: &str) -> bool {
    attributes.get(name).is_some_and(String::is_empty)
}

/// An attribute's value as a text; `None` for null.
fn text(value: &RawValue) -> Result<Option<String>, Error> {
    let written = value.get();
    match written.as_bytes().first() {
        Some(b'"') => {
            let unfit =
                |error| Error::codec("an attribute of a CloudEvent cannot be read", crate::domain::without_data(error));
            let text: Cow<'_, str> = serde_json::from_str(written).map_err(unfit)?;
            match attribute::is_text(&text) {
                true => Ok(Some(text.into_owned())),
                false => Err(Error::invalid("an attribute of a CloudEvent has control characters")),
            }
        }
        Some(b'n') => Ok(None),
        Some(b't' | b'f') => Ok(Some(written.to_owned())),
        _ if written.parse::<i32>().is_ok() => Ok(Some(written.to_owned())),
        _ => Err(Error::invalid("attributes of CloudEvents are texts, truth values and integers of 32 bits")),
    }
}

/// The members of an object, each once.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = BTreeMap<String, Box<RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CloudEvent")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            if members.len() == MOST_ATTRIBUTES {
                return Err(A::Error::custom("too many attributes"));
            }
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("an attribute is there twice"));
            }
        }
        Ok(members)
    }
}
