//! The OpenAPI document, made from the code that answers.
//!
//! Paths come from the handlers and shapes from `wire`; the rollout's shape comes from the core's JSON
//! Schema, so that there is one description of it for editors and for clients. The document is committed
//! as `docs/openapi.json`, and a test refuses any drift.

use std::collections::BTreeMap;

use huidu_core::credential::Scope;
use serde_json::{Map, Value, json};
use utoipa::{
    IntoResponses, OpenApi, PartialSchema, ToSchema,
    openapi::{
        Components, Content, Header, Object, RefOr, Response, ResponseBuilder, Schema,
        schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, Type},
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::{
    receipt::Provisional,
    wire::{OpAnswer, ProblemSchema, Waits},
};

/// The document's head; paths are added by the route table.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "huidu control plane",
        description = "Which version of each mini-program a device gets, changed and explained.\n\nEvery change of something that exists names the revision it was made for (`If-Match`), and every change may carry an `Idempotency-Key`, which makes a retry harmless. A change answers once the node that took it serves it; when the store gave no answer in time it answers 202 with an op id that will tell. Refusals are RFC 9457 problems; their `code` never changes its meaning.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemSchema, Waits, Provisional)),
    tags(
        (name = "status", description = "How this node is."),
        (name = "signin", description = "People, by the bank's identity provider."),
        (name = "tenants", description = "Partner merchants."),
        (name = "hosts", description = "Bank apps that run mini-programs."),
        (name = "apps", description = "Mini-programs."),
        (name = "versions", description = "What an app's devices can run."),
        (name = "review", description = "What is in a version, and who finds it fit."),
        (name = "trials", description = "Versions under review, in sandboxes."),
        (name = "permissions", description = "What mini-programs may do."),
        (name = "members", description = "People."),
        (name = "changes", description = "Changes that people agree on first, or that wait for their time."),
        (name = "keys", description = "What people sign offline: keyrings, release records, app policies."),
        (name = "kills", description = "What must stop now."),
        (name = "peers", description = "What nodes of one installation tell each other, by signature."),
        (name = "rollouts", description = "Which version each device gets."),
        (name = "experiments", description = "A/B tests: what their arms say, and how they end."),
        (name = "segments", description = "Uploaded lists of units. Units go in and never come out."),
        (name = "tokens", description = "Credentials."),
        (name = "history", description = "What was changed, when, by whom and why."),
    ),
)]
pub(super) struct Head;

/// The whole document from the one that the route table gathered.
pub(super) fn finished(mut document: utoipa::openapi::OpenApi) -> Value {
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("hd_<kind>_<id>_<secret>_<checksum>")
        .build();
    document
        .components
        .get_or_insert_with(Components::new)
        .add_security_scheme("token", SecurityScheme::Http(bearer));
    document
        .components
        .get_or_insert_with(Components::new)
        .add_security_scheme("session", session_scheme());
    // A document of ours always serialises; an empty one would fail the drift test at once.
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    // Whatever takes a token takes a session.
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let methods = paths.into_iter().flat_map(Map::values_mut);
    let operations = methods
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut);
    for security in operations.filter_map(|operation| operation.get_mut("security")) {
        if let Some(ways) = security.as_array_mut() {
            ways.push(json!({ "session": [] }));
        }
    }
    if let Some(schemas) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    {
        schemas.extend(rollout_schemas());
    }
    document
}

fn session_scheme() -> SecurityScheme {
    let description =
        "The session of somebody who signed in. A change by cookie names its page in `Origin`.";
    let cookie = ApiKeyValue::with_description("__Host-huidu", description);
    SecurityScheme::ApiKey(ApiKey::Cookie(cookie))
}

/// The rollout's schema and what it refers to, as components.
fn rollout_schemas() -> Map<String, Value> {
    let mut schema = huidu_core::rulefile::schema();
    let mut components = Map::new();
    if let Some(root) = schema.as_object_mut() {
        root.remove("$schema");
        root.remove("$id");
        if let Some(Value::Object(parts)) = root.remove("$defs") {
            components.extend(parts);
        }
    }
    components.insert("Rollout".into(), schema);
    components.values_mut().for_each(point_to_components);
    // The parts are the rollout's own: nothing else in the document may be called as they are.
    let renamed = |(name, schema): (String, Value)| match name.as_str() {
        "Rollout" => (name, schema),
        _ => (format!("Rollout.{name}"), schema),
    };
    components.into_iter().map(renamed).collect()
}

fn point_to_components(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref") {
                *target = match target.strip_prefix("#/$defs/") {
                    Some(name) => format!("#/components/schemas/Rollout.{name}"),
                    None => "#/components/schemas/Rollout".to_owned(),
                };
            }
            fields.values_mut().for_each(point_to_components);
        }
        Value::Array(items) => items.iter_mut().for_each(point_to_components),
        _ => {}
    }
}

/// Stands for the rollout document, whose shape the core's JSON Schema describes.
pub(crate) struct RolloutSchema;

impl PartialSchema for RolloutSchema {
    fn schema() -> RefOr<Schema> {
        Ref::from_schema_name("Rollout").into()
    }
}

impl ToSchema for RolloutSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Rollout".into()
    }
}

/// The shape of a role.
pub(crate) fn role() -> Schema {
    let words = [
        "admin",
        "release-manager",
        "sre",
        "reviewer",
        "security",
        "auditor",
    ];
    let word = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words));
    let tenant: Object = ObjectBuilder::new().schema_type(Type::String).build();
    let partner = ObjectBuilder::new()
        .property("partner", tenant)
        .required("partner");
    OneOfBuilder::new().item(word).item(partner).build().into()
}

/// The shape of the scopes of a credential.
pub(crate) fn scopes() -> Schema {
    let words = Scope::ALL.map(Scope::word);
    let word = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words));
    ArrayBuilder::new()
        .items(word)
        .unique_items(true)
        .build()
        .into()
}

fn problem(description: &str) -> ResponseBuilder {
    let schema: RefOr<Schema> = Ref::from_schema_name("Problem").into();
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", Content::new(Some(schema)))
}

fn text_header(description: &str) -> Header {
    let mut header = Header::new(Object::with_type(Type::String));
    header.description = Some(description.to_owned());
    header
}

type Responses = BTreeMap<String, RefOr<Response>>;

fn add(responses: &mut Responses, status: &str, description: &str) {
    responses.insert(status.to_owned(), problem(description).build().into());
}

/// What every request with a token may be refused with.
pub(crate) struct ReadRefusals;

impl IntoResponses for ReadRefusals {
    fn responses() -> Responses {
        let mut all = Responses::new();
        add(
            &mut all,
            "400",
            "The request cannot be read: `bad-header`, `bad-json`, `broken-body`.",
        );
        let denied =
            problem("Nobody is let in: `no-token`, `bad-token` (a typo), `unknown-token`, `token-expired`, `session-over`, `no-member`, `sign-in` (a person's token where people sign in).")
                .header("WWW-Authenticate", text_header("`Bearer realm=\"huidu\"`"));
        all.insert("401".to_owned(), denied.build().into());
        add(
            &mut all,
            "403",
            "The role does not include it: `forbidden`; the token's scopes do not: `scope`. By a session: `cross-site`; `sign-in-again` where it takes a sign-in of the last five minutes.",
        );
        add(
            &mut all,
            "404",
            "Not there, or not the caller's: `unknown-app`, `unknown-version`, `unknown-rule` …",
        );
        add(
            &mut all,
            "422",
            "A field does not fit: `bad-field`, with `field`.",
        );
        let busy =
            problem("Not now: `store-unavailable`, `fork`, `read-only`, `busy`, `stopping`.")
                .header(
                    "Retry-After",
                    text_header("Seconds after which to try again."),
                );
        all.insert("503".to_owned(), busy.build().into());
        all
    }
}

/// What a sign-in may be refused with.
pub(crate) struct SignInRefusals;

impl IntoResponses for SignInRefusals {
    fn responses() -> Responses {
        let mut all = BodyRefusals::responses();
        all.remove("401");
        for (status, description) in [
            (
                "400",
                "Not what this browser began, late, or again: `sign-in-state`. Or it cannot be read: `bad-json`, `broken-body`.",
            ),
            (
                "403",
                "Nobody here: `unknown-person`. The provider refused: `sign-in-denied`. Its statement does not hold: `statement`. `cross-site`, `grant`.",
            ),
            ("404", "No provider is set: `no-signin`."),
        ] {
            add(&mut all, status, description);
        }
        let busy = problem(
            "The provider does not answer as one: `identity-provider`; `busy`, `no-randomness`.",
        )
        .header(
            "Retry-After",
            text_header("Seconds after which to try again."),
        );
        all.insert("503".to_owned(), busy.build().into());
        all
    }
}

/// What every request with a body may be refused with.
pub(crate) struct BodyRefusals;

impl IntoResponses for BodyRefusals {
    fn responses() -> Responses {
        let mut all = ReadRefusals::responses();
        add(&mut all, "408", "The body stopped arriving: `slow-body`.");
        add(
            &mut all,
            "413",
            "Larger than allowed: `too-large`; more than allowed: `limit`.",
        );
        add(&mut all, "415", "A body of another kind: `media-type`.");
        all
    }
}

/// What a change of something new may be refused with.
pub(crate) struct NewRefusals;

impl IntoResponses for NewRefusals {
    fn responses() -> Responses {
        let mut all = BodyRefusals::responses();
        let either = OneOfBuilder::new()
            .item(Ref::from_schema_name(OpAnswer::name()))
            .item(Ref::from_schema_name(Waits::name()));
        let schema: RefOr<Schema> = Schema::OneOf(either.build()).into();
        let unknown = ResponseBuilder::new()
            .description(
                "The store has not answered in time: it may happen yet, and the op id will tell. Or the change waits: for people to agree, or for its time.",
            )
            .content("application/json", Content::new(Some(schema)))
            .header("Location", text_header("`/api/v1/ops/{op}`"));
        all.insert("202".to_owned(), unknown.build().into());
        let conflict = "The state does not allow it: `exists`, `life`, `served`, `segment-in-use`, `nothing`, `not-lower`, `experiment`, `redraws`, `not-shown`, `same-person`, `other-bundle`, `not-granted`, `not-filed`, `cancelled`.";
        add(&mut all, "409", conflict);
        let invalid = "It does not fit: `bad-field`, `rollout`, `other-app`, `archive`, `segment`, `empty`, `build-metadata`, `member-role`, `not-a-sandbox`, `preview-time`, `permissions`, `design`; the `Idempotency-Key` of another change: `key-reused`; `errors` lists every mistake.";
        add(&mut all, "422", invalid);
        all
    }
}

/// What a change of something existing may be refused with.
pub(crate) struct ChangeRefusals;

impl IntoResponses for ChangeRefusals {
    fn responses() -> Responses {
        let mut all = NewRefusals::responses();
        add(&mut all, "412", "It changed since that revision: `stale`.");
        add(
            &mut all,
            "428",
            "No revision is named: `if-match-required`.",
        );
        all
    }
}

/// What a kill may be refused with, or answered where the ledger does not have it yet.
pub(crate) struct KillRefusals;

impl IntoResponses for KillRefusals {
    fn responses() -> Responses {
        let mut all = ChangeRefusals::responses();
        let either = OneOfBuilder::new()
            .item(Ref::from_schema_name(Provisional::name()))
            .item(Ref::from_schema_name(OpAnswer::name()))
            .item(Ref::from_schema_name(Waits::name()));
        let schema: RefOr<Schema> = Schema::OneOf(either.build()).into();
        let provisional = ResponseBuilder::new()
            .description(
                "It is in force and the ledger does not have it yet: `provisional`. Or, where a revision or a time was named, as for every change: the store has not answered in time, or the change waits.",
            )
            .content("application/json", Content::new(Some(schema)))
            .header("Location", text_header("`/api/v1/kills/{op}`"));
        all.insert("202".to_owned(), provisional.build().into());
        all
    }
}

/// What another node may be refused with.
pub(crate) struct PeerRefusals;

impl IntoResponses for PeerRefusals {
    fn responses() -> Responses {
        let mut all = Responses::new();
        for (status, description) in [
            ("400", "It is no notice: `bad-notice`, `broken-body`."),
            (
                "403",
                "No server of this installation says so: `not-a-server`.",
            ),
            ("408", "The body stopped arriving: `slow-body`."),
            (
                "409",
                "It is not heeded here: `old-notice`, `unknown-actor` (this node may be behind).",
            ),
            ("413", "It is too long: `too-large`."),
            ("503", "Not now: `busy`, `mute` (this node has no log key)."),
        ] {
            add(&mut all, status, description);
        }
        all
    }
}

/// What a health probe looks at, for the document.
pub(crate) fn health_example() -> Value {
    json!({
        "ready": true, "revision": 17, "asof": "2026-11-24T08:00:00Z",
        "store": true, "bus": true, "from": "store",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

    #[test]
    fn the_committed_document_is_the_one_that_the_code_makes() {
        let made = format!("{:#}\n", super::super::document());
        if std::env::var_os("HUIDU_BLESS").is_some() {
            std::fs::write(COMMITTED, &made).unwrap();
        }
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        assert!(
            committed == made,
            "docs/openapi.json has drifted; run `HUIDU_BLESS=1 cargo test --lib the_committed_document` and look at the difference",
        );
    }

    #[test]
    fn every_reference_leads_to_a_component() {
        let document = super::super::document();
        let mut targets = Vec::new();
        gather(&document, &mut targets);
        assert!(targets.len() > 100, "only {} references", targets.len());
        for target in targets {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(
                document.pointer(pointer).is_some(),
                "{target} leads nowhere"
            );
        }
    }

    fn gather(value: &Value, targets: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                targets.extend(
                    fields
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                fields.values().for_each(|field| gather(field, targets));
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, targets)),
            _ => {}
        }
    }

    #[test]
    fn every_route_says_how_it_refuses() {
        let document = super::super::document();
        assert_eq!(document["openapi"], "3.1.0");
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let open = operation.get("security").is_none();
                let responses = operation["responses"].as_object().unwrap();
                assert!(
                    operation["summary"].is_string(),
                    "{method} {path} has no summary"
                );
                assert_eq!(responses.contains_key("401"), !open, "{method} {path}");
            }
        }
    }
}
