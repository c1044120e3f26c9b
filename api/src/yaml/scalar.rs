//! How text may be written in YAML: plain, quoted once or twice, or line by line.
//!
//! Source: `go.yaml.in/yaml/v2` `emitterc.go`, `yaml_emitter_analyze_scalar` and `yaml_emitter_select_scalar_style`, in block
//! context only: ours writes no flow collections but empty ones.

use super::emit::{is_break, is_printable};

/// A way to write text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

/// What text allows.
pub(super) struct Scalar {
    /// It has line breaks.
    pub(super) multiline: bool,
    plain: bool,
    single_quoted: bool,
    literal: bool,
}

impl Scalar {
    pub(super) fn of(text: &str) -> Scalar {
        if text.is_empty() {
            return Scalar { multiline: false, plain: true, single_quoted: true, literal: false };
        }
        let is_blank = |letter: char| matches!(letter, ' ' | '\t');
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut multiline) = (false, false);
        let (mut break_then_space, mut space_then_break) = (false, false);
        let mut previous = None;
        for (at, letter) in text.char_indices() {
            let next = text[at + letter.len_utf8()..].chars().next();
            // As upstream's: the end counts, a line break does not.
            let blank_follows = next.is_none_or(is_blank);
            indicators |= match (at, letter) {
                (0, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => {
                    true
                }
                (0, '?' | '-') | (_, ':') => blank_follows,
                (_, '#') => previous.is_some_and(|letter| is_blank(letter) || is_break(letter)),
                _ => false,
            };
            special |= !is_printable(letter);
            if letter == ' ' {
                break_then_space |= previous.is_some_and(is_break);
            } else if is_break(letter) {
                multiline = true;
                space_then_break |= previous == Some(' ');
            }
            previous = Some(letter);
        }
        let edge = |letter: char| letter == ' ' || is_break(letter);
        let edges = text.starts_with(edge) || text.ends_with(edge);
        Scalar {
            multiline,
            plain: !(edges || break_then_space || space_then_break || special || multiline || indicators),
            single_quoted: !(break_then_space || space_then_break || special),
            literal: !(text.ends_with(' ') || space_then_break || special),
        }
    }

    /// Which way it is written; `means_text`: plain, it would be taken for text.
    pub(super) fn style(&self, text: &str, means_text: bool, simple_key: bool) -> Style {
        let wanted = match (text.contains('\n'), means_text) {
            (true, _) => Style::Literal,
            (false, true) => Style::Plain,
            (false, false) => Style::DoubleQuoted,
        };
        match wanted {
            _ if simple_key && self.multiline => Style::DoubleQuoted,
            Style::Plain if self.plain && !(text.is_empty() && simple_key) => Style::Plain,
            Style::Plain if self.single_quoted => Style::SingleQuoted,
            Style::Literal if self.literal && !simple_key => Style::Literal,
            _ => Style::DoubleQuoted,
        }
    }
}
