//! Label selectors: `a=b,c!=d,e in (f,g),!h`.
//!
//! Promises: takes, refuses and prints what upstream does, in its words.

use std::fmt;

use super::label_words::{key_problems, value_problems};
use crate::field::{self, Path};
use crate::object::Value;
use crate::text::quote;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
    /// `=`.
    Equals,
    /// `==`, which is printed as it was given.
    DoubleEquals,
    /// `!=`: it is another, or not there.
    NotEquals,
    /// It is one of these.
    In,
    /// It is none of these, or not there.
    NotIn,
    /// It is a greater integer.
    GreaterThan,
    /// It is a smaller integer.
    LessThan,
}

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what; sorted, none twice.
    pub values: Vec<String>,
}

/// All of several conditions; the default one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Sorted by key.
    requirements: Vec<Requirement>,
    /// A `LabelSelector` that is not there selects nothing.
    nothing: bool,
}

fn complain(path: &Path, value: &str, problems: &[String]) -> Option<field::Error> {
    (!problems.is_empty()).then(|| field::Error::invalid(path, value, problems.join("; ")))
}

impl Requirement {
    /// A checked condition.
    ///
    /// # Errors
    /// When the key is no label, a value none of a label, or their number does not fit the operator; in upstream's words.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Requirement, String> {
        let path = Path::new("values");
        let mut errors: Vec<field::Error> = complain(&Path::new("key"), key, &key_problems(key)).into_iter().collect();
        let listed = || Value::List(values.iter().map(|value| Value::from(value.as_str())).collect());
        let said = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                Some("exact-match compatibility requires one single value")
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        errors.extend(said.map(|said| field::Error::invalid(&path, listed(), said)));
        for (at, value) in values.iter().enumerate() {
            if matches!(operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
                let said = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(field::Error::invalid(&path.index(at), value.as_str(), said));
            }
        }
        for (at, value) in values.iter().enumerate() {
            errors.extend(complain(&path.index(at).key(key), value, &value_problems(value)));
        }
        if !errors.is_empty() {
            return Err(field::join(errors.iter().map(ToString::to_string)));
        }
        values.sort();
        values.dedup();
        Ok(Requirement { key: key.to_owned(), operator, values })
    }

    fn matches(&self, label: Option<&str>) -> bool {
        let among = |label: &str| self.values.binary_search_by(|value| value.as_str().cmp(label)).is_ok();
        let bound = || self.values.first().and_then(|value| value.parse::<i64>().ok());
        let number = || label.and_then(|label| label.parse::<i64>().ok());
        match self.operator {
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::Equals | Operator::DoubleEquals | Operator::In => label.is_some_and(among),
            Operator::NotEquals | Operator::NotIn => !label.is_some_and(among),
            Operator::GreaterThan => number().zip(bound()).is_some_and(|(number, bound)| number > bound),
            Operator::LessThan => number().zip(bound()).is_some_and(|(number, bound)| number < bound),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::Exists => to.write_str(key),
            Operator::DoesNotExist => write!(to, "!{key}"),
            Operator::Equals => write!(to, "{key}={values}"),
            Operator::DoubleEquals => write!(to, "{key}=={values}"),
            Operator::NotEquals => write!(to, "{key}!={values}"),
            Operator::In => write!(to, "{key} in ({values})"),
            Operator::NotIn => write!(to, "{key} notin ({values})"),
            Operator::GreaterThan => write!(to, "{key}>{values}"),
            Operator::LessThan => write!(to, "{key}<{values}"),
        }
    }
}

impl Labels {
    /// Of the query parameter's syntax.
    ///
    /// # Errors
    /// In upstream's words, without the prefix that the server puts before them.
    pub fn parse(text: &str) -> Result<Labels, String> {
        let mut parser = Parser { text, at: 0 };
        let mut requirements = Vec::new();
        loop {
            match parser.peek(Context::Values) {
                (Kind::Word | Kind::Not, _) => {
                    let requirement = parser.requirement();
                    requirements.push(requirement.map_err(|why| format!("unable to parse requirement: {why}"))?);
                    match parser.next(Context::Values) {
                        (Kind::End, _) => break,
                        (Kind::Comma, _) => match parser.peek(Context::Values) {
                            (Kind::Word | Kind::Not, _) => {}
                            (_, found) => return Err(format!("found '{found}', expected: identifier after ','")),
                        },
                        (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
                    }
                }
                (Kind::End, _) => break,
                (_, found) => return Err(format!("found '{found}', expected: !, identifier, or 'end of string'")),
            }
        }
        Ok(Labels::of(requirements))
    }

    fn of(mut requirements: Vec<Requirement>) -> Labels {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Labels { requirements, nothing: false }
    }

    /// Of a `LabelSelector` object; none at all selects nothing, an empty one everything.
    ///
    /// # Errors
    /// In upstream's words.
    pub fn from_object(selector: Option<&Value>) -> Result<Labels, String> {
        let Some(selector) = selector else { return Ok(Labels { nothing: true, ..Labels::default() }) };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut requirements = Vec::new();
        if let Some(labels) = selector.at(&["matchLabels"]).and_then(Value::as_map) {
            for (key, value) in labels.iter() {
                requirements.push(Requirement::new(key, Operator::Equals, vec![text(Some(value))])?);
            }
        }
        let expressions = selector.at(&["matchExpressions"]).and_then(Value::as_list);
        for expression in expressions.unwrap_or_default() {
            let word = text(expression.at(&["operator"]));
            let operator = match word.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                word => return Err(format!("{} is not a valid label selector operator", quote(word))),
            };
            let values = expression.at(&["values"]).and_then(Value::as_list).unwrap_or_default();
            let values = values.iter().map(|value| text(Some(value))).collect();
            requirements.push(Requirement::new(&text(expression.at(&["key"])), operator, values)?);
        }
        Ok(Labels::of(requirements))
    }

    /// Whether labels, looked up by key, are selected.
    pub fn matches<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        !self.nothing && self.requirements.iter().all(|each| each.matches(label(&each.key)))
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// The conditions, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, each) in self.requirements.iter().enumerate() {
            if at > 0 {
                to.write_str(",")?;
            }
            each.fmt(to)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    End,
    Word,
    Comma,
    Open,
    Close,
    Not,
    In,
    NotIn,
    Operator(Operator),
}

/// Where a token stands: `in` is an operator behind a key and a word elsewhere.
#[derive(Clone, Copy, PartialEq)]
enum Context {
    Values,
    KeyAndOperator,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&mut self, context: Context) -> (Kind, &'a str) {
        let at = self.at;
        let token = self.next(context);
        self.at = at;
        token
    }

    fn next(&mut self, context: Context) -> (Kind, &'a str) {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let is_special = |byte: &u8| b"=!(),><".contains(byte);
        let bytes = self.text.as_bytes();
        self.at += bytes[self.at..].iter().take_while(|byte| is_space(byte)).count();
        let rest = &self.text[self.at..];
        let (kind, length) = match (rest.as_bytes(), context) {
            ([] | [0, ..], _) => (Kind::End, 0),
            ([b'=', b'=', ..], _) => (Kind::Operator(Operator::DoubleEquals), 2),
            ([b'=', ..], _) => (Kind::Operator(Operator::Equals), 1),
            ([b'!', b'=', ..], _) => (Kind::Operator(Operator::NotEquals), 2),
            ([b'!', ..], _) => (Kind::Not, 1),
            ([b'(', ..], _) => (Kind::Open, 1),
            ([b')', ..], _) => (Kind::Close, 1),
            ([b',', ..], _) => (Kind::Comma, 1),
            ([b'>', ..], _) => (Kind::Operator(Operator::GreaterThan), 1),
            ([b'<', ..], _) => (Kind::Operator(Operator::LessThan), 1),
            (bytes, context) => {
                let word = |byte: &u8| *byte != 0 && !is_space(byte) && !is_special(byte);
                let length = bytes.iter().take_while(|byte| word(byte)).count();
                match (&rest[..length], context) {
                    ("in", Context::KeyAndOperator) => (Kind::In, length),
                    ("notin", Context::KeyAndOperator) => (Kind::NotIn, length),
                    _ => (Kind::Word, length),
                }
            }
        };
        self.at += length;
        (kind, &rest[..length])
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut negated = false;
        let mut token = self.next(Context::Values);
        if token.0 == Kind::Not {
            negated = true;
            token = self.next(Context::Values);
        }
        let (Kind::Word, key) = token else { return Err(format!("found '{}', expected: identifier", token.1)) };
        // Upstream checks the key twice and knows no path the first time.
        if let Some(error) = complain(&Path::default(), key, &key_problems(key)) {
            return Err(error.to_string());
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(Context::Values).0, Kind::End | Kind::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        match self.next(Context::KeyAndOperator) {
            (Kind::In, _) => Requirement::new(key, Operator::In, self.values()?),
            (Kind::NotIn, _) => Requirement::new(key, Operator::NotIn, self.values()?),
            (Kind::Operator(operator), _) => Requirement::new(key, operator, vec![self.exact_value()?]),
            (_, found) => Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.peek(Context::Values).0, Kind::End | Kind::Comma) {
            return Ok(String::new());
        }
        match self.next(Context::Values) {
            (Kind::Word, value) => Ok(value.to_owned()),
            (_, found) => Err(format!("found '{found}', expected: identifier")),
        }
    }

    /// `(a,b)`; an empty place is the empty value.
    fn values(&mut self) -> Result<Vec<String>, String> {
        let (Kind::Open, _) = self.peek(Context::Values) else {
            return Err(format!("found '{}' expected: '('", self.next(Context::Values).1));
        };
        self.next(Context::Values);
        match self.peek(Context::Values) {
            (Kind::Close, _) => {
                self.next(Context::Values);
                return Ok(vec![String::new()]);
            }
            (Kind::Word | Kind::Comma, _) => {}
            (_, found) => return Err(format!("found '{found}', expected: ',', ')' or identifier")),
        }
        let mut values: Vec<String> = Vec::new();
        loop {
            match self.next(Context::Values) {
                (Kind::Word, value) => {
                    values.push(value.to_owned());
                    match self.peek(Context::Values) {
                        (Kind::Comma, _) => {}
                        (Kind::Close, _) => break,
                        (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (Kind::Comma, _) => {
                    let next = self.peek(Context::Values).0;
                    if values.is_empty() || matches!(next, Kind::Close | Kind::Comma) {
                        values.push(String::new());
                    }
                    if next == Kind::Close {
                        break;
                    }
                }
                (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
            }
        }
        self.next(Context::Values);
        values.sort();
        values.dedup();
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `table/generate/golden.go` prints the rows: what upstream says.
    #[test]
    fn text_is_taken_and_refused_as_upstream_does() {
        for line in include_str!("../../tests/fixtures/selectors.txt").lines() {
            let (text, expected) = line.split_once(" => ").unwrap();
            let Some(text) = text.strip_prefix("label ") else { continue };
            let ours = Labels::parse(text).map_or_else(|error| format!("error: {error}"), |found| found.to_string());
            assert_eq!(ours, expected, "{text:?}");
        }
    }

    #[test]
    fn labels_match_as_upstream_matches_them() {
        let labels = [("a", "1"), ("b", "x")];
        let lookup = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        for (text, matches) in [
            ("", true),
            ("a=1", true),
            ("a=2", false),
            ("a!=2,b", true),
            ("c!=2", true),
            ("c notin (x)", true),
            ("b in (x,y)", true),
            ("!c", true),
            ("!a", false),
            ("a>0", true),
            ("a>1", false),
            ("b<5", false),
            ("c", false),
        ] {
            assert_eq!(Labels::parse(text).unwrap().matches(lookup), matches, "{text}");
        }
    }

    #[test]
    fn selectors_that_are_not_there_select_nothing_and_empty_ones_everything() {
        let none = |_: &str| None;
        assert!(!Labels::from_object(None).unwrap().matches(none));
        let empty = Value::Map(crate::object::Map::new());
        assert!(Labels::from_object(Some(&empty)).unwrap().matches(none));
        let selector = crate::json::decode_value(
            br#"{"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"NotIn","values":["y","x"]}]}"#,
        )
        .unwrap();
        assert_eq!(Labels::from_object(Some(&selector)).unwrap().to_string(), "a=1,b notin (x,y)");
        let bad = crate::json::decode_value(br#"{"matchExpressions":[{"key":"b","operator":"Near"}]}"#).unwrap();
        assert_eq!(Labels::from_object(Some(&bad)).unwrap_err(), "\"Near\" is not a valid label selector operator");
    }
}
