//! A client's deadline (`grpc-timeout`): nothing is waited for behind it, and a stream ends at it.
//!
//! Promises: the handler is dropped at the deadline, so that what it waited for is given up; what it has proposed may still
//! be applied. A call without a deadline costs nothing, one that is answered at once no timer.
//! Source: gRPC over HTTP/2 (PROTOCOL-HTTP2.md, `Timeout`); etcd passes gRPC's own text on.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, Sleep, sleep_until};

/// Digits of the header's number, by the protocol.
const DIGITS_MAX: usize = 8;

/// The time that a client gives to a call, where it says so in the protocol's form.
pub(super) fn given(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.len() > DIGITS_MAX || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A moment that can be waited for; the timer is made when somebody first waits.
pub(super) struct Deadline {
    at: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) fn new(at: Instant) -> Deadline {
        Deadline { at, timer: None }
    }

    /// Whether it has passed.
    pub(super) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Ready once it has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(self.at)));
        timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_number_of_at_most_eight_digits_and_a_unit() {
        let rows = [
            ("2H", Some(7_200_000_000_000)),
            ("3M", Some(180_000_000_000)),
            ("1S", Some(1_000_000_000)),
            ("250m", Some(250_000_000)),
            ("99999999u", Some(99_999_999_000)),
            ("7n", Some(7)),
            ("0m", Some(0)),
            ("123456789m", None),
            ("-1S", None),
            ("1s", None),
            ("S", None),
            ("", None),
            ("1", None),
        ];
        for (text, nanos) in rows {
            let headers =
                HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), text.parse().unwrap())]);
            assert_eq!(given(&headers), nanos.map(Duration::from_nanos), "{text}");
        }
        assert_eq!(given(&HeaderMap::new()), None);
    }
}
