//! What the service answers when it says no, in one of two styles.

use annals::{
    Error, ExecuteError,
    http::{Errors, Problem, Refusal, RenderRefusal as _, Verdict},
};
use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::Next,
    response::{IntoResponse, Response},
};
use clap::ValueEnum;
use serde::Serialize;

use super::{charge::ChargeRejection, payment_intent::PaymentIntentRejection, routes::POLICY};

/// How errors look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Style {
    /// Problem details: `application/problem+json` (RFC 9457)
    Ietf,
    /// `{"error":{"type":…,"code":…,"message":…}}`, which Stripe's clients read
    Stripe,
}

/// A no: what is wrong, and what that means for the request's key. Made into an answer by [`styled`], since who says no does
/// not know the style.
#[derive(Debug, Clone)]
pub struct ApiError {
    no: No,
    /// Where the status does not say it.
    verdict: Option<Verdict>,
}

#[derive(Debug, Clone)]
enum No {
    /// The service's own.
    Own { status: StatusCode, code: &'static str, message: String, param: Option<String> },
    /// What a store's error or a precondition is to a client: the crate knows.
    Problem(Problem),
    /// What the layer says itself, said here in its words.
    Refusal(Refusal),
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { no: No::Own { status, code, message: message.into(), param: None }, verdict: None }
    }

    fn at(mut self, at: Option<&str>) -> Self {
        if let No::Own { param, .. } = &mut self.no {
            *param = at.map(str::to_owned);
        }
        self
    }

    /// The request is not understood.
    pub fn invalid(param: Option<&str>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parameter_invalid", message).at(param)
    }

    pub fn missing(param: &str) -> Self {
        let message = format!("{param} is missing");
        Self::new(StatusCode::BAD_REQUEST, "parameter_missing", message).at(Some(param))
    }

    pub fn not_found(param: Option<&str>, what: &str) -> Self {
        let message = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, "resource_missing", message).at(param)
    }

    pub fn unauthorized() -> Self {
        let message = "a token is missing: send Authorization: Bearer followed by 1 to 200 visible characters";
        Self::new(StatusCode::UNAUTHORIZED, "token_missing", message)
    }

    pub fn method_not_allowed() -> Self {
        let message = "this method is not for this path";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub fn unknown_media_type() -> Self {
        let message = "a body is application/x-www-form-urlencoded or application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type_unknown", message)
    }

    pub fn unreadable(status: StatusCode) -> Self {
        Self::new(status, "body_unreadable", "the body could not be read")
    }

    /// A failure that was asked for.
    pub fn failed_as_asked() -> Self {
        let message = "failed as metadata[fail] asked, after the charge was made";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed_as_asked", message)
    }

    #[cfg(test)]
    pub fn param(&self) -> Option<&str> {
        match &self.no {
            No::Own { param, .. } => param.as_deref(),
            No::Problem(_) | No::Refusal(_) => None,
        }
    }

    const fn status(&self) -> StatusCode {
        match &self.no {
            No::Own { status, .. } => *status,
            No::Problem(problem) => problem.status,
            No::Refusal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn render(self, style: Style) -> Response {
        let mut response = match self.no {
            No::Own { status, code, message, param } => own(style, status, code, &message, param.as_deref()),
            No::Problem(problem) => Errors::from(style).render_problem(&problem).map(Body::from),
            No::Refusal(refusal) => Errors::from(style).render(&refusal, Some(POLICY)).map(Body::from),
        };
        if let Some(verdict) = self.verdict {
            response.extensions_mut().insert(verdict);
        }
        response
    }
}

impl From<Style> for Errors {
    fn from(style: Style) -> Self {
        match style {
            Style::Ietf => Self::Ietf,
            Style::Stripe => Self::Stripe,
        }
    }
}

#[derive(Serialize)]
struct IetfBody<'b> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'b str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'b str>,
}

#[derive(Serialize)]
struct StripeBody<'b> {
    error: StripeError<'b>,
}

#[derive(Serialize)]
struct StripeError<'b> {
    r#type: &'static str,
    code: &'static str,
    message: &'b str,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'b str>,
}

/// The service's own no, with the parameter that is wrong.
fn own(style: Style, status: StatusCode, code: &'static str, message: &str, param: Option<&str>) -> Response {
    match style {
        Style::Ietf => {
            let kind = format!("urn:payments:problem:{}", code.replace('_', "-"));
            let title = status.canonical_reason().unwrap_or("Error");
            let body = IetfBody { r#type: kind, title, status: status.as_u16(), detail: message, param };
            (status, [(CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
        }
        Style::Stripe => {
            let kind = match status {
                StatusCode::PAYMENT_REQUIRED => "card_error",
                status if status.is_server_error() => "api_error",
                _ => "invalid_request_error",
            };
            // Stripe has no 422: its clients know an unfit request by 400.
            let is_unfit = status == StatusCode::UNPROCESSABLE_ENTITY;
            let status = if is_unfit { StatusCode::BAD_REQUEST } else { status };
            let body = StripeBody { error: StripeError { r#type: kind, code, message, param } };
            (status, Json(body)).into_response()
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware: answers that say no are put into the service's style.
pub async fn styled(State(style): State<Style>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error.render(style),
        None => response,
    }
}

impl From<ChargeRejection> for ApiError {
    fn from(rejection: ChargeRejection) -> Self {
        let message = rejection.to_string();
        match rejection {
            ChargeRejection::CardDeclined => Self::new(StatusCode::PAYMENT_REQUIRED, "card_declined", message),
            ChargeRejection::AlreadyCreated => Self::new(StatusCode::CONFLICT, "charge_exists", message),
            ChargeRejection::NoSuchCharge => Self::not_found(Some("charge"), "charge"),
            ChargeRejection::NothingLeft => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "charge_already_refunded", message).at(Some("charge"))
            }
            ChargeRejection::MoreThanIsLeft { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "amount_too_large", message).at(Some("amount"))
            }
        }
    }
}

impl From<PaymentIntentRejection> for ApiError {
    fn from(rejection: PaymentIntentRejection) -> Self {
        let PaymentIntentRejection::AlreadyCreated = rejection;
        Self::new(StatusCode::CONFLICT, "payment_intent_exists", rejection.to_string())
    }
}

impl From<Problem> for ApiError {
    /// A precondition that fails uses no key up: the client reads, and asks again.
    fn from(problem: Problem) -> Self {
        let verdict = (problem.status == StatusCode::PRECONDITION_FAILED).then_some(Verdict::Retryable);
        Self { no: No::Problem(problem), verdict }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            // The stored answer is gone, the receipt is not: it remembers what was asked for. This no is not stored, or it
            // would stand in the way of whoever sends the first request again.
            Error::KeyReused { .. } => Self { no: No::Refusal(Refusal::KeyReused), verdict: Some(Verdict::Retryable) },
            error if error.is_retryable() => {
                Self { no: No::Problem(Problem::from(&error)), verdict: Some(Verdict::Retryable) }
            }
            error if error.is_outcome_unknown() => {
                Self { no: No::Problem(Problem::from(&error)), verdict: Some(Verdict::Unknown) }
            }
            // A version is expected only where the client has said so.
            error => {
                let problem = Problem::from(&error).when_conditional();
                if problem.status.is_server_error() {
                    // What exactly is for the operator to know.
                    eprintln!("error: {error}");
                }
                problem.into()
            }
        }
    }
}

impl<R: Into<Self> + std::error::Error> From<ExecuteError<R>> for ApiError {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Rejected { rejection, .. } => rejection.into(),
            ExecuteError::Store(error) => error.into(),
            // Whatever else there may be one day is no answer for a client.
            error => {
                eprintln!("error: {error}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "something went wrong here")
            }
        }
    }
}
