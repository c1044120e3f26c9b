//! Tables, as kubectl asks for them: each kind's columns, and what goes into their cells.
//!
//! Promises: columns, their order, priority and description are those of upstream's server (`table/columns.txt`, read out of
//! its printers); kinds that it has none for get a name and a time. [`age`] prints spans as upstream does.
//! Does not: print the rows of each kind; that is the server's, kind by kind.
//! Source: k8s.io/kubernetes `pkg/printers/internalversion/printers.go`, apiserver `pkg/registry/rest/table.go`,
//! kube-aggregator `pkg/registry/apiservice/etcd/etcd.go`, apimachinery `pkg/util/duration/duration.go`.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::json::{Reader, Token};
use crate::object::{Map, Value};
use crate::time::Instant;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The head, as in `Nominated Node`.
    pub name: String,
    /// OpenAPI's type of the cells.
    pub kind: &'static str,
    /// OpenAPI's format; `name` for the column that names the object.
    pub format: &'static str,
    /// 0 is shown, more only in wide output.
    pub priority: i64,
    /// What the cells tell.
    pub description: String,
}

/// All tables, and which one is a group's and kind's.
#[derive(Default)]
struct Tables {
    tables: Vec<Vec<Column>>,
    by_kind: HashMap<(&'static str, &'static str), usize>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| parse(include_str!("../table/columns.txt")));

/// The columns of a kind, whatever the version.
pub fn columns(group: &str, kind: &str) -> &'static [Column] {
    let by_kind: &HashMap<(&str, &str), usize> = &TABLES.by_kind;
    let found = by_kind.get(&(group, kind)).or_else(|| by_kind.get(&("*", kind)));
    &TABLES.tables[found.copied().unwrap_or(by_kind[&("*", "*")])]
}

/// Go's quoted text; what is escaped in it is escaped as in JSON.
fn quoted(rest: &'static str) -> (String, &'static str) {
    let mut reader = Reader::new(rest);
    assert_eq!(reader.peek(), Token::String, "no line of the column table: {rest:?}");
    let text = reader.string().into_owned();
    (text, &rest[reader.offset()..])
}

fn parse(text: &'static str) -> Tables {
    let (mut said, mut all) = (HashMap::new(), Tables::default());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(rest) = line.strip_prefix("say ") {
            let (name, rest) = rest.split_once(' ').expect("a name and a text");
            said.insert(name, quoted(rest).0);
        } else if let Some(rest) = line.strip_prefix("table ") {
            let (group, kind) = rest.split_once(' ').expect("a group and a kind");
            let group = if group == "core" { "" } else { group };
            all.by_kind.insert((group, kind), all.tables.len());
            all.tables.push(Vec::new());
        } else {
            let mut words = line.trim_start().splitn(4, ' ');
            let mut word = || words.next().expect("a column has a type, a format, a priority and texts");
            let (kind, format, priority) = (word(), word(), word());
            let (name, rest) = quoted(word());
            let description = match rest.trim_start().strip_prefix('@') {
                Some(known) => said[known].clone(),
                None => quoted(rest.trim_start()).0,
            };
            let format = if format == "-" { "" } else { format };
            let priority = priority.parse().expect("a priority is a number");
            let table = all.tables.last_mut().expect("columns follow their table's head");
            table.push(Column { name, kind, format, priority, description });
        }
    }
    all
}

impl Column {
    /// As `columnDefinitions` has it.
    pub fn to_value(&self) -> Value {
        let fields: [(&'static str, Value); 5] = [
            ("name", self.name.as_str().into()),
            ("type", self.kind.into()),
            ("format", self.format.into()),
            ("description", self.description.as_str().into()),
            ("priority", self.priority.into()),
        ];
        Value::Map(fields.into_iter().collect::<Map>())
    }
}

/// How long ago, in the two units that say most: `5d`, `3h12m`, `47s`.
pub fn age(then: Option<Instant>, now: Instant) -> String {
    match then {
        None => "<unknown>".to_owned(),
        Some(then) => span(now.seconds - then.seconds),
    }
}

/// A span of seconds in the two units that say most; clocks may differ by a second.
pub fn span(seconds: i64) -> String {
    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let pair = |unit: i64, letter: char, next: i64, next_letter: char| match seconds % unit / next {
        0 => format!("{}{letter}", seconds / unit),
        rest => format!("{}{letter}{rest}{next_letter}", seconds / unit),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(60, 'm', 1, 's'),
        600..10_800 => format!("{}m", seconds / 60),
        _ if seconds < 8 * HOUR => pair(HOUR, 'h', 60, 'm'),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => pair(DAY, 'd', HOUR, 'h'),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => pair(YEAR, 'y', DAY, 'd'),
        _ => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(group: &str, kind: &str) -> Vec<String> {
        columns(group, kind).iter().map(|column| column.name.clone()).collect()
    }

    #[test]
    fn columns_are_those_of_upstreams_server() {
        assert_eq!(
            names("", "Pod"),
            ["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates"]
        );
        let pod = columns("", "Pod");
        assert_eq!((pod[0].format, pod[4].priority, pod[5].priority), ("name", 0, 1));
        assert!(pod[1].description.starts_with("The aggregate readiness state"));
        assert_eq!(names("apps", "Deployment")[..5], ["Name", "Ready", "Up-to-date", "Available", "Age"]);
        assert_eq!(names("", "Event").len(), 10);
        assert_eq!(names("apiregistration.k8s.io", "APIService"), ["Name", "Service", "Available", "Age"]);
        assert_eq!(names("example.com", "Foo"), ["Name", "Created At"]);
    }

    #[test]
    fn every_column_has_a_name_and_a_type() {
        for column in TABLES.tables.iter().flatten() {
            assert!(["string", "integer", "boolean", "date"].contains(&column.kind), "{column:?}");
            assert!(!column.name.is_empty(), "{column:?}");
        }
        assert!(TABLES.tables.len() > 60);
    }

    #[test]
    fn spans_are_printed_in_the_units_that_say_most() {
        for (seconds, printed) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(span(seconds), printed, "{seconds}");
        }
        let now = Instant { seconds: 1_000, nanos: 0 };
        assert_eq!((age(None, now), age(Some(now), now)), ("<unknown>".to_owned(), "0s".to_owned()));
    }
}
