//! A metrics page, fetched and taken apart: types, labels, buckets and sums of its families.
//!
//! Source: Prometheus' text format 0.0.4.

use std::collections::{BTreeMap, BTreeSet};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The label of a histogram's buckets.
const BUCKET: &str = "le";

/// Asks `url` (`http://HOST:PORT`) for `method path` with a body, and gives the status and the body of the answer.
///
/// # Errors
/// When the connection fails, or what comes is no answer.
pub async fn ask(url: &str, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    // 1.0: no chunks, and the end of the body is the end of the connection.
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| anyhow::anyhow!("no answer: {answer}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| anyhow::anyhow!("no status: {head}"))?, body.to_owned()))
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// One member's metrics.
#[derive(Debug, Default)]
pub struct Page {
    kinds: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Page {
    /// The page of the member at `url`.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn of(url: &str) -> anyhow::Result<Page> {
        let (status, text) = ask(url, "GET", "/metrics", "").await?;
        anyhow::ensure!(status == 200, "{url}/metrics: {status} {text}");
        Ok(Page::parse(&text))
    }

    /// Takes a text apart.
    pub fn parse(text: &str) -> Page {
        let mut page = Page::default();
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                page.kinds.insert(name.to_owned(), kind.trim().to_owned());
            } else if !line.starts_with('#') {
                page.samples.extend(sample(line));
            }
        }
        page
    }

    /// The names of all families.
    pub fn families(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    /// A family's type.
    pub fn kind(&self, family: &str) -> Option<&str> {
        self.kinds.get(family).map(String::as_str)
    }

    /// The labels of a family's series, but for that of buckets; `None` where it has no series yet.
    pub fn labels(&self, family: &str) -> Option<BTreeSet<&str>> {
        let sample = self.samples_of(family).next()?;
        Some(sample.labels.keys().map(String::as_str).filter(|label| *label != BUCKET).collect())
    }

    /// The values that a family's label has.
    pub fn values(&self, family: &str, label: &str) -> BTreeSet<&str> {
        self.samples_of(family).filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect()
    }

    /// The upper bounds of a histogram's buckets; `None` where it has no series yet.
    pub fn buckets(&self, family: &str) -> Option<Vec<f64>> {
        let bounds = |sample: &Sample| sample.labels.get(BUCKET)?.parse::<f64>().ok();
        let mut bounds: Vec<f64> = self.samples_of(family).filter_map(bounds).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        (!bounds.is_empty()).then_some(bounds)
    }

    /// The sum over all series; of a histogram, how much it has observed. 0 where there is none.
    pub fn sum(&self, family: &str) -> f64 {
        self.sum_where(family, &[])
    }

    /// The sum over the series with these labels.
    pub fn sum_where(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let count = format!("{family}_count");
        let name = if self.kind(family) == Some("histogram") { &count } else { family };
        let has = |sample: &&Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
        };
        self.samples.iter().filter(|sample| sample.name == name).filter(has).map(|sample| sample.value).sum()
    }

    fn samples_of(&self, family: &str) -> impl Iterator<Item = &Sample> {
        let histogram = self.kind(family) == Some("histogram");
        self.samples.iter().filter(move |sample| {
            let rest = sample.name.strip_prefix(family);
            rest.is_some_and(|rest| rest.is_empty() || histogram && matches!(rest, "_bucket" | "_sum" | "_count"))
        })
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}')?.split("\",").filter(|label| !label.is_empty());
    let labels = labels.filter_map(|label| {
        let (name, value) = label.split_once("=\"")?;
        Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_apart() {
        let page = Page::parse(
            "# HELP a text\n# TYPE a counter\na{x=\"1\",y=\"two words\"} 2\na{x=\"2\",y=\"\"} 3\n# TYPE b gauge\nb 1.5e+06\n\
             # TYPE c histogram\nc_bucket{le=\"0.5\"} 1\nc_bucket{le=\"+Inf\"} 4\nc_sum 9\nc_count 4\n# TYPE d counter\n",
        );
        assert_eq!((page.kind("a"), page.sum("a"), page.sum_where("a", &[("x", "2")])), (Some("counter"), 5.0, 3.0));
        assert_eq!(page.labels("a"), Some(BTreeSet::from(["x", "y"])));
        assert_eq!(page.values("a", "y"), BTreeSet::from(["two words", ""]));
        assert_eq!((page.sum("b"), page.labels("b")), (1_500_000.0, Some(BTreeSet::new())));
        assert_eq!((page.sum("c"), page.buckets("c")), (4.0, Some(vec![0.5, f64::INFINITY])));
        assert_eq!((page.labels("c"), page.buckets("b")), (Some(BTreeSet::new()), None));
        assert_eq!((page.labels("d"), page.sum("d")), (None, 0.0));
        assert_eq!(page.families().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
