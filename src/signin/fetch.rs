//! The one way out of a node to its identity provider, with the manners of `outward`.
//!
//! Every call is bounded in time, in bytes and in how many run at once.

use std::{sync::Arc, time::Duration};

use http::Response;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use ureq::{Agent, Body};

use super::{address::Address, provider::ProviderFault};
use crate::outward;

/// A whole call, from the name's resolution to the last byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer's body.
const BODY_BYTES: u64 = 64 * 1024;
/// Bytes of an answer's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Calls at the same time; more are refused at once.
const CALLS: usize = 8;

/// What is sent with a call.
pub(super) struct Form {
    /// The fields, already encoded.
    pub(super) body: String,
    /// The header that proves who we are.
    pub(super) authorization: Option<String>,
}

/// The way out.
#[derive(Debug)]
pub(super) struct Fetch {
    agent: Agent,
    calls: Arc<Semaphore>,
}

impl Fetch {
    /// A way out that trusts `authorities`, or those that browsers trust.
    pub(super) fn new(authorities: Option<&[u8]>) -> Result<Self, ProviderFault> {
        let agent = outward::agent(authorities)
            .map_err(|_no_certificates| ProviderFault::Authorities)?
            .timeout_global(Some(PATIENCE))
            .max_response_header_size(HEAD_BYTES)
            .max_idle_connections(0)
            .build()
            .new_agent();
        let calls = Arc::new(Semaphore::new(CALLS));
        Ok(Self { agent, calls })
    }

    /// Asks for a document.
    pub(super) async fn get<T>(&self, address: &Address) -> Result<T, ProviderFault>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let agent = self.agent.clone();
        let target = address.as_str().to_owned();
        let call = move || {
            agent
                .get(target)
                .header("accept", "application/json")
                .call()
        };
        self.call(call).await
    }

    /// Sends a form and asks for a document.
    pub(super) async fn post<T>(&self, address: &Address, form: Form) -> Result<T, ProviderFault>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let agent = self.agent.clone();
        let target = address.as_str().to_owned();
        let call = move || {
            let mut request = agent
                .post(target)
                .header("accept", "application/json")
                .header("content-type", "application/x-www-form-urlencoded");
            if let Some(authorization) = form.authorization {
                request = request.header("authorization", authorization);
            }
            request.send(form.body)
        };
        self.call(call).await
    }

    async fn call<T>(
        &self,
        call: impl FnOnce() -> Result<Response<Body>, ureq::Error> + Send + 'static,
    ) -> Result<T, ProviderFault>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.calls).try_acquire_owned() else {
            return Err(ProviderFault::Busy);
        };
        let done = tokio::task::spawn_blocking(move || {
            let read = call().map_err(|_| ProviderFault::Silent).and_then(read);
            drop(place);
            read
        });
        done.await.map_err(|_| ProviderFault::Silent)?
    }
}

fn read<T: DeserializeOwned>(mut response: Response<Body>) -> Result<T, ProviderFault> {
    let status = response.status().as_u16();
    if status != 200 {
        return Err(ProviderFault::Status { status });
    }
    let body = response
        .body_mut()
        .with_config()
        .limit(BODY_BYTES)
        .read_to_vec();
    let body = body.map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => ProviderFault::TooLong,
        _ => ProviderFault::Silent,
    })?;
    serde_json::from_slice(&body).map_err(|_| ProviderFault::NotADocument)
}
