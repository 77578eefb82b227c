//! `unlock`, beside real processes that were killed or live.

use std::io::Write;
use std::process::Child;

use containerarchive::base::DomainId;
use containerarchive::repo::Maintenance;
use serde_json::{Value, json};

use super::strikes::Insight;
use super::support::{Ended, Lab, noise};

/// An ingest that waits for its input, after it registered.
fn waiting_ingest(lab: &Lab) -> (Child, String) {
    let child = lab.spawn(["ingest", "--name", "late", "--json", "-"]);
    while lab.objects("locks").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let lock = lab.objects("locks").remove(0);
    (child, lock.file_stem().unwrap().to_str().unwrap().to_owned())
}

fn finish(mut child: Child, content: &[u8]) -> Ended {
    child.stdin.take().unwrap().write_all(content).unwrap();
    child.wait_with_output().unwrap().into()
}

fn ids(sessions: &Value) -> Vec<&str> {
    sessions.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect()
}

fn locks(lab: &Lab) -> usize {
    let locks = lab.objects("locks");
    locks.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")).count()
}

#[test]
fn a_killed_ingest_is_ended_and_can_never_commit() {
    for lab in [Lab::encrypted(), Lab::plain()] {
        let (mut child, id) = waiting_ingest(&lab);
        child.kill().unwrap();
        child.wait().unwrap();
        let document = lab.run(["unlock", "--json"]).succeeded().json();
        assert_eq!(document["schema"], "containerarchive/unlock/1");
        assert_eq!((ids(&document["ended"]), &document["left"]), (vec![id.as_str()], &json!([])));
        assert_eq!(
            (&document["ended"][0]["state"], &document["ended"][0]["pid"]),
            (&json!("dead"), &json!(child.id()))
        );
        assert_eq!(lab.run(["status", "--json"]).json()["sessions"], json!([]));
        for object in [format!("locks/{id}.fence"), format!("snapshots/{id}.void")] {
            assert!(lab.repository().join(&object).exists(), "{object}");
        }
        let again = lab.run(["unlock"]).succeeded();
        assert_eq!(again.text(), "there are no sessions\n");
        lab.pipe(b"x", ["ingest", "-"]).succeeded();
    }
}

#[test]
fn a_live_ingest_is_left_alone_and_commits_under_its_own_session() {
    let lab = Lab::encrypted();
    let (child, id) = waiting_ingest(&lab);
    let text = lab.run(["unlock"]).succeeded();
    assert!(
        text.text().contains("1 session left alone") && text.text().contains("--force"),
        "{}",
        text.text()
    );
    let document = lab.run(["unlock", "--json"]).succeeded().json();
    assert_eq!((&document["ended"], ids(&document["left"])), (&json!([]), vec![id.as_str()]));
    let content = noise(300_000);
    assert_eq!(finish(child, &content).succeeded().json()["snapshot"]["id"], *id);
    assert_eq!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout, content);
    assert_eq!(locks(&lab), 0);
}

#[test]
fn force_makes_a_live_ingest_commit_under_a_new_session_and_nothing_is_lost() {
    for lab in [Lab::encrypted(), Lab::plain()] {
        let (child, id) = waiting_ingest(&lab);
        let text = lab.run(["unlock", "--force"]).succeeded();
        assert!(
            text.text().contains("1 session ended") && text.text().contains("under a new session"),
            "{}",
            text.text()
        );
        let content = noise(300_000);
        let new = finish(child, &content).succeeded().json()["snapshot"]["id"].clone();
        assert_ne!(new, *id);
        assert_eq!(lab.snapshots().iter().map(|snapshot| &snapshot["id"]).collect::<Vec<_>>(), [&new]);
        assert_eq!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout, content);
        assert_eq!(locks(&lab), 0);
        lab.run(["verify", "--level", "full"]).succeeded();
    }
}

#[test]
fn who_holds_the_repository_is_named_and_can_be_ended() {
    let lab = Lab::encrypted();
    let insight = Insight::of(&lab, true);
    let repository = insight.repository();
    let domain = repository.keys.domain(DomainId::MAIN).unwrap().unwrap();
    let held = Maintenance::begin(repository, &domain, "repair").unwrap();
    let failed = lab.run(["repair", "--json"]);
    assert_eq!(failed.code, 11, "{}", failed.stderr);
    let message = failed.json_error()["error"]["message"].as_str().unwrap().to_owned();
    let holder = format!("'repair' by test@test, process {}, since 20", std::process::id());
    assert!(message.contains(&holder), "{message}");
    lab.run(["unlock"]).succeeded();
    lab.run(["repair"]).failed(11, "another maintenance session is running");
    lab.run(["unlock", "--force"]).succeeded();
    lab.run(["repair"]).succeeded();
    held.end(repository).unwrap();
}

#[test]
fn a_key_that_only_adds_snapshots_ends_no_session() {
    let mut lab = Lab::encrypted();
    lab.run(["key", "add", "--capability", "write", "--new-key-file", "writer.key"]).succeeded();
    let (child, _) = waiting_ingest(&lab);
    lab.unset("CONTAINERARCHIVE_PASSPHRASE");
    lab.set("CONTAINERARCHIVE_KEY_FILE", lab.path("writer.key").display().to_string());
    lab.run(["unlock", "--force"]).failed(12, "needs an admin key");
    assert_eq!(locks(&lab), 1);
    finish(child, b"x").succeeded();
}
