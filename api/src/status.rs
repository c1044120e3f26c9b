//! The errors that clients see: `Status` with its reason, code, details and causes.
//!
//! Promises: texts, codes and details are upstream's; the only place of the house that makes them. [`Status::to_object`]
//! gives the object to encode in whatever form the client asked for.
//! Source: apimachinery `pkg/api/errors/errors.go`, `pkg/apis/meta/v1/types.go`, apiserver
//! `pkg/endpoints/handlers/{negotiation,rest}.go`.

use std::fmt;

use crate::field;
use crate::gvk::{GroupResource, GroupVersionKind};
use crate::object::{Map, Object, Value};
use crate::text::quote;

/// Why, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words are upstream's and stand for themselves")]
pub enum Reason {
    Unknown,
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    AlreadyExists,
    Conflict,
    Gone,
    Expired,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    Invalid,
    TooManyRequests,
    InternalError,
    ServerTimeout,
    StorageReadError,
    ServiceUnavailable,
    Timeout,
}

impl Reason {
    /// The word; empty for none.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Unknown => "",
            Reason::BadRequest => "BadRequest",
            Reason::Unauthorized => "Unauthorized",
            Reason::Forbidden => "Forbidden",
            Reason::NotFound => "NotFound",
            Reason::MethodNotAllowed => "MethodNotAllowed",
            Reason::NotAcceptable => "NotAcceptable",
            Reason::AlreadyExists => "AlreadyExists",
            Reason::Conflict => "Conflict",
            Reason::Gone => "Gone",
            Reason::Expired => "Expired",
            Reason::RequestEntityTooLarge => "RequestEntityTooLarge",
            Reason::UnsupportedMediaType => "UnsupportedMediaType",
            Reason::Invalid => "Invalid",
            Reason::TooManyRequests => "TooManyRequests",
            Reason::InternalError => "InternalError",
            Reason::ServerTimeout => "ServerTimeout",
            Reason::StorageReadError => "StorageReadError",
            Reason::ServiceUnavailable => "ServiceUnavailable",
            Reason::Timeout => "Timeout",
        }
    }

    /// The HTTP status that goes with it.
    pub fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Gone | Reason::Expired => 410,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::Unknown | Reason::InternalError | Reason::ServerTimeout | Reason::StorageReadError => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }
}

/// One of several causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Why, in one word; may be empty.
    pub reason: String,
    /// What is wrong; may be empty.
    pub message: String,
    /// Where; may be empty.
    pub field: String,
}

/// What it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// The group.
    pub group: String,
    /// The resource, or the kind where the object was invalid.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
    /// Each thing that is wrong.
    pub causes: Vec<Cause>,
    /// When to try again; 0 says nothing.
    pub retry_after_seconds: u32,
}

/// What a request came to, when no object is the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// `None` for success.
    pub reason: Option<Reason>,
    /// The HTTP status.
    pub code: u16,
    /// In words; empty for success.
    pub message: String,
    /// What it is about.
    pub details: Option<Details>,
}

fn about(resource: &GroupResource, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: resource.group.to_string(),
        kind: resource.resource.to_string(),
        ..Details::default()
    }
}

impl Status {
    fn failure(reason: Reason, message: impl Into<String>, details: Option<Details>) -> Status {
        Status { reason: Some(reason), code: reason.code(), message: message.into(), details }
    }

    /// The answer to a deletion that is done.
    pub fn success(details: Option<Details>) -> Status {
        Status { reason: None, code: 0, message: String::new(), details }
    }

    /// There is no object of that name.
    pub fn not_found(resource: &GroupResource, name: &str) -> Status {
        let message = format!("{resource} {} not found", quote(name));
        Status::failure(Reason::NotFound, message, Some(about(resource, name)))
    }

    /// There is no such path.
    pub fn no_such_resource() -> Status {
        const MESSAGE: &str = "the server could not find the requested resource";
        Status::failure(Reason::NotFound, MESSAGE, Some(Details::default()))
    }

    /// There is one of that name.
    pub fn already_exists(resource: &GroupResource, name: &str) -> Status {
        let message = format!("{resource} {} already exists", quote(name));
        Status::failure(Reason::AlreadyExists, message, Some(about(resource, name)))
    }

    /// No generated name was free.
    pub fn generate_name_conflict(resource: &GroupResource, name: &str, retry_after_seconds: u32) -> Status {
        let message = format!(
            "{resource} {} already exists, the server was not able to generate a unique name for the object",
            quote(name)
        );
        let details = Details { retry_after_seconds, ..about(resource, name) };
        Status::failure(Reason::AlreadyExists, message, Some(details))
    }

    /// Who asks is not known.
    pub fn unauthorized() -> Status {
        Status::failure(Reason::Unauthorized, "Unauthorized", None)
    }

    /// It is not allowed; the words say to whom and why.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Status {
        let message = match (resource.resource.is_empty() && resource.group.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{resource} is forbidden: {why}"),
            (false, false) => format!("{resource} {} is forbidden: {why}", quote(name)),
        };
        Status::failure(Reason::Forbidden, message, Some(about(resource, name)))
    }

    /// The object has changed, or a precondition does not hold.
    pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Status {
        let message = format!("Operation cannot be fulfilled on {resource} {}: {why}", quote(name));
        Status::failure(Reason::Conflict, message, Some(about(resource, name)))
    }

    /// The resource version of an update is not the object's.
    pub fn stale(resource: &GroupResource, name: &str) -> Status {
        const WHY: &str = "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(resource, name, WHY)
    }

    /// Fields that others own; each cause is one.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Status {
        Status::failure(Reason::Conflict, message, Some(Details { causes, ..Details::default() }))
    }

    /// It was there once.
    pub fn gone(message: impl Into<String>) -> Status {
        Status::failure(Reason::Gone, message, None)
    }

    /// The revision is no longer kept.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::failure(Reason::Expired, message, None)
    }

    /// Fields of an object are wrong; kind and group are the object's.
    pub fn invalid(kind: &GroupVersionKind, name: &str, errors: &[field::Error]) -> Status {
        let causes = errors.iter().map(|error| Cause {
            reason: error.kind.reason().to_owned(),
            message: error.body(),
            field: error.field.clone(),
        });
        let details = Details {
            name: name.to_owned(),
            group: kind.group.to_string(),
            kind: kind.kind.to_string(),
            causes: causes.collect(),
            ..Details::default()
        };
        let qualified = GroupResource { group: kind.group.clone(), resource: kind.kind.clone() };
        let mut message = format!("{qualified} {} is invalid", quote(name));
        if !errors.is_empty() {
            let said = field::join(errors.iter().map(ToString::to_string));
            message = format!("{message}: {said}");
        }
        Status::failure(Reason::Invalid, message, Some(details))
    }

    /// The request makes no sense.
    pub fn bad_request(why: impl Into<String>) -> Status {
        Status::failure(Reason::BadRequest, why, None)
    }

    /// The body is not an object of that kind.
    pub fn undecodable(kind: &GroupVersionKind, why: &str) -> Status {
        let GroupVersionKind { version, kind, .. } = kind;
        Status::bad_request(format!("{kind} in version {} cannot be handled as a {kind}: {why}", quote(version)))
    }

    /// The body has fields that the kind does not have, or has some twice; strictly that is an error.
    pub fn strict(kind: &GroupVersionKind, problems: &[String]) -> Status {
        Status::undecodable(kind, &format!("strict decoding error: {}", problems.join(", ")))
    }

    /// Later, please.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Status {
        let details = Details { retry_after_seconds, ..Details::default() };
        Status::failure(Reason::TooManyRequests, message, Some(details))
    }

    /// Not now.
    pub fn service_unavailable(why: impl Into<String>) -> Status {
        Status::failure(Reason::ServiceUnavailable, why, None)
    }

    /// The resource does not do that.
    pub fn method_not_allowed(resource: &GroupResource, verb: &str) -> Status {
        let message = format!("{verb} is not supported on resources of kind {}", quote(&resource.to_string()));
        Status::failure(Reason::MethodNotAllowed, message, Some(about(resource, "")))
    }

    /// The client takes none of these.
    pub fn not_acceptable(accepted: &[&str]) -> Status {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Status::failure(Reason::NotAcceptable, message, None)
    }

    /// The body is none of these.
    pub fn unsupported_media_type(accepted: &[&str]) -> Status {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Status::failure(Reason::UnsupportedMediaType, message, None)
    }

    /// The store did not answer in time; it is worth another try.
    pub fn server_timeout(resource: &GroupResource, operation: &str, retry_after_seconds: u32) -> Status {
        let message = format!(
            "The {operation} operation against {resource} could not be completed at this time, please try again."
        );
        let details = Details { retry_after_seconds, ..about(resource, operation) };
        Status::failure(Reason::ServerTimeout, message, Some(details))
    }

    /// Our fault.
    pub fn internal(why: &str) -> Status {
        let causes = vec![Cause { message: why.to_owned(), ..Cause::default() }];
        let message = format!("Internal error occurred: {why}");
        Status::failure(Reason::InternalError, message, Some(Details { causes, ..Details::default() }))
    }

    /// It took too long.
    pub fn timeout(message: &str, retry_after_seconds: u32) -> Status {
        let details = Details { retry_after_seconds, ..Details::default() };
        Status::failure(Reason::Timeout, format!("Timeout: {message}"), Some(details))
    }

    /// A resource version that is not reached yet, and by now had its time.
    pub fn too_large_resource_version(wanted: u64, current: u64, retry_after_seconds: u32) -> Status {
        const MESSAGE: &str = "Too large resource version";
        let mut status = Status::timeout(&format!("{MESSAGE}: {wanted}, current: {current}"), retry_after_seconds);
        if let Some(details) = &mut status.details {
            details.causes = vec![Cause {
                reason: "ResourceVersionTooLarge".to_owned(),
                message: MESSAGE.to_owned(),
                field: String::new(),
            }];
        }
        status
    }

    /// The body is larger than what is taken.
    pub fn request_entity_too_large(message: &str) -> Status {
        let message = format!("Request entity too large: {message}");
        Status::failure(Reason::RequestEntityTooLarge, message, None)
    }

    /// With another cause.
    #[must_use]
    pub fn with_cause(mut self, reason: &str, message: &str, field: &str) -> Status {
        let cause = Cause { reason: reason.to_owned(), message: message.to_owned(), field: field.to_owned() };
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// As an object of kind Status.
    pub fn to_object(&self) -> Object {
        let mut fields = Map::new();
        let mut set = |name: &'static str, text: &str| {
            if !text.is_empty() {
                fields.insert(name, text);
            }
        };
        set("status", if self.reason.is_some() { "Failure" } else { "Success" });
        set("message", &self.message);
        set("reason", self.reason.map_or("", Reason::word));
        if let Some(details) = &self.details {
            fields.insert("details", details.to_map());
        }
        if self.code != 0 {
            fields.insert("code", i64::from(self.code));
        }
        Object { kind: GroupVersionKind::of("", "v1", "Status"), fields }
    }
}

impl Details {
    fn to_map(&self) -> Map {
        let texts = [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)];
        let mut map: Map =
            texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.clone())).collect();
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(|cause| {
                let texts = [("reason", &cause.reason), ("message", &cause.message), ("field", &cause.field)];
                let said = texts.into_iter().filter(|(_, text)| !text.is_empty());
                Value::Map(said.map(|(name, text)| (name, text.clone())).collect())
            });
            map.insert("causes", causes.collect::<Vec<_>>());
        }
        if self.retry_after_seconds > 0 {
            map.insert("retryAfterSeconds", i64::from(self.retry_after_seconds));
        }
        map
    }
}

impl fmt::Display for Status {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::schema::Schema;

    fn printed(status: &Status) -> String {
        let object = status.to_object();
        String::from_utf8(json::encode(&object, Schema::builtin().kind(&object.kind))).unwrap()
    }

    #[test]
    fn answers_are_those_of_a_real_server() {
        let foos = GroupResource::of("example.com", "foos");
        assert_eq!(
            printed(&Status::not_found(&foos, "zz")),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"foos.example.com \"zz\" not found","reason":"NotFound","details":{"name":"zz","group":"example.com","kind":"foos"},"code":404}"#
        );
        assert_eq!(
            printed(&Status::unsupported_media_type(&["application/json", "application/yaml"])),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the body of the request was in an unknown format - accepted media types include: application/json, application/yaml","reason":"UnsupportedMediaType","code":415}"#
        );
        let kind = GroupVersionKind::of("example.com", "v1", "Foo");
        let error = field::Error::invalid(&field::Path::new("spec"), "x", "too many");
        assert_eq!(
            printed(&Status::invalid(&kind, "a", &[error])),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Foo.example.com \"a\" is invalid: spec: Invalid value: \"x\": too many","reason":"Invalid","details":{"name":"a","group":"example.com","kind":"Foo","causes":[{"reason":"FieldValueInvalid","message":"Invalid value: \"x\": too many","field":"spec"}]},"code":422}"#
        );
    }

    #[test]
    fn a_strict_error_lists_the_problems() {
        let kind = GroupVersionKind::of("example.com", "v1", "Foo");
        let problems = [r#"duplicate field "spec.color""#.to_owned(), r#"unknown field "spec.x""#.to_owned()];
        assert_eq!(
            Status::strict(&kind, &problems).message,
            r#"Foo in version "v1" cannot be handled as a Foo: strict decoding error: duplicate field "spec.color", unknown field "spec.x""#
        );
    }

    #[test]
    fn a_revision_from_the_future_says_which_and_when_to_try_again() {
        let status = Status::too_large_resource_version(9, 5, 1);
        assert_eq!((status.code, status.message.as_str()), (504, "Timeout: Too large resource version: 9, current: 5"));
        assert_eq!(status.details.unwrap().causes[0].reason, "ResourceVersionTooLarge");
    }
}
