//! The files of a port's certificate, as they are named. They are opened where they are used, never here.

use std::path::PathBuf;

use super::Reader;

/// Where a port's certificate lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate, and those that lead from it to an authority.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

impl Reader {
    /// The two files of a port's certificate: both or neither.
    pub(super) fn tls(&mut self, cert: &str, key: &str) -> Option<TlsFiles> {
        let (certificate, private) = (self.text(cert).0, self.text(key).0);
        match (certificate.is_empty(), private.is_empty()) {
            (true, true) => None,
            (false, false) => Some(TlsFiles {
                cert: certificate.into(),
                key: private.into(),
            }),
            (is_missing, _) => {
                let (missing, there) = if is_missing { (cert, key) } else { (key, cert) };
                let what = format!(
                    "`{there}` is set and this is not; TLS takes both, each the name of a file in PEM"
                );
                self.wrong(missing, &what);
                None
            }
        }
    }
}
