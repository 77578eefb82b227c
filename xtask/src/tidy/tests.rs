//! Each check is shown a tree with one fault and must name its place; a legal tree passes all.

use super::*;

const ROOT_MANIFEST: &str = "\
[workspace.dependencies]
containerarchive = { path = \"crates/containerarchive\" }
blake3 = \"1.8\" # names of objects
";

/// The findings in a tree of library files, as `path:line` without the library's folder.
fn places(files: &[(&str, &str)]) -> Vec<String> {
    let paths: Vec<String> = files.iter().map(|(path, _)| format!("{LIBRARY}{path}")).collect();
    let files: Vec<_> = paths.iter().zip(files).map(|(path, (_, text))| (path.as_str(), *text)).collect();
    findings(&files).iter().map(|finding| place(finding).replace(LIBRARY, "")).collect()
}

fn place(finding: &Finding) -> String {
    format!("{}:{}", finding.path, finding.line)
}

fn findings(files: &[(&str, &str)]) -> Vec<Finding> {
    check(&Tree::of(files), &Exemptions::default())
}

fn assert_clean(files: &[(&str, &str)]) {
    let none: [String; 0] = [];
    assert_eq!(places(files), none);
}

#[test]
fn legal_tree_is_clean() {
    let production = "\
//! Packs, see [`crate::engine`].
use crate::base::{ObjectName, id::PackId as Id};
use crate::{chunk, crypto};
pub(crate) struct Pack;
fn read(id: Id) -> crate::store::StoreError { format!(\"{}\", crate::base::NAME); self::inner::open() }
mod inner { pub(super) fn open() { super::super::super::store::open() } }
#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn reads() { read(id).unwrap(); println!(\"{:?}\", std::env::var(\"HOME\")); panic!() }
}
";
    let format = format!("{LIBRARY}format/pack.rs");
    let local = format!("{LIBRARY}store/local/publish.rs");
    let files = [
        ("Cargo.toml", ROOT_MANIFEST),
        ("crates/containerarchive/Cargo.toml", "[dependencies]\nblake3.workspace = true\n"),
        ("crates/containerarchive/src/lib.rs", "//! Contents.\npub mod store;\npub use store::Store;\n"),
        (format.as_str(), production),
        (local.as_str(), "use std::fs::{self, File};\nfn put() { File::create(p)?; fs::rename(p, q)?; }\n"),
    ];
    assert_eq!(findings(&files), []);
}

#[test]
fn upward_imports_are_found() {
    assert_eq!(places(&[("base/id.rs", "use crate::store::Store;\n")]), ["base/id.rs:1"]);
    assert_eq!(places(&[("base/id.rs", "\nuse crate::{base::id, store};\n")]), ["base/id.rs:2"]);
    assert_eq!(
        places(&[("base/id.rs", "use crate::{\n    base,\n    store::{self, local as l},\n};\n")]),
        ["base/id.rs:3"]
    );
    assert_eq!(places(&[("format/pack.rs", "pub use crate::repo::*;\n")]), ["format/pack.rs:1"]);
    assert_eq!(places(&[("format/mod.rs", "use super::engine as e;\n")]), ["format/mod.rs:1"]);
    assert_eq!(places(&[("format/pack.rs", "use super::super::engine;\n")]), ["format/pack.rs:1"]);
    assert_eq!(
        places(&[("format/pack.rs", "mod a { use super::super::super::engine; }\n")]),
        ["format/pack.rs:1"]
    );
}

#[test]
fn rooms_of_one_layer_do_not_see_each_other() {
    assert_eq!(places(&[("store/mod.rs", "fn f(key: &crate::crypto::Key) {}\n")]), ["store/mod.rs:1"]);
    assert_eq!(places(&[("repo/open.rs", "fn f() { crate::host::walk() }\n")]), ["repo/open.rs:1"]);
    assert_eq!(
        places(&[("error.rs", "use crate::host::E;\n"), ("repo/mod.rs", "use crate::error::E;\n")]),
        ["repo/mod.rs:1"]
    );
}

#[test]
fn walls_hold_in_macros_attributes_visibilities_and_tests() {
    assert_eq!(
        places(&[("base/id.rs", "fn f() {\n    assert!(1 < crate::store::LEN);\n}\n")]),
        ["base/id.rs:2"]
    );
    assert_eq!(
        places(&[("base/id.rs", "macro_rules! m { () => { $crate::store::f() } }\n")]),
        ["base/id.rs:1"]
    );
    assert_eq!(places(&[("base/id.rs", "quick! { use super::super::{store::X}; }\n")]), ["base/id.rs:1"]);
    assert_eq!(places(&[("base/id.rs", "#[derive(crate::store::D)]\nstruct S;\n")]), ["base/id.rs:1"]);
    assert_eq!(
        places(&[("base/id.rs", "#[cfg(test)]\nmod tests {\n    use crate::store::M;\n}\n")]),
        ["base/id.rs:3"]
    );
}

#[test]
fn walls_cannot_be_walked_around() {
    assert_eq!(places(&[("base/id.rs", "use crate as all;\n")]), ["base/id.rs:1"]);
    assert_eq!(places(&[("base/id.rs", "use crate::{self as all};\n")]), ["base/id.rs:1"]);
    assert_eq!(places(&[("base/id.rs", "use super::super::*;\n")]), ["base/id.rs:1"]);
    assert_eq!(places(&[("base/id.rs", "use crate::Store;\n")]), ["base/id.rs:1"]);
    assert_eq!(places(&[("base/id.rs", "#[path = \"../store/mod.rs\"]\nmod store;\n")]), ["base/id.rs:1"]);
    assert_eq!(places(&[("base/id.rs", "include!(\"x.rs\");\n")]), ["base/id.rs:1"]);
    assert_eq!(places(&[("cellar/mod.rs", "")]), ["cellar/mod.rs:1"]);
    assert_eq!(places(&[("lib.rs", "pub use base::Id;\nfn f() {}\n")]), ["lib.rs:2"]);
}

#[test]
fn verbs_do_not_use_verbs() {
    let tree = |restore| {
        [
            (
                "engine/mod.rs",
                "mod ingest;\nmod pipeline;\nmod restore;\npub use ingest::{Report as IngestReport};\n",
            ),
            ("engine/ingest/mod.rs", "use super::pipeline;\nuse crate::repo::Repo;\nuse self::plan::Plan;\n"),
            ("engine/ingest/plan.rs", "use super::super::pipeline::Queue;\nuse crate::engine::ingest::X;\n"),
            ("engine/pipeline.rs", ""),
            ("engine/tests/whole.rs", "use crate::engine::{ingest, restore};\n"),
            ("engine/restore.rs", restore),
        ]
    };
    assert_clean(&tree("use super::pipeline::Queue;\n"));
    for upset in [
        "use super::ingest;\n",
        "use crate::engine::{ingest::plan, pipeline};\n",
        "fn f() { super::ingest::run() }\n",
        "use super::IngestReport;\n",
        "use super::*;\n",
    ] {
        assert_eq!(places(&tree(upset)), ["engine/restore.rs:1"], "{upset}");
    }
    assert_eq!(
        places(&[("engine/mod.rs", "pub use ingest::*;\n"), ("engine/ingest.rs", "")]),
        ["engine/mod.rs:1"]
    );
    let helper = [("engine/pipeline.rs", "use super::ingest;\n"), ("engine/ingest.rs", "")];
    assert_eq!(places(&helper), ["engine/pipeline.rs:1"]);
}

#[test]
fn command_line_stays_out_of_test_doors() {
    let path = "crates/containerarchive-cli/src/main.rs";
    let found =
        findings(&[(path, "use containerarchive::store;\nfn f() { store::conformance::run(); print!() }\n")]);
    assert_eq!(found.iter().map(place).collect::<Vec<_>>(), [format!("{path}:2")]);
}

#[test]
fn forbidden_calls_are_found() {
    for call in [
        "x.unwrap()",
        "x.expect(\"y\")",
        "x.map(Option::unwrap)",
        "assert!(x.unwrap())",
        "panic!()",
        "println!(\"{x}\")",
        "dbg!(x)",
        "todo!()",
        "env!(\"HOME\")",
        "std::env::var(\"HOME\")",
        "std::process::exit(1)",
        "clap::Parser::parse()",
        "unsafe { x }",
        "std::fs::write(x, y)",
        "std::fs::File::create(x)",
    ] {
        assert_eq!(
            places(&[("repo/mod.rs", &format!("fn f() {{\n{call}\n}}\n"))]),
            ["repo/mod.rs:2"],
            "{call}"
        );
    }
    let renamed = "use std::fs::{self as files, File as F};\nuse std::env;\nfn f() {\nfiles::rename(a, b);\nF::create(a);\nenv::vars();\n}\n";
    assert_eq!(places(&[("repo/mod.rs", renamed)]), ["repo/mod.rs:4", "repo/mod.rs:5", "repo/mod.rs:6"]);
}

#[test]
fn allowed_neighbours_of_forbidden_calls_pass() {
    assert_clean(&[(
        "repo/mod.rs",
        "fn f() { env!(\"CARGO_PKG_VERSION\"); x.unwrap_or(1); std::fs::read(x); exit(1); }\n",
    )]);
    assert_clean(&[(
        "repo/mod.rs",
        "#[expect(clippy::expect_used, reason = \"unwrap\")]\nfn f() { let unwrap = 1; }\n",
    )]);
    assert_clean(&[("parity/kernel/avx2.rs", "fn f() { unsafe { x() } }\n")]);
}

#[test]
fn test_code_is_told_by_its_conditions() {
    let conformance = ("store/conformance.rs", "fn f() { x.unwrap() }\n");
    let declared = |condition: &str| format!("#[cfg({condition})]\nmod conformance;\n");
    assert_clean(&[conformance, ("store/mod.rs", &declared("any(test, feature = \"testing\")"))]);
    assert_clean(&[conformance, ("store/mod.rs", &declared("all(unix, test)"))]);
    for condition in ["unix", "not(test)", "any(test, unix)", "not(unix)", "feature = \"fast\""] {
        let mine = declared(condition);
        assert_eq!(
            places(&[conformance, ("store/mod.rs", &mine)]),
            ["store/conformance.rs:1"],
            "{condition}"
        );
    }
    assert_clean(&[("store/tests/local.rs", "fn f() { x.unwrap() }\n")]);
    assert_eq!(places(&[("store/mod.rs", "todo!();\n")]), ["store/mod.rs:1"]);
}

#[test]
fn long_files_and_functions_are_found() {
    let body = |count: usize| format!("fn long() {{\n{}}}\n", "    x();\n".repeat(count));
    assert_clean(&[("base/id.rs", &body(78))]);
    assert_eq!(
        places(&[("base/id.rs", &format!("struct S;\nimpl S {{\n{}}}\n", body(79)))]),
        ["base/id.rs:3"]
    );
    assert_clean(&[("base/id.rs", &format!("#[cfg(test)]\nmod tests {{\n{}}}\n", body(600)))]);
    assert_eq!(places(&[("base/id.rs", &"struct S;\n".repeat(501))]), ["base/id.rs:1"]);
    assert_clean(&[("base/tests.rs", &"struct S;\n".repeat(900))]);
    assert_eq!(places(&[("base/tests.rs", &"struct S;\n".repeat(901))]), ["base/tests.rs:1"]);
}

#[test]
fn exemptions_hold_and_stale_ones_are_found() {
    let exemptions = Exemptions {
        long_files: &[("a.rs", "a table"), ("b.rs", "no longer")],
        long_functions: &[("a.rs", "f", "a table"), ("b.rs", "g", "no longer")],
        absolute_paths: &[("notes.md", "an example"), ("b.rs", "no longer")],
    };
    let long = format!("fn f() {{\n{}}}\n", "x();\n".repeat(500));
    let note = format!("see {}x\n", ["", "root", ""].join("/"));
    let found = check(&Tree::of(&[("a.rs", &long), ("b.rs", ""), ("notes.md", &note)]), &exemptions);
    assert_eq!(found.iter().map(place).collect::<Vec<_>>(), ["b.rs:1"; 3]);
}

#[test]
fn dependencies_want_a_reason_and_one_home() {
    let root = "[workspace.dependencies]\nzstd = \"1\"\na = { version = \"#1\", features = [\n  \"x\",\n] } # why\nb = \"1\" #\n";
    let member = "[dependencies]\nzstd = \"1\"\nb.workspace = true\n\n[target.'cfg(unix)'.dev-dependencies]\nc = \"1\"\n";
    let found = findings(&[
        ("Cargo.toml", root),
        ("x/Cargo.toml", member),
        ("y/Cargo.toml", "[workspace]\n[dependencies]\nc = \"1\"\n"),
    ]);
    let found: Vec<String> = found.iter().map(place).collect();
    assert_eq!(found, ["Cargo.toml:2", "Cargo.toml:6", "x/Cargo.toml:2", "x/Cargo.toml:6"]);
}

#[test]
fn texts_are_portable_and_trimmed() {
    let work = ["", "work", ""].join("/");
    let cases = [
        ("a.md", format!("see {work}notes\n"), true),
        ("a.md", format!("see target{work}notes and $X{work}\n"), false),
        ("a.md", "x \n".to_owned(), true),
        ("a.txt", "x \n".to_owned(), false),
        ("a.rs", "fn f() {\n\t}\n".to_owned(), true),
        ("a.rs", "// gr\u{fc}n\nconst S: &str = \"gr\u{fc}n\";\n".to_owned(), false),
        ("a.rs", "fn gr\u{fc}n() {}\n".to_owned(), true),
        ("a.rs", "fn {\n".to_owned(), true),
    ];
    for (path, text, is_wrong) in cases {
        assert_eq!(!findings(&[(path, &text)]).is_empty(), is_wrong, "{text}");
    }
}

#[test]
fn rules_of_the_format_are_unique_and_cased() {
    let format = "**R-PACK-1** a\n**R-PACK-2** b, see R-PACK-1\n**R-TREE-1** c\n";
    let kit = |path: &'static str| (path, "x\n");
    let uncased = ("testdata/kit/UNCASED.md", "- R-PACK-2: needs a terabyte\n");
    let lines = |files: &[(&str, &str)]| findings(files).iter().map(place).collect::<Vec<_>>();

    assert_eq!(lines(&[("docs/FORMAT.md", format)]), [""; 0]);
    assert_eq!(lines(&[("docs/FORMAT.md", "**R-PACK-1** a\n**R-PACK-1** b\n")]), ["docs/FORMAT.md:2"]);

    let whole = [
        ("docs/FORMAT.md", format),
        kit("testdata/kit/pack/R-PACK-1/a"),
        kit("testdata/kit/tree/R-TREE-1/a"),
        uncased,
    ];
    assert_eq!(lines(&whole), [""; 0]);
    assert_eq!(lines(&whole[..3]), ["docs/FORMAT.md:2"]);
    assert_eq!(
        lines(&[&whole[..], &[kit("testdata/kit/pack/R-PACK-9/a")]].concat()),
        ["testdata/kit/pack/R-PACK-9:1"]
    );
    assert_eq!(
        lines(&[&whole[..], &[kit("testdata/kit/tree/R-PACK-1/a")]].concat()),
        ["testdata/kit/tree/R-PACK-1:1"]
    );
    let listed = |line| [&whole[..3], &[("testdata/kit/UNCASED.md", line)]].concat();
    assert_eq!(lines(&listed("- R-PACK-2:\n")), ["testdata/kit/UNCASED.md:1"]);
    assert_eq!(
        lines(&listed("- R-PACK-2: huge\n- R-PACK-1: no\n- R-X-1: no\n")),
        ["testdata/kit/UNCASED.md:2", "testdata/kit/UNCASED.md:3"]
    );
}

#[test]
fn a_folder_is_read_with_and_without_git() {
    let folder = tempfile::tempdir().unwrap();
    let room = folder.path().join(LIBRARY).join("base");
    std::fs::create_dir_all(&room).unwrap();
    std::fs::create_dir(folder.path().join("target")).unwrap();
    std::fs::write(folder.path().join("target/x.rs"), "fn {").unwrap();
    std::fs::write(folder.path().join(".gitignore"), "/target\n").unwrap();
    std::fs::write(folder.path().join("data.bin"), [0, 159, 146]).unwrap();
    std::fs::write(room.join("id.rs"), "use crate::repo::Repo;\n").unwrap();
    let expected = [format!("{LIBRARY}base/id.rs:1")];
    assert_eq!(run(folder.path()).iter().map(place).collect::<Vec<_>>(), expected);

    let git = std::process::Command::new("git").args(["init", "--quiet"]).current_dir(folder.path()).status();
    if git.is_ok_and(|status| status.success()) {
        assert_eq!(run(folder.path()).iter().map(place).collect::<Vec<_>>(), expected);
    }
}
