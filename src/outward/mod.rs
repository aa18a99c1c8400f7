//! How a server asks others by HTTP: its identity provider, the other nodes, receivers of webhooks. One set of manners for all of it.
//!
//! Redirects are answers like any other and are never followed, no proxy of the environment is asked, and
//! certificates are always checked. Blocking: whoever must not wait asks on a thread of its own. Whoever asks sets
//! how long and how much; nothing here knows whom it asks, and no request may name where to.

pub mod hook;
pub mod peer;
pub mod reach;

use ureq::{
    Agent,
    config::ConfigBuilder,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
    typestate::AgentScope,
};

/// What was given as authorities holds no certificate, or is no PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no certificates in PEM")]
pub struct NoCertificates;

/// An agent of these manners, to be bounded by whoever asks. It trusts `authorities` (PEM), or those that browsers
/// trust.
pub(crate) fn agent(
    authorities: Option<&[u8]>,
) -> Result<ConfigBuilder<AgentScope>, NoCertificates> {
    let roots = match authorities {
        Some(pem) => RootCerts::from(certificates(pem)?),
        None => RootCerts::WebPki,
    };
    Ok(Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("huidu/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots).build()))
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, NoCertificates> {
    let mut read = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| NoCertificates)? {
            read.push(certificate);
        }
    }
    if read.is_empty() {
        return Err(NoCertificates);
    }
    Ok(read)
}
