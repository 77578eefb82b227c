//! The walls between the rooms of the library: who may use whom.

use std::collections::{BTreeMap, BTreeSet};

use super::exempt::ENGINE_HELPERS;
use super::scan::{Form, Name};
use super::{CLI, Finding, LIBRARY, Source};

/// Rooms and their layers. A room uses rooms of lower layers only.
const ROOMS: &[(&str, u8)] = &[
    ("base", 0),
    ("chunk", 1),
    ("compress", 1),
    ("crypto", 1),
    ("parity", 1),
    ("store", 1),
    ("format", 2),
    ("host", 3),
    ("repo", 3),
    ("engine", 4),
    ("error", 4),
];

/// The union of all errors holds the engine's, and the engine returns the union.
const NEIGHBOURS: &[(&str, &str)] = &[("engine", "error"), ("error", "engine")];

/// Modules of the library that exist for its tests.
const TEST_DOORS: &[&str] = &["testing", "conformance"];

pub(crate) fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    let engine = Engine::read(sources);
    for source in sources {
        if let Some(inside) = source.path.strip_prefix(LIBRARY) {
            check_shape(source, inside, findings);
            // Tests of the whole engine run verbs one after another, under any store.
            if !is_engine_test(inside) {
                let room = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
                check_room(source, room, findings);
                engine.check(source, inside, findings);
            }
        } else if source.path.starts_with(CLI) {
            check_cli(source, findings);
        }
    }
}

fn layer(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, layer)| *layer)
}

fn is_engine_test(inside: &str) -> bool {
    let folders = inside.rsplit_once('/').map_or("", |(folders, _)| folders);
    inside == "engine/tests.rs"
        || inside.starts_with("engine/") && folders.split('/').any(|folder| folder == "tests")
}

/// What the reading of the walls relies on: files lie where their modules are, and `lib.rs` defines nothing.
fn check_shape(source: &Source, inside: &str, findings: &mut Vec<Finding>) {
    for line in &source.detours {
        let message = "`#[path]` hides where a module lies; put the file where its name says";
        findings.push(Finding::new(&source.path, *line, message));
    }
    for name in source.names.iter().filter(|name| name.form == Form::Macro && name.segments == ["include"]) {
        findings.push(at(source, name, "`include!` brings code in unseen; make it a module"));
    }
    if inside == "lib.rs" {
        for line in &source.definitions {
            let message = "lib.rs is a table of contents; move the definition into a room and re-export it";
            findings.push(Finding::new(&source.path, *line, message));
        }
    }
}

fn check_room(source: &Source, room: &str, findings: &mut Vec<Finding>) {
    if room == "lib" {
        return;
    }
    let Some(own_layer) = layer(room) else {
        let message = format!("`{room}` is in no layer; add it to ROOMS in xtask/src/tidy/walls.rs");
        findings.push(Finding::new(&source.path, 1, message));
        return;
    };
    for name in &source.names {
        let Some(path) = source.path_in_crate(name) else {
            continue;
        };
        let message = match path.first().map(String::as_str) {
            None if matches!(name.form, Form::Use | Form::Glob) => {
                "imports the whole crate; import from the room that is meant".to_owned()
            }
            None => continue,
            Some(used) if used == room || NEIGHBOURS.contains(&(room, used)) => continue,
            Some(used) => match layer(used) {
                Some(layer) if layer < own_layer => continue,
                Some(layer) => format!(
                    "{room} (L{own_layer}) must not use {used} (L{layer}); move the shared part into a lower layer, \
                     or let the caller pass it in"
                ),
                None => format!("`crate::{used}` is no room; name the room that defines it"),
            },
        };
        findings.push(at(source, name, message));
    }
}

/// The verbs and how `engine/mod.rs` re-exports their types.
struct Engine {
    modules: BTreeSet<String>,
    re_exports: BTreeMap<String, String>,
}

impl Engine {
    fn read(sources: &[Source]) -> Self {
        let inside =
            |source: &Source| Some(source.path.strip_prefix(LIBRARY)?.strip_prefix("engine/")?.to_owned());
        let modules = sources.iter().filter_map(inside).map(|path| verb_of(&path)).collect();
        let mut engine = Self { modules, re_exports: BTreeMap::new() };
        for source in sources.iter().filter(|source| inside(source).is_some_and(|path| path == "mod.rs")) {
            for name in source.names.iter().filter(|name| name.form == Form::Use) {
                if let Some(module) = engine.module_named(source, name) {
                    engine.re_exports.insert(name.known_as().to_owned(), module);
                }
            }
        }
        engine
    }

    /// The module of the engine at which a name of `engine/mod.rs` starts.
    fn module_named(&self, source: &Source, name: &Name) -> Option<String> {
        let path = source.path_in_crate(name);
        let first = path.as_ref().map_or_else(|| name.segments.first(), |path| path.get(1))?;
        self.modules.get(first).cloned()
    }

    fn check(&self, source: &Source, inside: &str, findings: &mut Vec<Finding>) {
        let Some(inside) = inside.strip_prefix("engine/") else {
            return;
        };
        if inside == "mod.rs" {
            for name in source.names.iter().filter(|name| name.form == Form::Glob) {
                if self.module_named(source, name).is_some() {
                    findings.push(at(
                        source,
                        name,
                        "a glob hides which verb a name belongs to; re-export each by name",
                    ));
                }
            }
            return;
        }
        let own = verb_of(inside);
        for name in &source.names {
            let Some(path) = source.path_in_crate(name) else {
                continue;
            };
            if path.first().is_none_or(|room| room != "engine") {
                continue;
            }
            let Some(part) = path.get(1) else {
                if matches!(name.form, Form::Use | Form::Glob) {
                    findings.push(at(
                        source,
                        name,
                        "imports the whole engine; import the helper that is meant",
                    ));
                }
                continue;
            };
            let used = self.re_exports.get(part).unwrap_or(part);
            if self.modules.contains(used) && *used != own && !ENGINE_HELPERS.contains(&used.as_str()) {
                let message = format!(
                    "verbs do not use verbs: {own} names {used}; move the shared part into repo/, or into a helper \
                     listed in ENGINE_HELPERS in xtask/src/tidy/exempt.rs"
                );
                findings.push(at(source, name, message));
            }
        }
    }
}

fn verb_of(inside_engine: &str) -> String {
    inside_engine.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

fn check_cli(source: &Source, findings: &mut Vec<Finding>) {
    for name in &source.names {
        let path = source.imported(name);
        let door = path.iter().find(|segment| TEST_DOORS.contains(&segment.as_str()));
        if let Some(door) = door.filter(|_| path[0] == "containerarchive") {
            let message = format!("`{door}` is for tests of the library; use its public re-exports");
            findings.push(at(source, name, message));
        }
    }
}

fn at(source: &Source, name: &Name, message: impl Into<String>) -> Finding {
    Finding::new(&source.path, name.start.line, message)
}
