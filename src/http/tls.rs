//! `Tls`: the certificate that a plane shows, and how a connection agrees on encryption.
//!
//! rustls does the work, with ring as the only provider of cryptography. The files are read whole, checked
//! to belong together, and can be read again while the plane serves: connections that are open keep what
//! they agreed on, new ones see the new certificate. When the files are wrong then, the ones before stay in
//! force and the caller is told. Sessions are resumed by tickets; nothing is accepted before the handshake
//! has ended (no early data, which somebody could send twice). Nothing of a key is ever logged.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
        server::ProducesTickets,
        sign::CertifiedKey,
    },
    server::TlsStream,
};

/// What a connection may speak, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where the certificate lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate and those that lead from it to an authority, in this order.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// Why a plane cannot speak TLS with what it was given.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error(
        "`{}` holds no {what} that can be read; name a file in PEM that this user may read",
        path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// Key and certificate do not belong together, or are of a kind that is not spoken.
    #[error(
        "the key `{}` does not serve the certificate `{}`; name the key that the certificate was made for",
        key.display(), cert.display()
    )]
    Pair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// The library cannot be set up.
    #[error("TLS cannot be set up; this build cannot be trusted")]
    Library(#[source] rustls::Error),
}

/// The certificate a plane shows.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    tickets: Arc<dyn ProducesTickets>,
    now: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files. Blocks: call it at start.
    pub fn open(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let tickets = ring::Ticketer::new().map_err(TlsError::Library)?;
        let config = config(&files, &tickets)?;
        Ok(Arc::new(Self {
            files,
            tickets,
            now: RwLock::new(config),
        }))
    }

    /// Reads the files again: connections from now on see what they hold. When they are wrong nothing
    /// changes. Blocks.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = config(&self.files, &self.tickets)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// The handshake. The caller bounds how long it takes.
    pub(super) async fn agree<T>(&self, socket: T) -> io::Result<TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(socket).await
    }
}

fn config(
    files: &TlsFiles,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(|read| read.collect::<Result<Vec<_>, _>>())
        .and_then(|chain| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(unreadable(&files.cert, "certificate"))?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(unreadable(&files.key, "private key"))?;
    let provider = Arc::new(ring::default_provider());
    let pair = CertifiedKey::from_der(chain, key, &provider).map_err(|source| TlsError::Pair {
        cert: files.cert.clone(),
        key: files.key.clone(),
        source,
    })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(pair)));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.ticketer = Arc::clone(tickets);
    // A device keeps one connection; a second ticket in each handshake is a tenth of its time for nothing.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn unreadable(path: &Path, what: &'static str) -> impl FnOnce(pem::Error) -> TlsError {
    let path = path.to_owned();
    move |source| TlsError::File { path, what, source }
}

#[cfg(test)]
mod tests;
