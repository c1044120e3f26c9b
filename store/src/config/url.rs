//! Addresses of members, by etcd's rules: a scheme, then `host:port` or a socket path, and nothing else.
//!
//! Promises: displays as it was written (scheme in lower case), because member ids are hashes of these texts.
//! Does not: resolve names; that is done when binding or dialling.
//! Source: etcd `client/pkg/types/urls.go` (form), `server/embed/config.go` `checkBindURLs`, `checkHostURLs`.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// The four schemes etcd knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// TCP.
    Http,
    /// TCP with TLS.
    Https,
    /// A unix socket.
    Unix,
    /// A unix socket with TLS.
    Unixs,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Unix => "unix",
            Scheme::Unixs => "unixs",
        }
    }
}

/// One address of a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Url {
    scheme: Scheme,
    /// `host:port`, or the path of the socket.
    address: String,
    /// Where the port begins in `address`, after its colon; of no meaning for sockets.
    port_at: usize,
    port: u16,
}

impl Url {
    /// `http://localhost:<port>`, the form of etcd's defaults.
    #[must_use]
    pub fn localhost(port: u16) -> Url {
        Url { scheme: Scheme::Http, address: format!("localhost:{port}"), port_at: "localhost:".len(), port }
    }

    /// Reads one URL.
    ///
    /// # Errors
    /// When the scheme is none of the four, the port is missing, or a path, query or user is there.
    pub fn parse(text: &str) -> Result<Url, Invalid> {
        let text = text.trim();
        let refuse = |why: &str| {
            Err(Invalid::new(
                format!("malformed URL {text:?}"),
                why,
                "the form http://HOST:PORT, https://HOST:PORT, unix://PATH or unixs://PATH",
            ))
        };
        let Some((scheme, address)) = text.split_once("://") else {
            return refuse("it has no scheme (URL scheme must be http, https, unix, or unixs)");
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "unix" => Scheme::Unix,
            "unixs" => Scheme::Unixs,
            _ => return refuse("URL scheme must be http, https, unix, or unixs"),
        };
        if address.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return refuse("it has a blank or a control character inside");
        }
        if matches!(scheme, Scheme::Unix | Scheme::Unixs) {
            if address.is_empty() {
                return refuse("the path of the socket is missing");
            }
            return Ok(Url { scheme, address: address.into(), port_at: 0, port: 0 });
        }
        if address.contains(['/', '?', '#']) {
            return refuse("URL must not contain a path, a query or a fragment, not even a slash at its end");
        }
        if address.contains('@') {
            return refuse("it names a user");
        }
        let Some((host, port)) = address.rsplit_once(':') else {
            return refuse("URL address does not have the form \"host:port\"");
        };
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return refuse("too many colons; an IPv6 address stands in brackets, as in http://[::1]:2379");
        }
        let Some(port_number) = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok()).flatten() else {
            return refuse("the port is not a number from 0 to 65535");
        };
        Ok(Url { scheme, address: address.into(), port_at: host.len() + 1, port: port_number })
    }

    /// Reads a list with commas between; sorted, as etcd keeps it.
    ///
    /// # Errors
    /// The first URL that is refused, or an empty list.
    pub fn parse_list(text: &str) -> Result<Vec<Url>, Invalid> {
        let mut urls = text.split(',').map(Url::parse).collect::<Result<Vec<_>, _>>()?;
        // etcd sorts by the whole text.
        urls.sort_by_key(ToString::to_string);
        Ok(urls)
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether the connection is wrapped in TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::Unixs)
    }

    /// Whether it is a unix socket; then [`Url::address`] is its path.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self.scheme, Scheme::Unix | Scheme::Unixs)
    }

    /// `host:port` as written, or the path of the socket.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The host without brackets; `localhost` for a socket.
    #[must_use]
    pub fn host(&self) -> &str {
        if self.is_unix() {
            return "localhost";
        }
        let host = &self.address[..self.port_at - 1];
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    /// The port; 0 for a socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A copy with another host, for addresses derived from `0.0.0.0`.
    #[must_use]
    pub fn with_host(&self, host: &str) -> Url {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Url { address: format!("{host}:{}", self.port), port_at: host.len() + 1, ..self.clone() }
    }

    /// Whether it can be bound: an IP or `localhost` (etcd binds no names, because a name may lead elsewhere).
    ///
    /// # Errors
    /// When the host is some other name.
    pub fn check_bind(&self) -> Result<(), Invalid> {
        if self.is_unix() || self.host() == "localhost" || self.host().parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        Err(Invalid::new(
            format!("expected IP in URL for binding ({self})"),
            "an address to listen on is an IP of this machine or localhost; a name could resolve to somebody else",
            "0.0.0.0 for every address of this machine, or one of its IPs",
        ))
    }

    /// Whether it can be told to others: the host is not empty.
    ///
    /// # Errors
    /// When it is.
    pub fn check_advertise(&self) -> Result<(), Invalid> {
        if self.host().is_empty() {
            return Err(Invalid::new(
                format!("unexpected empty host ({self})"),
                "others are told this address and could not dial it",
                "a name or an IP under which the others reach this member",
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.address)
    }
}

impl std::str::FromStr for Url {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Url, Invalid> {
        Url::parse(text)
    }
}

impl TryFrom<String> for Url {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Url, Invalid> {
        Url::parse(&text)
    }
}

impl From<Url> for String {
    fn from(url: Url) -> String {
        url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_urls_display_as_written() {
        for (text, host, port) in [
            ("http://localhost:2379", "localhost", 2379),
            ("https://10.0.0.1:0", "10.0.0.1", 0),
            ("http://[::1]:2380", "::1", 2380),
            ("http://:2380", "", 2380),
            ("unix:///run/etcd.sock", "localhost", 0),
            ("unixs://m1:1", "localhost", 0),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.host(), url.port()), (text, host, port));
        }
        assert_eq!(Url::parse(" HTTP://Host:1 ").unwrap().to_string(), "http://Host:1");
        assert_eq!(Url::parse("unix:///run/a").unwrap().address(), "/run/a");
    }

    #[test]
    fn bad_urls_say_what_why_and_what_to_try() {
        for (text, why) in [
            ("", "no scheme"),
            ("localhost:2379", "no scheme"),
            ("ftp://a:1", "scheme must be"),
            ("http://a", "host:port"),
            ("http://a:1/", "must not contain a path"),
            ("http://a:1/x", "must not contain a path"),
            ("http://a:b", "not a number"),
            ("http://a:", "not a number"),
            ("http://a:65536", "not a number"),
            ("http://a:+1", "not a number"),
            ("http://::1:2379", "brackets"),
            ("http://u@a:1", "user"),
            ("unix://", "missing"),
            ("http://a b:1", "blank"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.why.contains(why), "{text:?}: {error}");
            assert!(error.to_string().contains("try: "), "{error}");
        }
    }

    #[test]
    fn only_an_ip_or_localhost_can_be_bound() {
        for (text, ok) in [
            ("http://localhost:1", true),
            ("http://0.0.0.0:1", true),
            ("http://[::]:1", true),
            ("unix://a", true),
            ("http://example.com:1", false),
            ("http://:1", false),
        ] {
            assert_eq!(Url::parse(text).unwrap().check_bind().is_ok(), ok, "{text}");
        }
        assert!(Url::parse("http://:1").unwrap().check_advertise().is_err());
    }

    #[test]
    fn a_list_is_sorted_and_refused_whole() {
        let list = Url::parse_list("http://b:1,http://a:1").unwrap();
        assert_eq!(list[0].host(), "a");
        assert!(Url::parse_list("http://a:1,").is_err());
    }

    proptest! {
        #[test]
        fn what_parses_reads_back_equal(text in "(http|https|unix)://[a-z0-9.:\\[\\]/@]{0,20}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert_eq!(Url::parse(&url.to_string()).unwrap(), url.clone());
                let _ = (url.host(), url.port());
            }
        }
    }
}
