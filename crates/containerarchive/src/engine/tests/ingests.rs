//! What an ingest says of what is storable and probably not meant, and what it refuses before it begins.

use std::io::{self, Cursor};
use std::sync::Arc;

use super::support::{Lab, START, item};
use crate::base::limits::MAX_JSON_BYTES;
use crate::base::monitor::RecordingMonitor;
use crate::base::{SilentMonitor, Timestamp};
use crate::engine::{IngestItem, IngestOptions, Source, ingest};
use crate::error::{Error, ErrorCode};
use crate::store::{MemoryStore, StoreOperation};

const WRITER: [u8; 32] = [8; 32];

fn lab() -> Lab {
    let lab = Lab::new(Arc::new(MemoryStore::new()), true, 1);
    lab.create().unwrap();
    lab
}

/// What an ingest warns of.
fn warnings(lab: &Lab, key: [u8; 32], series: &str, time: Option<Timestamp>) -> Vec<String> {
    let repository = lab.open_with(key, &crate::base::NoPins, &SilentMonitor).unwrap();
    let options = IngestOptions { series: Some(series.to_owned()), time, ..IngestOptions::default() };
    let monitor = RecordingMonitor::default();
    ingest(&repository, vec![item("a", &b"content"[..])], &options, &monitor).unwrap();
    monitor.problems().iter().map(|problem| problem.text()).collect()
}

#[test]
fn a_new_series_is_told_where_only_digits_differ_and_else_is_nobodys_business() {
    let lab = lab();
    lab.add_writer(WRITER, None);
    for (series, told) in [
        ("app-2026-11-22.sql", false),
        ("other.sql", false),
        ("app-2026-11-22.sql", false),
        ("app-2026-11-23.sql", true),
        ("app-2026-11-23.sql", false),
        ("app-9-1-1.sql", true),
        ("app-x-11-23.sql", false),
        ("app.sql", false),
    ] {
        let told_of = warnings(&lab, super::support::ADMIN, series, None);
        assert_eq!(told_of.len(), usize::from(told), "{series}: {told_of:?}");
        assert!(told_of.iter().all(|text| text.contains("in digits only")), "{told_of:?}");
    }
    // Of another domain, by a key that reads nothing, and then by the admin, who has that name in another domain.
    assert_eq!(warnings(&lab, WRITER, "app-2026-11-24.sql", None), [""; 0]);
    assert_eq!(warnings(&lab, WRITER, "own-1", None), [""; 0]);
    assert_eq!(warnings(&lab, super::support::ADMIN, "own-2", None), [""; 0]);
}

#[test]
fn a_time_in_the_future_is_told_beyond_what_clocks_may_differ() {
    let lab = lab();
    lab.add_writer(WRITER, None);
    let minutes = |minutes: i64| Some(Timestamp(START.0 + minutes * 60_000));
    for key in [super::support::ADMIN, WRITER] {
        for (time, told) in [(None, false), (minutes(-5), false), (minutes(10), false), (minutes(11), true)] {
            let told_of = warnings(&lab, key, "a", time);
            assert_eq!(told_of.len(), usize::from(told), "{time:?}: {told_of:?}");
            assert!(told_of.iter().all(|text| text.contains("2026-11-22T00:11:00.000Z")), "{told_of:?}");
        }
    }
}

/// Says that it has much to say.
struct Talkative {
    content: Cursor<&'static [u8]>,
    max_evidence_bytes: usize,
    evidence: String,
}

impl Source for Talkative {
    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.content, buffer)
    }

    fn max_evidence_bytes(&self) -> usize {
        self.max_evidence_bytes
    }

    fn finish(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(Some(self.evidence.clone().into()))
    }
}

fn talkative(name: &str, max_evidence_bytes: usize, evidence_bytes: usize) -> IngestItem<'static> {
    let evidence = "x".repeat(evidence_bytes);
    let source = Talkative { content: Cursor::new(b"content"), max_evidence_bytes, evidence };
    IngestItem {
        name: name.to_owned(),
        item_type: "stream".to_owned(),
        source: Box::new(source),
        size_hint: None,
    }
}

#[test]
fn evidence_that_may_not_fit_is_refused_before_anything_is_stored_and_what_is_taken_fits() {
    let store = Arc::new(crate::store::ObservedStore::new(Arc::new(MemoryStore::new())));
    let lab = Lab::new(Arc::<crate::store::ObservedStore>::clone(&store), true, 1);
    lab.create().unwrap();
    let repository = lab.open().unwrap();
    let room = MAX_JSON_BYTES / 2;
    let ingest = |items| ingest(&repository, items, &IngestOptions::default(), &SilentMonitor);
    store.clear_calls();
    let error = ingest(vec![talkative("a", room / 2, 1), talkative("b", room / 2, 1)]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Usage);
    assert!(error.to_string().contains("make several snapshots of fewer items"), "{error}");
    for operation in [StoreOperation::Create, StoreOperation::Put, StoreOperation::Lock] {
        assert_eq!(store.count(operation), 0, "{operation}");
    }
    let most = room - 1000;
    ingest(vec![talkative("a", most, most - 2)]).unwrap();
    let error = ingest(vec![talkative("a", 99, 98)]).unwrap_err();
    assert!(matches!(error, Error::Incomplete { .. }), "{error}");
    ingest(vec![talkative("a", 100, 98)]).unwrap();
}
