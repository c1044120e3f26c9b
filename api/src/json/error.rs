//! Why JSON is no object of its type, in Go's words.
//!
//! Source: Go `encoding/json/decode.go` (`UnmarshalTypeError`).

use thiserror::Error;

use super::scan::SyntaxError;

/// Why JSON is no object of its type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// It is no JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A value is of another type, or its text is not what its type takes.
    #[error("{0}")]
    Value(String),
}

/// Why a value is not what its type takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Said without a place.
    Text(String),
    /// A value of another type.
    Type {
        /// What was there, as in `number 1.5`.
        value: String,
        /// What should have been there, as Go prints the type.
        go_type: String,
        /// The struct it is in; `None` at the root.
        owner: Option<&'static str>,
        /// The fields that lead there, joined.
        field: String,
    },
}

impl Fault {
    pub(super) fn of_type(value: String, go_type: &str) -> Fault {
        Fault::Type { value, go_type: go_type.to_owned(), owner: None, field: String::new() }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::Value(match fault {
            Fault::Text(text) => text,
            Fault::Type { value, go_type, owner: None, .. } => {
                format!("json: cannot unmarshal {value} into Go value of type {go_type}")
            }
            Fault::Type { value, go_type, owner: Some(owner), field } => {
                format!("json: cannot unmarshal {value} into Go struct field {owner}.{field} of type {go_type}")
            }
        })
    }
}
