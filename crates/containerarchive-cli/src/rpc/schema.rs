//! `docs/rpc.schema.json`, generated from the types; `cargo xtask schema` writes it anew. Clients of other languages
//! generate theirs from it.

use std::path::Path;

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::methods::{METHODS, StreamOpenResult, ingest, listing, maintenance, restore};
use super::params::{
    CancelParams, ForgetParams, GetSnapshotParams, IngestCommandParams, IngestMultiParams, IngestParams,
    IngestPathParams, InitParams, ListItemsParams, ListSnapshotsParams, NoParams, OpenParams, PruneParams,
    RepairParams, RestoreParams, RestoreToPathParams, StatusParams, UnlockParams, VerifyParams,
};
use super::wire::{ErrorInfo, ProblemEvent, ProgressEvent, ProtocolErrorEvent, Ready};
use crate::catalogue::CATALOGUE;
use crate::commands;
use crate::documents::{RepositoryDocument, SnapshotDocument};

/// Set: the file is written and not compared.
const WRITE: &str = "CONTAINERARCHIVE_SCHEMA_WRITE";

/// `cancel`
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is wanted")]
struct CancelResult {
    /// Whether there was such a request.
    cancelled: bool,
}

/// Nothing.
#[derive(JsonSchema)]
struct NoResult {}

struct Schema {
    params: SchemaGenerator,
    results: SchemaGenerator,
    methods: Map<String, Value>,
    events: Map<String, Value>,
}

impl Schema {
    fn method<P: JsonSchema, R: JsonSchema>(&mut self, name: &str) {
        let members = json!({
            "params": self.params.subschema_for::<P>(),
            "result": self.results.subschema_for::<R>(),
        });
        self.methods.insert(name.to_owned(), object(members));
    }

    fn event<E: JsonSchema>(&mut self, name: &str) {
        self.events.insert(name.to_owned(), self.results.subschema_for::<E>().to_value());
    }
}

fn object(members: Value) -> Value {
    let required: Vec<&String> = members.as_object().unwrap().keys().collect();
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": members})
}

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = contract;
    settings.into_generator()
}

fn methods(schema: &mut Schema) {
    schema.method::<CancelParams, CancelResult>("cancel");
    schema.method::<NoParams, NoResult>("shutdown");
    schema.method::<InitParams, RepositoryDocument>("init");
    schema.method::<OpenParams, RepositoryDocument>("open");
    schema.method::<NoParams, RepositoryDocument>("info");
    schema.method::<NoParams, NoResult>("close");
    schema.method::<NoParams, StreamOpenResult>("streamOpen");
    schema.method::<IngestParams, SnapshotDocument<'_>>("ingest");
    schema.method::<IngestMultiParams, SnapshotDocument<'_>>("ingestMulti");
    schema.method::<IngestPathParams, SnapshotDocument<'_>>("ingestPath");
    schema.method::<IngestCommandParams, SnapshotDocument<'_>>("ingestCommand");
    schema.method::<RestoreParams, restore::RestoreResult>("restore");
    schema.method::<RestoreToPathParams, restore::RestoreResult>("restoreToPath");
    schema.method::<ListSnapshotsParams, listing::ListSnapshotsResult>("listSnapshots");
    schema.method::<GetSnapshotParams, SnapshotDocument<'_>>("getSnapshot");
    schema.method::<ListItemsParams, listing::ListItemsResult<'_>>("listItems");
    schema.method::<VerifyParams, commands::verify::Content<'_>>("verify");
    schema.method::<PruneParams, commands::prune::Content<'_>>("prune");
    schema.method::<ForgetParams, commands::forget::Content>("forget");
    schema.method::<RepairParams, commands::repair::Content<'_>>("repair");
    schema.method::<NoParams, commands::reindex::Content>("reindex");
    schema.method::<UnlockParams, commands::unlock::Content<'_>>("unlock");
    schema.method::<NoParams, commands::stats::Content>("stats");
    schema.method::<StatusParams, commands::status::Content<'_>>("status");
}

fn events(schema: &mut Schema) {
    schema.event::<Ready<'_>>("ready");
    schema.event::<ProgressEvent<'_>>("ingest:progress");
    schema.event::<ProgressEvent<'_>>("restore:progress");
    schema.event::<ProgressEvent<'_>>("verify:progress");
    schema.event::<ProgressEvent<'_>>("prune:progress");
    schema.event::<ProgressEvent<'_>>("repair:progress");
    schema.event::<ProgressEvent<'_>>("reindex:progress");
    schema.event::<ingest::CompleteEvent<'_>>("ingest:complete");
    schema.event::<maintenance::VerifyErrorEvent<'_>>("verify:error");
    schema.event::<ProblemEvent<'_>>("problem");
    schema.event::<ProtocolErrorEvent<'_>>("protocol:error");
}

fn document() -> String {
    let mut schema = Schema {
        params: generator(Contract::Deserialize),
        results: generator(Contract::Serialize),
        methods: Map::new(),
        events: Map::new(),
    };
    methods(&mut schema);
    events(&mut schema);
    let error_info = schema.results.subschema_for::<ErrorInfo<'_>>();
    let codes: Vec<&str> = CATALOGUE.iter().map(|entry| entry.code.as_str()).collect();
    let mut definitions = schema.params.take_definitions(true);
    for (name, definition) in schema.results.take_definitions(true) {
        assert!(definitions.insert(name.clone(), definition).is_none(), "two types are called {name}");
    }
    let mut members = Map::new();
    members.insert("methods".to_owned(), object(Value::Object(schema.methods)));
    members.insert("events".to_owned(), object(Value::Object(schema.events)));
    members.insert("errorInfo".to_owned(), error_info.to_value());
    members.insert("errorCode".to_owned(), json!({"type": "string", "enum": codes}));
    let mut whole = object(Value::Object(members));
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["title"] = json!("Protocol");
    whole["description"] =
        json!("What the engine process is asked, and what it answers. Written by `cargo xtask schema`.");
    whole["$defs"] = Value::Object(definitions);
    serde_json::to_string_pretty(&whole).unwrap() + "\n"
}

#[test]
fn the_schema_is_that_of_the_types_and_has_every_method() {
    let text = document();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let described = schema["properties"]["methods"]["properties"].as_object().unwrap();
    for (name, ..) in METHODS {
        assert!(described.contains_key(*name), "{name} is not in the schema");
    }
    assert_eq!(described.len(), METHODS.len() + 2);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rpc.schema.json");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "docs/rpc.schema.json differs from the types: run `cargo xtask schema`");
}
