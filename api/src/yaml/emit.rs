//! JSON to YAML, byte for byte as upstream's `JSONToYAML` writes it.
//!
//! Keys are sorted as Go's library sorts them (numbers in names by value), lists in maps are not indented, text is plain
//! where that is not taken for something else, quoted or literal where it must be, and folded behind column 80.
//! Does not: undo what upstream does to U+0085 in text, which its YAML reader takes for a line break in the JSON.
//! Source: `go.yaml.in/yaml/v2` `encode.go`, `sorter.go`, `emitterc.go`.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::resolve::{Resolved, is_base_60, resolve};
use super::scalar::{Scalar, Style};
use crate::json::{Reader, Token};

/// A column behind which text is folded at its blanks.
const WIDTH: usize = 80;
/// A key that is longer stands behind a question mark.
const SIMPLE_KEY_BYTES_MAX: usize = 128;

/// Valid JSON as YAML.
pub fn from_json(json: &str) -> Vec<u8> {
    let root = Node::read(&mut Reader::new(json));
    let mut emitter = Emitter::default();
    emitter.node(&root, 0, Place::Root);
    emitter.line(0);
    emitter.out
}

/// A JSON value whose numbers are still as they were written, and whose maps are sorted.
enum Node<'a> {
    Text(Cow<'a, str>),
    Number(&'a str),
    /// `true`, `false` or `null`.
    Word(&'a str),
    List(Vec<Node<'a>>),
    Map(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    fn read(reader: &mut Reader<'a>) -> Node<'a> {
        match reader.peek() {
            Token::String => Node::Text(reader.string()),
            Token::Number => Node::Number(reader.raw()),
            Token::Null | Token::Bool => Node::Word(reader.raw()),
            Token::Array => {
                let mut elements = Vec::new();
                reader.enter();
                while reader.more(elements.is_empty()) {
                    elements.push(Node::read(reader));
                }
                Node::List(elements)
            }
            Token::Object => {
                let mut entries = Vec::new();
                reader.enter();
                while reader.more(entries.is_empty()) {
                    let key = reader.key();
                    entries.push((key, Node::read(reader)));
                }
                // The last of a name counts.
                entries.reverse();
                entries.sort_by(|(a, _), (b, _)| key_order(a, b));
                entries.dedup_by(|(next, _), (kept, _)| next == kept);
                Node::Map(entries)
            }
        }
    }
}

/// Where a node stands: what is in front of it on its line.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    /// Behind `key:`.
    Value,
    /// Behind `- `, `? ` or `: ` that open a line.
    Item,
}

#[derive(Default)]
struct Emitter {
    out: Vec<u8>,
    column: usize,
}

impl Emitter {
    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.column += text.chars().count();
    }

    /// Begins a line, if none has just begun: literal text may have ended with its own break.
    fn line(&mut self, indent: usize) {
        if self.column > 0 {
            self.out.push(b'\n');
            self.column = 0;
        }
        self.spaces(indent);
    }

    fn spaces(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, b' ');
        self.column += count;
    }

    /// A value; `indent` is that of the collection around it.
    fn node(&mut self, node: &Node<'_>, indent: usize, place: Place) {
        let empty = matches!(node, Node::List(elements) if elements.is_empty())
            || matches!(node, Node::Map(entries) if entries.is_empty());
        let inline = empty || !matches!(node, Node::List(_) | Node::Map(_));
        if inline && place == Place::Value {
            self.put(" ");
        }
        match node {
            Node::Text(text) => self.text(text, indent, false),
            Node::Number(literal) => self.put(&number(literal)),
            Node::Word(word) => self.put(word),
            Node::List(_) if empty => self.put("[]"),
            Node::Map(_) if empty => self.put("{}"),
            Node::List(elements) => self.list(elements, indent, place),
            Node::Map(entries) => self.map(entries, indent, place),
        }
    }

    fn map(&mut self, entries: &[(Cow<'_, str>, Node<'_>)], indent: usize, place: Place) {
        let indent = if place == Place::Root { indent } else { indent + 2 };
        for (at, (key, value)) in entries.iter().enumerate() {
            if at > 0 || place == Place::Value {
                self.line(indent);
            }
            if key.len() <= SIMPLE_KEY_BYTES_MAX && !Scalar::of(key).multiline {
                self.text(key, indent, true);
                self.put(":");
                self.node(value, indent, Place::Value);
            } else {
                self.put("? ");
                self.text(key, indent, false);
                self.line(indent);
                self.put(": ");
                self.node(value, indent, Place::Item);
            }
        }
    }

    fn list(&mut self, elements: &[Node<'_>], indent: usize, place: Place) {
        // In a map a list stands where the key stands.
        let indent = if place == Place::Item { indent + 2 } else { indent };
        for (at, element) in elements.iter().enumerate() {
            if at > 0 || place == Place::Value {
                self.line(indent);
            }
            self.put("- ");
            self.node(element, indent, Place::Item);
        }
    }

    fn text(&mut self, text: &str, indent: usize, simple_key: bool) {
        let scalar = Scalar::of(text);
        let plain = matches!(resolve(text), Resolved::Text) && !is_base_60(text);
        let indent = indent + 2;
        match scalar.style(text, plain, simple_key) {
            Style::Plain => self.folded(text, indent, !simple_key, false),
            Style::SingleQuoted => {
                self.put("'");
                self.folded(text, indent, !simple_key, true);
                self.put("'");
            }
            Style::DoubleQuoted => self.double_quoted(text, indent, !simple_key),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Plain text, or what stands in single quotes.
    fn folded(&mut self, text: &str, indent: usize, may_fold: bool, quoted: bool) {
        let (mut spaces, mut breaks) = (false, false);
        for (at, letter) in text.char_indices() {
            let next_is_space = text[at + letter.len_utf8()..].starts_with(' ');
            if letter == ' ' {
                let inside = !quoted || at > 0 && at < text.len() - 1;
                if may_fold && !spaces && self.column > WIDTH && inside && !next_is_space {
                    self.line(indent);
                } else {
                    self.put(" ");
                }
                spaces = true;
            } else if is_break(letter) {
                self.put(letter.encode_utf8(&mut [0; 4]));
                self.column = 0;
                breaks = true;
            } else {
                if breaks {
                    self.spaces(indent);
                }
                if quoted && letter == '\'' {
                    self.put("'");
                }
                self.put(letter.encode_utf8(&mut [0; 4]));
                (spaces, breaks) = (false, false);
            }
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, may_fold: bool) {
        let mut spaces = false;
        self.put("\"");
        for (at, letter) in text.char_indices() {
            if !is_printable(letter) || is_break(letter) || matches!(letter, '"' | '\\') {
                self.put(&escape(letter));
                spaces = false;
            } else if letter == ' ' {
                if may_fold && !spaces && self.column > WIDTH && at > 0 && at < text.len() - 1 {
                    self.line(indent);
                    if text[at + 1..].starts_with(' ') {
                        self.put("\\");
                    }
                } else {
                    self.put(" ");
                }
                spaces = true;
            } else {
                self.put(letter.encode_utf8(&mut [0; 4]));
                spaces = false;
            }
        }
        self.put("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with(|letter| letter == ' ' || is_break(letter)) {
            self.put("2");
        }
        let mut backwards = text.chars().rev();
        match (backwards.next().map(is_break), backwards.next().map(is_break)) {
            (Some(false) | None, _) => self.put("-"),
            (Some(true), Some(true) | None) => self.put("+"),
            _ => {}
        }
        self.out.push(b'\n');
        self.column = 0;
        let mut breaks = true;
        for letter in text.chars() {
            if !is_break(letter) && breaks {
                self.spaces(indent);
            }
            breaks = is_break(letter);
            self.put(letter.encode_utf8(&mut [0; 4]));
            if breaks {
                self.column = 0;
            }
        }
    }
}

pub(super) fn is_break(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(super) fn is_printable(letter: char) -> bool {
    matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && letter != '\u{feff}'
}

fn escape(letter: char) -> String {
    let short = match letter {
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{85}' => "\\N",
        '\u{a0}' => "\\_",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        letter => {
            let code = u32::from(letter);
            return match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
        }
    };
    short.to_owned()
}

/// A JSON number as YAML's writer has it after YAML's reader had it.
fn number(literal: &str) -> String {
    match resolve(literal) {
        Resolved::Int(number) => number.to_string(),
        Resolved::Uint(number) => number.to_string(),
        Resolved::Float(number) => go_float(number),
        _ => literal.to_owned(),
    }
}

/// Go's `FormatFloat(…, 'g', -1, 64)`.
pub(super) fn go_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let (digits, power) = scientific.split_once('e').expect("this format has an exponent");
    let power: i32 = power.parse().expect("an exponent is a number");
    match (-4..6).contains(&power) {
        true => format!("{number}"),
        false => format!("{digits}e{power:+03}"),
    }
}

/// Names in the order of Go's YAML library: digits by their value, letters behind the rest.
fn key_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else { return a.len().cmp(&b.len()) };
    match (a[at].is_alphabetic(), b[at].is_alphabetic()) {
        (true, true) => return a[at].cmp(&b[at]),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut a_number, mut b_number) = (0i64, 0i64);
    if a[at] == '0' || b[at] == '0' {
        let before = a[..at].iter().rev().take_while(|letter| letter.is_numeric());
        if before.clone().any(|letter| *letter != '0') {
            (a_number, b_number) = (1, 1);
        }
    }
    let run = |of: &[char], number: &mut i64| {
        let digits: Vec<_> = of[at..].iter().take_while(|letter| letter.is_numeric()).collect();
        for digit in &digits {
            *number = number.wrapping_mul(10).wrapping_add(i64::from(u32::from(**digit)) - i64::from(b'0'));
        }
        digits.len()
    };
    let (a_length, b_length) = (run(&a, &mut a_number), run(&b, &mut b_number));
    a_number.cmp(&b_number).then(a_length.cmp(&b_length)).then(a[at].cmp(&b[at]))
}
