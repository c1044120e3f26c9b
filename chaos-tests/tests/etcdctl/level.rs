//! Levels a transcript: what no two clusters share becomes a name.
//!
//! Ids become the member's name, URLs too; leases become the number in which they came; numbers that depend on time, disk
//! or log become their kind. Answers of all members, which come in any order, are sorted.

use std::collections::BTreeMap;

use serde_json::Value;

/// JSON fields, `-w fields` names and table columns whose numbers are a cluster's own.
const OWN_NUMBERS: [&str; 16] = [
    "raft_term",
    "raftTerm",
    "RaftTerm",
    "RAFT TERM",
    "raftIndex",
    "RaftIndex",
    "RAFT INDEX",
    "raftAppliedIndex",
    "RaftAppliedIndex",
    "RAFT APPLIED INDEX",
    "dbSize",
    "DBSize",
    "DB SIZE",
    "dbSizeInUse",
    "VERSION",
    "TOOK",
];
/// The server's version is text; a key's, which both must agree on, is a number.
const VERSIONS: [&str; 2] = ["version", "Version"];
/// Fields that hold one hash of equal data: shown by their order of appearance.
const HASHES: [&str; 3] = ["hash", "Hash", "HASH"];

/// What is known of a cluster, filled as its leases come.
#[derive(Default)]
pub(crate) struct Level {
    /// Text to replace by a name, longest first.
    names: BTreeMap<(std::cmp::Reverse<usize>, String), String>,
    hashes: Vec<String>,
    leases: Vec<String>,
}

impl Level {
    /// Replaces `text` wherever it stands.
    pub(crate) fn name(&mut self, text: impl Into<String>, name: impl Into<String>) {
        let text = text.into();
        self.names.insert((std::cmp::Reverse(text.len()), text), name.into());
    }

    /// The hexadecimal id of the `n`th lease, counted from 1.
    pub(crate) fn lease(&self, n: usize) -> Option<&str> {
        self.leases.get(n - 1).map(String::as_str)
    }

    /// Notes a lease if a `lease grant` has told of one in any format.
    pub(crate) fn note_lease(&mut self, said: &str) {
        let simple = said.strip_prefix("lease ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
        let fields = said.lines().find_map(|line| line.strip_prefix("\"ID\" : ")).map(str::to_owned);
        let json = serde_json::from_str::<Value>(said)
            .ok()
            .and_then(|value| Some(value.get("id").or(value.get("ID"))?.to_string()));
        let decimal = fields.or(json).and_then(|id| id.parse::<i64>().ok());
        let hexadecimal = simple.filter(|_| said.contains("granted")).and_then(|id| i64::from_str_radix(&id, 16).ok());
        let Some(id) = decimal.or(hexadecimal) else { return };
        self.leases.push(format!("{id:x}"));
        let name = format!("LEASE{}", self.leases.len());
        self.name(format!("{id:016x}"), name.clone());
        self.name(format!("{id:x}"), name.clone());
        self.name(id.to_string(), name);
    }

    /// The levelled form of what a command wrote.
    pub(crate) fn level(&mut self, said: &str) -> String {
        // The client's own warnings: when it tries again is its affair.
        let kept = said.lines().filter(|line| !line.starts_with("{\"level\""));
        let lines: Vec<String> = kept.map(|line| line.trim_end().to_owned()).collect();
        if let Ok(mut value) = serde_json::from_str::<Value>(&lines.join("\n")) {
            self.json(&mut value);
            return self.named(&value.to_string());
        }
        if lines.first().is_some_and(|line| line.starts_with("+-")) {
            return self.table(&lines);
        }
        // What is left of a lease is a matter of time.
        let of_a_lease = lines.iter().any(|line| line.starts_with("\"GrantedTTL\""));
        let levelled: Vec<String> = lines
            .iter()
            .map(|line| if of_a_lease && line.starts_with("\"TTL\"") { "TTL: …".to_owned() } else { self.line(line) })
            .collect();
        levelled.join("\n")
    }

    fn line(&mut self, line: &str) -> String {
        if line.starts_with('{') {
            // One of several JSON documents.
            if let Ok(mut value) = serde_json::from_str::<Value>(line) {
                self.json(&mut value);
                return self.named(&value.to_string());
            }
        }
        if let Some(listed) = self.listed(line) {
            return listed;
        }
        if let Some((name, value)) = line.split_once("\" : ") {
            let name = name.trim_start_matches('"');
            return format!("{name}: {}", self.field(name, value));
        }
        self.words(line)
    }

    /// One member's line of `endpoint status` or `endpoint hashkv` in the simple form.
    fn listed(&mut self, line: &str) -> Option<String> {
        let named = self.named(line);
        let columns: Vec<&str> = named.trim_end_matches(',').split(", ").collect();
        let names: &[&str] = match columns.len() {
            _ if !named.starts_with("URL-") => return None,
            2 => &["ENDPOINT", "HASH"],
            9 | 10 => &[
                "ENDPOINT",
                "ID",
                "VERSION",
                "DB SIZE",
                "IS LEADER",
                "IS LEARNER",
                "RAFT TERM",
                "RAFT INDEX",
                "RAFT APPLIED INDEX",
                "ERRORS",
            ],
            _ => return None,
        };
        let levelled: Vec<_> = names.iter().zip(columns).map(|(name, value)| self.field(name, value)).collect();
        Some(levelled.join(", ").trim_end().to_owned())
    }

    fn field(&mut self, name: &str, value: &str) -> String {
        if OWN_NUMBERS.contains(&name) || VERSIONS.contains(&name) && value.starts_with('"') {
            "…".to_owned()
        } else if HASHES.contains(&name) {
            self.hash(value)
        } else {
            self.named(value)
        }
    }

    fn json(&mut self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if fields.contains_key("granted-ttl") && fields["ttl"].as_i64() > Some(0) {
                    fields["ttl"] = Value::from("…");
                }
                if let Some(Value::Array(keys)) = fields.get_mut("keys") {
                    keys.sort_by_key(ToString::to_string);
                }
                for (name, value) in fields.iter_mut() {
                    if OWN_NUMBERS.contains(&name.as_str()) || VERSIONS.contains(&name.as_str()) && value.is_string() {
                        *value = Value::from("…");
                    } else if HASHES.contains(&name.as_str()) {
                        *value = Value::from(self.hash(&value.to_string()));
                    } else if name == "took" {
                        *value = Value::from("TIME");
                    } else {
                        self.json(value);
                    }
                }
            }
            Value::Array(items) => {
                items.iter_mut().for_each(|item| self.json(item));
                // Members answer in any order.
                if items.iter().any(|item| {
                    item.get("Endpoint").is_some() || item.get("peerURLs").is_some() || item.get("endpoint").is_some()
                }) {
                    items.sort_by_key(|item| self.named(&item.to_string()));
                }
            }
            _ => {}
        }
    }

    fn table(&mut self, lines: &[String]) -> String {
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let columns = lines.get(1).map(|line| cells(line)).unwrap_or_default();
        let mut rows: Vec<String> = Vec::new();
        for line in lines.iter().skip(2).filter(|line| line.starts_with('|')) {
            let row = cells(line);
            let levelled: Vec<_> = columns.iter().zip(&row).map(|(column, cell)| self.field(column, cell)).collect();
            rows.push(levelled.join(" | "));
        }
        rows.sort();
        let rest: Vec<_> =
            lines.iter().filter(|line| !line.starts_with(['|', '+'])).map(|line| self.words(line)).collect();
        format!("{}\n{}\n{}", columns.join(" | "), rows.join("\n"), rest.join("\n"))
    }

    fn words(&self, line: &str) -> String {
        let named = attached_sorted(&remaining_masked(&self.named(line)));
        let words: Vec<String> = named.split(' ').map(word).collect();
        words.join(" ")
    }

    fn hash(&mut self, hash: &str) -> String {
        let at = self.hashes.iter().position(|seen| seen == hash).unwrap_or_else(|| {
            self.hashes.push(hash.to_owned());
            self.hashes.len() - 1
        });
        format!("HASH{}", at + 1)
    }

    fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, ((_, from), to)| text.replace(from.as_str(), to))
    }
}

/// `remaining(299s)` without its number.
fn remaining_masked(line: &str) -> String {
    match line.split_once("remaining(").and_then(|(before, rest)| Some((before, rest.split_once("s)")?.1))) {
        Some((before, after)) => format!("{before}remaining(…){after}"),
        None => line.to_owned(),
    }
}

/// `attached keys([b a])` in order: etcd keeps them in a hash table.
fn attached_sorted(line: &str) -> String {
    let parts = line.split_once("attached keys([").and_then(|(before, rest)| Some((before, rest.split_once("])")?)));
    match parts {
        Some((before, (keys, after))) => {
            let mut keys: Vec<_> = keys.split(' ').collect();
            keys.sort_unstable();
            format!("{before}attached keys([{}]){after}", keys.join(" "))
        }
        None => line.to_owned(),
    }
}

/// A word with a time, a size or an id that nobody has named.
fn word(word: &str) -> String {
    let number = word.trim_end_matches(|c: char| c.is_alphabetic() || c == 'µ' || c == ',' || c == '.');
    let unit = &word[number.len()..];
    let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    match unit.trim_end_matches([',', '.']) {
        "ns" | "µs" | "ms" if is_number => return "TIME".to_owned(),
        "B" | "kB" | "MB" if is_number => return "SIZE".to_owned(),
        _ => {}
    }
    // A time over a minute or a second reads 1.5s.
    if is_number && number.contains('.') && unit == "s" {
        return "TIME".to_owned();
    }
    // A lock's or a candidate's key: its name and the lease of its session.
    if let Some((name, lease)) = word.rsplit_once('/')
        && lease.len() >= 12
        && lease.chars().all(|c| c.is_ascii_hexdigit())
    {
        return format!("{name}/SESSION");
    }
    word.to_owned()
}
