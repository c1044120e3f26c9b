//! Field selectors: `metadata.name=a,status.phase!=Running`.

use std::fmt;

/// One condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The field's label.
    pub field: String,
    /// Whether the value must be this one, or must not.
    pub equal: bool,
    /// The value.
    pub value: String,
}

/// All of several conditions; the default one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<Term>);

impl Fields {
    /// Of the query parameter's syntax; labels are not looked at.
    ///
    /// # Errors
    /// In upstream's words, without the prefix that the server puts before them.
    pub fn parse(text: &str) -> Result<Fields, String> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let terms = parts.into_iter().filter(|part| !part.is_empty()).map(|part| {
            let operators = [("!=", false), ("==", true), ("=", true)];
            let found = part.char_indices().find_map(|(at, _)| {
                let (operator, equal) = operators.iter().find(|(operator, _)| part[at..].starts_with(operator))?;
                Some((at, at + operator.len(), *equal))
            });
            let Some((end, start, equal)) = found else {
                return Err(format!("invalid selector: '{text}'; can't understand '{part}'"));
            };
            Ok(Term { field: part[..end].to_owned(), equal, value: unescape(&part[start..])? })
        });
        terms.collect::<Result<_, _>>().map(Fields)
    }

    /// With each label as a function wants it.
    ///
    /// # Errors
    /// What the function says of a label that it does not know.
    pub fn renamed(self, mut rename: impl FnMut(&str) -> Result<String, String>) -> Result<Fields, String> {
        let renamed = self.0.into_iter().map(|term| Ok(Term { field: rename(&term.field)?, ..term }));
        renamed.collect::<Result<_, _>>().map(Fields)
    }

    /// Whether fields, looked up by label, are selected; an absent field is an empty one.
    pub fn matches<'f>(&self, field: impl Fn(&str) -> &'f str) -> bool {
        self.0.iter().all(|term| (field(&term.field) == term.value) == term.equal)
    }

    /// The only value that a field may have, if the selector says so.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// The conditions.
    pub fn terms(&self) -> &[Term] {
        &self.0
    }
}

/// At commas that no backslash stands before.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(letter @ ('\\' | ',' | '=')) => out.push(letter),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(format!("invalid field selector: invalid escape sequence: \\{other}"));
                }
            },
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    Ok(out)
}

impl fmt::Display for Fields {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Term { field, equal, value }) in self.0.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(to, "{}{field}{}{value}", if at > 0 { "," } else { "" }, if *equal { "=" } else { "!=" })?;
        }
        Ok(())
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
            let Some(text) = text.strip_prefix("field ") else { continue };
            let ours = Fields::parse(text).map_or_else(|error| format!("error: {error}"), |found| found.to_string());
            assert_eq!(ours, expected, "{text:?}");
        }
    }

    #[test]
    fn absent_fields_are_empty_ones() {
        let lookup = |field: &str| if field == "a" { "1" } else { "" };
        for (text, matches) in [("a=1", true), ("a!=1", false), ("b=", true), ("b!=", false), ("a=1,b!=x", true)] {
            assert_eq!(Fields::parse(text).unwrap().matches(lookup), matches, "{text}");
        }
        assert_eq!(Fields::parse("a!=2,a=1").unwrap().exact("a"), Some("1"));
    }
}
