//! `Address`: a web address that secrets may be sent to: HTTPS anywhere, plain HTTP on loopback alone.
//!
//! Loopback is let through so that a developer and a test need no certificates; nothing on the way can
//! listen there. An address with a user, a query or a fragment is none.

use std::{fmt, net::IpAddr};

use http::Uri;

/// Bytes of an address.
const BYTES: usize = 2_048;

/// An address that secrets may be sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    origin: String,
}

/// Why a text is no address that secrets may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// No address at all.
    #[error("write an address such as \"https://id.example\", without user, query or fragment")]
    NotOne,
    /// Anybody on the way could listen.
    #[error("plain http is for loopback alone; write https://")]
    Plain,
}

impl Address {
    /// Reads an address; it stays as it is written.
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        let uri = Some(text).filter(|text| text.len() <= BYTES && !text.contains('#'));
        let uri: Uri = uri
            .and_then(|text| text.parse().ok())
            .ok_or(AddressFault::NotOne)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(AddressFault::NotOne);
        };
        if authority.as_str().contains('@') || uri.query().is_some() || authority.host().is_empty()
        {
            return Err(AddressFault::NotOne);
        }
        let host = authority.host().to_ascii_lowercase();
        let usual = match scheme {
            "https" => 443,
            "http" if is_loopback(&host) => 80,
            "http" => return Err(AddressFault::Plain),
            _ => return Err(AddressFault::NotOne),
        };
        // Browsers leave the usual port out.
        let port = authority.port_u16().filter(|port| *port != usual);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self {
            text: text.to_owned(),
            origin: format!("{scheme}://{host}{port}"),
        })
    }

    /// Reads an address that a provider names; a query may stand behind it.
    pub fn parse_endpoint(text: &str) -> Result<Self, AddressFault> {
        let bare = text.split('?').next().unwrap_or(text);
        let fits = text.len() <= BYTES && text.parse::<Uri>().is_ok();
        if !fits || text.contains('#') {
            return Err(AddressFault::NotOne);
        }
        Ok(Self {
            text: text.to_owned(),
            ..Self::parse(bare)?
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port, as browsers write them in `Origin`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// True for plain HTTP, which stays on this machine.
    pub fn is_plain(&self) -> bool {
        self.origin.starts_with("http:")
    }

    /// True when nothing stands behind the host and port.
    pub fn has_no_path(&self) -> bool {
        let behind = self.text.splitn(4, '/').nth(3);
        behind.is_none_or(str::is_empty)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_tls_or_stay_on_this_machine() {
        for (text, origin) in [
            ("https://id.bank", Ok("https://id.bank")),
            ("https://ID.bank:443/realms/a", Ok("https://id.bank")),
            ("https://id.bank:8443/", Ok("https://id.bank:8443")),
            ("http://127.0.0.1:80", Ok("http://127.0.0.1")),
            ("http://localhost:4000", Ok("http://localhost:4000")),
            ("http://[::1]:4000/x", Ok("http://[::1]:4000")),
            ("http://id.bank", Err(AddressFault::Plain)),
            ("http://localhost.evil.example", Err(AddressFault::Plain)),
            ("http://10.0.0.1", Err(AddressFault::Plain)),
            ("https://id.bank@evil.example", Err(AddressFault::NotOne)),
            ("https://id.bank/?a=b", Err(AddressFault::NotOne)),
            ("https://id.bank/#x", Err(AddressFault::NotOne)),
            ("ftp://id.bank", Err(AddressFault::NotOne)),
            ("file:///etc/passwd", Err(AddressFault::NotOne)),
            ("id.bank", Err(AddressFault::NotOne)),
            ("/api", Err(AddressFault::NotOne)),
            ("", Err(AddressFault::NotOne)),
        ] {
            let read = Address::parse(text);
            assert_eq!(
                read.as_ref().map(Address::origin),
                origin.as_ref().copied(),
                "{text}"
            );
        }
        for (text, bare) in [
            ("https://a", true),
            ("https://a/", true),
            ("https://a/b", false),
        ] {
            assert_eq!(Address::parse(text).unwrap().has_no_path(), bare, "{text}");
        }
    }
}
