//! gofail's terms in the `fail` crate's words.
//!
//! ```text
//! terms  = term { "->" term }
//! term   = [ percent "%" ] [ count "*" ] action
//! action = "off" | "panic" [ text ] | "sleep" ( milliseconds or a quoted duration ) | "return" [ anything ]
//! ```
//! `return` triggers nothing here, as in gofail where the point has no value. Refused: gofail's `break` and `print`, a count
//! before a percentage (it would count what the percentage lets pass), texts with quotes, parentheses or arrows in them.

use std::time::Duration;

use super::Error;
use crate::config::duration;

/// The actions of the `fail` crate that do what `terms` ask for.
pub(super) fn to_actions(terms: &str) -> Result<String, Error> {
    let actions = terms.split("->").map(|term| to_action(term.trim()));
    Ok(actions.collect::<Result<Vec<_>, _>>()?.join("->"))
}

fn to_action(term: &str) -> Result<String, Error> {
    let refused = |reason: &str| Error::Term { term: term.to_owned(), reason: reason.to_owned() };
    let (mut head, argument) = match term.split_once('(') {
        None => (term, None),
        Some((head, rest)) => (head, Some(rest.strip_suffix(')').ok_or_else(|| refused("parentheses do not match"))?)),
    };
    let mut modifiers = String::new();
    if let Some((percent, rest)) = head.split_once('%') {
        if percent.contains('*') {
            return Err(refused("the percentage must stand before the count"));
        }
        let within = |percent: &f32| (0.0..=100.0).contains(percent);
        let percent =
            percent.parse().ok().filter(within).ok_or_else(|| refused("a percentage is a number up to 100"))?;
        modifiers.push_str(&format!("{percent}%"));
        head = rest;
    }
    if let Some((count, rest)) = head.split_once('*') {
        let count: usize = count.parse().map_err(|_| refused("a count is a whole number"))?;
        modifiers.push_str(&format!("{count}*"));
        head = rest;
    }
    let action = match (head, argument) {
        ("off", None) | ("return", _) => "off".to_owned(),
        ("panic", None) => "panic".to_owned(),
        ("panic", Some(text)) => {
            let text = text.trim_matches('"');
            let is_plain = !text.contains(['"', '(', ')', '\\']);
            if is_plain {
                format!("panic({text})")
            } else {
                return Err(refused("the text may have no quotes or parentheses"));
            }
        }
        ("sleep", Some(time)) => {
            let time = sleep_time(time).ok_or_else(|| refused("sleep takes milliseconds or a quoted duration"))?;
            // The crate's unit; nothing sleeps for no time because it was asked for less.
            format!("sleep({})", time.as_nanos().div_ceil(1_000_000))
        }
        ("sleep", None) => return Err(refused("sleep takes milliseconds or a quoted duration")),
        ("off", Some(_)) => return Err(refused("off takes nothing")),
        ("print" | "break", _) => return Err(refused("gofail's print and break cannot be had here")),
        _ => return Err(refused("known are off, panic, sleep and return")),
    };
    Ok(modifiers + &action)
}

fn sleep_time(text: &str) -> Option<Duration> {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(quoted) => duration::parse(quoted),
        None => text.parse().ok().map(Duration::from_millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gofails_terms_become_actions() {
        for (terms, actions) in [
            ("off", "off"),
            ("panic", "panic"),
            ("panic(\"boom\")", "panic(boom)"),
            ("sleep(250)", "sleep(250)"),
            ("sleep(\"1.5s\")", "sleep(1500)"),
            ("sleep(\"10us\")", "sleep(1)"),
            ("return", "off"),
            ("return(\"x\")", "off"),
            ("2*sleep(5)->panic", "2*sleep(5)->panic"),
            ("50%sleep(\"20ms\")", "50%sleep(20)"),
            ("0.5%3*panic -> off", "0.5%3*panic->off"),
        ] {
            assert_eq!(to_actions(terms), Ok(actions.to_owned()), "{terms}");
            fail::cfg("gofails_terms_become_actions", actions).unwrap();
            fail::remove("gofails_terms_become_actions");
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_the_term_and_the_reason() {
        for (terms, term, reason) in [
            ("off->bang", "bang", "known are off, panic, sleep and return"),
            ("", "", "known are off, panic, sleep and return"),
            ("sleep", "sleep", "sleep takes milliseconds or a quoted duration"),
            ("sleep(1s)", "sleep(1s)", "sleep takes milliseconds or a quoted duration"),
            ("sleep(1", "sleep(1", "parentheses do not match"),
            ("print", "print", "gofail's print and break cannot be had here"),
            ("3*50%panic", "3*50%panic", "the percentage must stand before the count"),
            ("101%panic", "101%panic", "a percentage is a number up to 100"),
            ("x*panic", "x*panic", "a count is a whole number"),
            ("panic(\"a(b)\")", "panic(\"a(b)\")", "the text may have no quotes or parentheses"),
        ] {
            let refused = Error::Term { term: term.to_owned(), reason: reason.to_owned() };
            assert_eq!(to_actions(terms), Err(refused), "{terms}");
        }
    }
}
