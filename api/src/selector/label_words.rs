//! What may be a label's key and its value; annotations, taints and selectors ask the same of theirs.
//!
//! Promises: takes and refuses what upstream does, in its words.
//! Source: apimachinery `pkg/api/validate/content/kube.go`, `pkg/util/validation/validation.go`.

const NAME_BYTES_MAX: usize = 63;
const PREFIX_BYTES_MAX: usize = 253;

const NAME_SAID: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_SAID: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const PREFIX_SAID: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_subdomain(text: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.split('.').all(|label| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(plain)
            && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
    })
}

/// What is wrong with a label's key; nothing if it is one.
pub fn key_problems(key: &str) -> Vec<String> {
    let parts: Vec<&str> = key.split('/').collect();
    let mut problems = Vec::new();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                if prefix.len() > PREFIX_BYTES_MAX {
                    problems.push(format!("prefix part must be no more than {PREFIX_BYTES_MAX} bytes"));
                }
                if !is_subdomain(prefix) {
                    problems.push(format!("prefix part {PREFIX_SAID}"));
                }
            }
            *name
        }
        _ => {
            let optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {NAME_SAID} {optional}")];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_BYTES_MAX {
        problems.push(format!("name part must be no more than {NAME_BYTES_MAX} bytes"));
    }
    if !is_word(name) {
        problems.push(format!("name part {NAME_SAID}"));
    }
    problems
}

/// What is wrong with a label's value; nothing if it is one.
pub fn value_problems(value: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if value.len() > NAME_BYTES_MAX {
        problems.push(format!("must be no more than {NAME_BYTES_MAX} bytes"));
    }
    if !value.is_empty() && !is_word(value) {
        problems.push(VALUE_SAID.to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_name_and_perhaps_a_domain() {
        for key in ["a", "A_b.c-1", "example.com/a", "k8s.io/x"] {
            assert!(key_problems(key).is_empty(), "{key}");
        }
        for (key, count) in [("", 2), ("-a", 1), ("/a", 1), ("a/", 2), ("A.b/c", 1), ("a/b/c", 1), ("é", 1)] {
            assert_eq!(key_problems(key).len(), count, "{key}");
        }
        assert_eq!(key_problems(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
    }

    #[test]
    fn values_may_be_empty() {
        assert!(value_problems("").is_empty() && value_problems("A.1").is_empty());
        assert_eq!((value_problems("a/b").len(), value_problems(&"-".repeat(64)).len()), (1, 2));
    }
}
