//! The control plane: what people and programs of the bank and its partners ask of huidu.
//!
//! This page is its table of contents. A handler parses in its first lines, makes one call of the node,
//! and translates the answer; what is allowed is decided in the core. It must never answer a change
//! before this node serves it, and never tell a partner that something foreign exists.
//!
//! ```text
//! auth.rs          token or session → actor, and what an actor may see
//! session.rs       cookies, whose page asks, what needs a fresh proof
//! door.rs          a token shown by a browser becomes a cookie
//! token.rs         how a token is written
//! used.rs          when each was last shown to this node
//! precondition.rs  If-Match, Idempotency-Key, why
//! body.rs          bodies under a limit and a deadline
//! error.rs         refusals → status and code; the only place
//! wire.rs          JSON shapes
//! openapi.rs       the document made from all this
//! spool.rs         a bundle on its way in
//! ```

#![expect(
    unused_qualifications,
    reason = "the attributes that gather the document write full paths"
)]

mod apps;
mod auth;
mod body;
pub(crate) mod cases;
mod changes;
mod door;
mod error;
mod experiments;
mod explain;
mod fleet;
mod health;
mod history;
mod hosts;
mod kills;
mod live;
mod members;
mod openapi;
mod overview;
mod papers;
mod peer;
mod permissions;
mod plan;
mod precondition;
mod ramps;
mod receipt;
mod review;
mod rollouts;
mod segments;
mod service;
mod session;
mod signin;
mod spool;
mod status;
mod tenants;
#[cfg(test)]
mod tests;
mod then;
pub mod token;
mod tokens;
mod trials;
mod used;
mod versions;
mod wire;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use huidu_core::{
    authority::authorise, command::Command, event::Actor, limits, revision::Revision,
};
use tokio::sync::Semaphore;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use service::PrivatePlane;

use self::{error::ApiError, precondition::Intent, used::LastUsed};
use crate::{
    archive::ArchiveLimits,
    console,
    node::{Change, Node, Written, kills::Killed},
    signin::SignIn,
};

/// What the control plane works with: values.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    /// Where uploads wait to be inspected; ours alone, swept at the start.
    pub spool: PathBuf,
    /// Bytes of one bundle.
    pub bundle_bytes: u64,
    /// What a bundle may be at most.
    pub archive: ArchiveLimits,
    /// Bytes of the text of one segment.
    pub segment_bytes: u64,
    /// Uploads at the same time.
    pub uploads: usize,
    /// How long a change waits for the store before the answer is "unknown".
    pub patience: Duration,
}

impl ControlSettings {
    /// The usual values, with uploads waiting in `spool`.
    pub fn new(spool: PathBuf) -> Self {
        let archive = ArchiveLimits::default();
        Self {
            spool,
            bundle_bytes: archive.packed_bytes.min(limits::BUNDLE_BYTES),
            archive,
            segment_bytes: 4 * 1024 * 1024 * 1024,
            uploads: 8,
            patience: Duration::from_secs(10),
        }
    }
}

/// What every handler is handed.
#[derive(Clone)]
pub(crate) struct Control {
    node: Arc<Node>,
    settings: Arc<ControlSettings>,
    signin: Option<Arc<SignIn>>,
    uploads: Arc<Semaphore>,
    listeners: Arc<Semaphore>,
    used: Arc<LastUsed>,
    document: bytes::Bytes,
}

/// Every route, served for `node`; people sign in by `signin`, where there is one.
pub fn router(
    node: Arc<Node>,
    signin: Option<SignIn>,
    settings: ControlSettings,
) -> io::Result<Router> {
    spool::sweep(&settings.spool)?;
    let uploads = Arc::new(Semaphore::new(settings.uploads));
    let (routes, gathered) = table().split_for_parts();
    let document = serde_json::to_vec(&openapi::finished(gathered)).map_err(io::Error::from)?;
    let control = Control {
        node,
        settings: Arc::new(settings),
        signin: signin.map(Arc::new),
        uploads,
        listeners: Arc::new(Semaphore::new(live::LISTENERS)),
        used: Arc::default(),
        document: document.into(),
    };
    Ok(routes
        .fallback(elsewhere)
        .method_not_allowed_fallback(|| async { ApiError::NoMethod })
        .layer(middleware::from_fn_with_state(
            control.clone(),
            session::renew,
        ))
        .layer(middleware::from_fn(always))
        .with_state(control))
}

/// The OpenAPI document.
pub fn document() -> serde_json::Value {
    openapi::finished(table().into_openapi())
}

/// The table of contents.
fn table() -> OpenApiRouter<Control> {
    OpenApiRouter::with_openapi(openapi::Head::openapi())
        // Without a token.
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(status::metrics))
        .routes(routes!(status::openapi))
        .routes(routes!(fleet::beat))
        .routes(routes!(signin::begin))
        .routes(routes!(signin::callback))
        .routes(routes!(signin::token))
        .routes(routes!(signin::signout))
        .routes(routes!(door::doors, door::enter))
        // Other nodes, by signature.
        .routes(routes!(peer::kills))
        // Everything at a glance.
        .routes(routes!(signin::whoami))
        .routes(routes!(status::status))
        .routes(routes!(overview::overview))
        .routes(routes!(overview::reviews))
        .routes(routes!(live::events))
        .routes(routes!(fleet::fleet))
        .routes(routes!(history::list))
        .routes(routes!(history::op))
        // Who is who.
        .routes(routes!(tenants::list, tenants::add))
        .routes(routes!(permissions::grade))
        .routes(routes!(hosts::list, hosts::add))
        .routes(routes!(tokens::list, tokens::add))
        .routes(routes!(tokens::revoke))
        .routes(routes!(members::list))
        .routes(routes!(members::put, members::remove))
        // Mini-programs and what they can run.
        .routes(routes!(apps::list, apps::add))
        .routes(routes!(apps::show))
        .routes(routes!(then::then))
        .routes(routes!(apps::internal))
        .routes(routes!(health::show))
        .routes(routes!(versions::list, versions::submit))
        .routes(routes!(versions::enlist))
        .routes(routes!(versions::delist))
        // Who finds it fit, and who tries it before.
        .routes(routes!(review::files))
        .routes(routes!(review::bundle))
        .routes(routes!(review::show, review::begin))
        .routes(routes!(review::approve))
        .routes(routes!(review::reject))
        .routes(routes!(review::policy, review::put_policy))
        .routes(routes!(changes::list))
        .routes(routes!(changes::approve))
        .routes(routes!(changes::withdraw))
        .routes(routes!(changes::policy, changes::put_policy))
        .routes(routes!(papers::keyring, papers::put_keyring))
        .routes(routes!(papers::policy, papers::put_policy))
        .routes(routes!(papers::record, papers::put_record))
        .routes(routes!(trials::show, trials::put))
        .routes(routes!(trials::invite))
        .routes(routes!(trials::take_back))
        // What it may do.
        .routes(routes!(permissions::catalogue, permissions::put_catalogue))
        .routes(routes!(permissions::show))
        .routes(routes!(permissions::grant, permissions::withdraw))
        // What must stop now.
        .routes(routes!(kills::kill))
        .routes(routes!(kills::unkill))
        .routes(routes!(kills::receipt))
        .routes(routes!(permissions::revoke))
        .routes(routes!(permissions::restore))
        // Who gets what.
        .routes(routes!(rollouts::show, rollouts::put))
        .routes(routes!(rollouts::share))
        .routes(routes!(rollouts::pause))
        .routes(routes!(ramps::show))
        .routes(routes!(ramps::pause))
        .routes(routes!(ramps::resume))
        .routes(routes!(ramps::abort))
        .routes(routes!(ramps::roll_back))
        .routes(routes!(ramps::approve))
        .routes(routes!(experiments::list))
        .routes(routes!(experiments::show, experiments::begin))
        .routes(routes!(experiments::promote))
        .routes(routes!(experiments::end))
        .routes(routes!(experiments::ending))
        .routes(routes!(plan::plan))
        .routes(routes!(explain::explain))
        .routes(routes!(segments::list))
        .routes(routes!(segments::show, segments::put, segments::remove))
}

/// What is no route: the console, or nothing.
async fn elsewhere(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    match console::serve(method, path, request.headers()) {
        Some(response) => response.map(Body::from),
        None => ApiError::NoRoute.into_response(),
    }
}

/// Nothing here is for a cache, and nothing is to be taken for something else.
async fn always(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Control {
    /// The one call that changes anything.
    async fn write(
        &self,
        intent: Intent,
        expected: Option<Revision>,
        command: Command,
    ) -> Result<Written, ApiError> {
        let change = self.change_of(intent, expected, command)?;
        let written = self.node.write(change).await?;
        self.unless_it_waits(written)
    }

    /// The one call that stops something before the ledger has it.
    async fn kill(
        &self,
        intent: Intent,
        expected: Option<Revision>,
        command: Command,
    ) -> Result<Killed, ApiError> {
        let change = self.change_of(intent, expected, command)?;
        let mut killed = self.node.kill(change).await?;
        if let Some(written) = killed.written.take() {
            killed.written = Some(self.unless_it_waits(written)?);
        }
        Ok(killed)
    }

    /// A change, once whoever asks for it has proved enough.
    fn change_of(
        &self,
        intent: Intent,
        expected: Option<Revision>,
        command: Command,
    ) -> Result<Change, ApiError> {
        let Intent {
            actor,
            signed_in,
            op,
            why,
            enact_at,
            ..
        } = intent;
        if let Some(signed_in) = signed_in
            && session::is_grave(&command)
            && !signed_in.session.is_fresh(self.node.now())
        {
            // Who may not at all is told that, and not sent to sign in first.
            self.may(command, &actor)?;
            return Err(ApiError::SignInAgain);
        }
        Ok(Change {
            actor,
            command,
            op,
            expected,
            enact_at,
            why,
            patience: self.settings.patience,
        })
    }

    fn unless_it_waits(&self, written: Written) -> Result<Written, ApiError> {
        match &written.waits {
            Some(id) => {
                let catalogue = self.node.catalogue();
                let proposal = catalogue.trust.proposals.get(id);
                let waits = wire::Waits::new(&written, id, proposal, &catalogue);
                Err(ApiError::Waits(Box::new(waits)))
            }
            None => Ok(written),
        }
    }

    /// Lets through who may ask for `command`, before anything is done for it.
    fn may(&self, command: Command, actor: &Actor) -> Result<(), ApiError> {
        authorise(command, actor, &self.node.catalogue(), self.node.now())?;
        Ok(())
    }

    /// A place among the uploads, or the news that there is none.
    fn upload(&self) -> Result<tokio::sync::OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.uploads)
            .try_acquire_owned()
            .map_err(|_| ApiError::Unavailable {
                code: "busy",
                detail: "as many uploads as this node takes are under way; try again in a moment"
                    .to_owned(),
            })
    }
}
