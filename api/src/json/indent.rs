//! JSON for people: two blanks a level, as upstream prints for `curl` and `?pretty=true`.
//!
//! Source: Go `encoding/json/indent.go`.

use super::scan::is_space;

/// Valid JSON over several lines; no line end behind it.
pub fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut within, mut escaped, mut just_opened) = (0usize, false, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for byte in json {
        if within {
            out.push(*byte);
            within = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        if is_space(*byte) {
            continue;
        }
        let closes = matches!(byte, b'}' | b']');
        if just_opened && !closes {
            line(&mut out, depth);
        }
        if closes {
            depth = depth.saturating_sub(1);
            if !just_opened {
                line(&mut out, depth);
            }
        }
        out.push(*byte);
        just_opened = matches!(byte, b'{' | b'[');
        match byte {
            b'"' => within = true,
            b'{' | b'[' => depth += 1,
            b',' => line(&mut out, depth),
            b':' => out.push(b' '),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_on_lines_of_their_own_and_empty_collections_do_not() {
        let printed = indent(br#"{"a":{},"b":[],"c":[1,{"d":"x: \", {y}"}]}"#);
        assert_eq!(
            String::from_utf8(printed).unwrap(),
            "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": \"x: \\\", {y}\"\n    }\n  ]\n}"
        );
        assert_eq!(indent(b"null"), b"null");
    }
}
