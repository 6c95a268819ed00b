//! The contract as a part of an OpenAPI 3.1 document.

use serde_json::json;
use utoipa::openapi::{
    Components, Content, ContentBuilder, Header, HeaderBuilder, HttpMethod, Info, ObjectBuilder, OpenApi, PathItem,
    Paths, Ref, RefOr, Required, Response, ResponseBuilder, Schema, Type,
    path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
};

use super::{KeySource, KeySyntax, Refusal, RenderRefusal as _, Settings, policy::HEADERS};
use crate::store::IdempotencyKey;

/// The name of the schema of refusals in the fragment.
const SCHEMA: &str = "IdempotencyRefusal";

/// Describes keys and refusals as an OpenAPI 3.1 document.
///
/// It is to be merged into the application's own.
///
/// Its components are, each with a name that begins with `Idempotency`: a parameter for each header that may hold the
/// key (`IdempotencyKey`, `IdempotencyKey2` …), a response for each refusal (`IdempotencyKeyReused` …) in the shape that
/// is chosen, and the schema of their bodies (`IdempotencyRefusal`). Operations refer to them:
/// `#/components/parameters/IdempotencyKey`. Where the policy is published at a path, the path is described, too.
///
/// [`OpenApi::merge`] leaves parameters behind: [`merge_openapi`] takes all of it.
#[must_use]
pub fn openapi_fragment(settings: &Settings) -> OpenApi {
    let mut components = Components::new();
    let headers = settings.key_sources.iter().filter_map(|source| match source {
        KeySource::Header(name) => Some(name),
        KeySource::JsonMember(_) => None,
    });
    // Where the key may stand in several places no single one of them is required.
    let is_required = settings.required && settings.key_sources.len() == 1;
    for (at, name) in headers.enumerate() {
        let number = if at == 0 { String::new() } else { (at + 1).to_string() };
        let parameter = key_parameter(settings, name, is_required);
        components.parameters.insert(format!("IdempotencyKey{number}"), RefOr::T(parameter));
    }
    if let Some(schema) = refusal_schema(settings) {
        components.schemas.insert(SCHEMA.to_owned(), RefOr::T(schema));
    }
    for refusal in Refusal::samples() {
        components.responses.insert(response_component(&refusal), RefOr::T(response(settings, &refusal)));
    }
    let mut document = OpenApi::new(Info::new("Idempotency", env!("CARGO_PKG_VERSION")), policy_path(settings));
    document.components = Some(components);
    document
}

/// Adds the fragment to an application's own document.
///
/// What is there already under the same name stays.
pub fn merge_openapi(document: &mut OpenApi, settings: &Settings) {
    let fragment = openapi_fragment(settings);
    let parameters = fragment.components.iter().flat_map(|components| components.parameters.clone());
    let parameters: Vec<_> = parameters.collect();
    document.merge(fragment);
    let components = document.components.get_or_insert_default();
    for (name, parameter) in parameters {
        components.parameters.entry(name).or_insert(parameter);
    }
}

fn key_parameter(settings: &Settings, name: &str, is_required: bool) -> Parameter {
    const EXAMPLE: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";
    let (written, example, is_bare) = match settings.key_syntax {
        KeySyntax::Lenient => ("Quoted (a structured-field string) or bare.", EXAMPLE.to_owned(), false),
        KeySyntax::Strict => ("In double quotes (a structured-field string).", format!("\"{EXAMPLE}\""), false),
        KeySyntax::Raw => ("As it is, without quotes.", EXAMPLE.to_owned(), true),
    };
    let (shortest, longest) = (settings.shortest_key.unwrap_or(1), IdempotencyKey::MAX_BYTES);
    let description = format!(
        "Names one operation: a new key for each operation, the same for its retries. {shortest} to {longest} bytes of \
         visible ASCII. {written}",
    );
    let mut schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(shortest));
    // Quotes and escapes count here and not there, so only bare keys have a longest text.
    if is_bare {
        schema = schema.max_length(Some(longest));
    }
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(if is_required { Required::True } else { Required::False })
        .description(Some(description))
        .schema(Some(schema.build()))
        .example(Some(json!(example)))
        .build()
}

fn header(name: &str, means: &str) -> Header {
    let schema = match name {
        "Retry-After" => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)),
        _ if means.starts_with("true") || name == "X-Should-Retry" => {
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true", "false"]))
        }
        _ => ObjectBuilder::new().schema_type(Type::String),
    };
    HeaderBuilder::new().description(Some(means)).schema(Some(schema.build())).build()
}

/// `key-reused` is `IdempotencyKeyReused`.
fn response_component(refusal: &Refusal) -> String {
    let words = refusal.name().split('-').flat_map(|word| {
        let (first, rest) = word.split_at(1);
        [first.to_ascii_uppercase(), rest.to_owned()]
    });
    std::iter::once("Idempotency".to_owned()).chain(words).collect()
}

/// The answer as it is given: status, headers and an example of the body.
fn response(settings: &Settings, refusal: &Refusal) -> Response {
    let rendered = settings.errors.render(refusal, settings.policy_url.as_deref());
    let description = format!("{}: {}.", rendered.status().as_u16(), refusal.title());
    let mut response = ResponseBuilder::new().description(description);
    if let Some(content_type) = settings.errors.content_type() {
        let example = serde_json::from_slice(rendered.body()).ok();
        let content: Content =
            ContentBuilder::new().schema(Some(Ref::from_schema_name(SCHEMA))).example(example).build();
        response = response.content(content_type, content);
    }
    for (name, means) in HEADERS {
        if rendered.headers().contains_key(name) {
            response = response.header(name, header(name, means));
        }
    }
    response.build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The schema of bodies, where the shape is known.
fn refusal_schema(settings: &Settings) -> Option<Schema> {
    settings.errors.content_type()?;
    let url = settings.policy_url.as_deref();
    let kinds: Vec<_> = Refusal::samples().iter().map(|refusal| settings.errors.kind_of(refusal, url)).collect();
    let mut types: Vec<_> = kinds.iter().filter_map(|kind| kind.r#type.clone()).collect();
    types.sort_unstable();
    types.dedup();
    let codes: Vec<_> = kinds.iter().filter_map(|kind| kind.code).collect();
    let kind = text().enum_values(Some(types));
    if codes.is_empty() {
        let problem = ObjectBuilder::new().property("type", kind).required("type").property("title", text());
        let problem = problem.required("title").property("status", ObjectBuilder::new().schema_type(Type::Integer));
        return Some(Schema::Object(problem.required("status").property("detail", text()).build()));
    }
    let error = ObjectBuilder::new().property("type", kind).required("type");
    let error = error.property("code", text().enum_values(Some(codes))).required("code");
    let error = error.property("message", text()).required("message").property("doc_url", text());
    Some(Schema::Object(ObjectBuilder::new().property("error", error).required("error").build()))
}

/// A policy at a URL of its own is no part of this API.
fn policy_path(settings: &Settings) -> Paths {
    let mut paths = Paths::new();
    let Some(path) = settings.policy_url.as_deref().filter(|url| url.starts_with('/') && !url.contains('?')) else {
        return paths;
    };
    let body = ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::Object))).build();
    let response = ResponseBuilder::new().description("The policy.").content("application/json", body).build();
    let operation = OperationBuilder::new()
        .summary(Some("What is done with idempotency keys"))
        .operation_id(Some("idempotency-policy"))
        .response("200", response)
        .build();
    paths.paths.insert(path.to_owned(), PathItem::new(HttpMethod::Get, operation));
    paths
}
