//! What the rules of retention say of each snapshot: for people, and as part of a document.

use containerarchive::{JudgedSnapshot, RetentionPlan, Verdict};
use serde::Serialize;

use crate::ui::{Printable, Table, beginning, count, output_width, time};

/// Digits of an id that are shown.
const ID_DIGITS: usize = 12;
/// Columns of a series that are shown.
const SERIES_COLUMNS: usize = 30;

/// What becomes of one snapshot, in a document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "PruneVerdict"))]
pub(crate) struct VerdictDocument<'a> {
    id: String,
    created_at: String,
    series: &'a str,
    domain: String,
    keep: bool,
    /// Why, at least one.
    reasons: Vec<String>,
}

impl<'a> From<&'a JudgedSnapshot> for VerdictDocument<'a> {
    fn from(judged: &'a JudgedSnapshot) -> Self {
        let manifest = &judged.snapshot.manifest;
        let (keep, reasons) = match &judged.verdict {
            Verdict::Keep(reasons) => (true, reasons.iter().map(ToString::to_string).collect()),
            Verdict::Remove(reason) => (false, vec![reason.to_string()]),
        };
        Self {
            id: manifest.id.to_hex(),
            created_at: manifest.created_at.to_string(),
            series: &manifest.series,
            domain: judged.snapshot.domain.to_hex(),
            keep,
            reasons,
        }
    }
}

/// A line for each snapshot, oldest first, and a sum.
pub(crate) fn text(plan: &RetentionPlan) -> String {
    let mut table = Table::new(&["", "ID", "TIME", "SERIES", "WHY"], &[]);
    for judged in &plan.snapshots {
        let manifest = &judged.snapshot.manifest;
        let what = if matches!(judged.verdict, Verdict::Keep(_)) { "keep" } else { "remove" };
        table.row([
            what.to_owned(),
            manifest.id.to_hex()[..ID_DIGITS].to_owned(),
            time(manifest.created_at),
            beginning(&Printable(&manifest.series).to_string(), SERIES_COLUMNS),
            judged.verdict.to_string(),
        ]);
    }
    let (kept, removed) = (plan.kept().count() as u64, plan.removed().count() as u64);
    let sum = format!("{} kept, {removed} removed\n", count(kept, "snapshot"));
    if plan.snapshots.is_empty() { sum } else { format!("{}{sum}", table.fit(&[3], output_width())) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use containerarchive::base::DomainId;
    use containerarchive::{
        Dating, KeepReason, LoadedManifest, Manifest, RemoveReason, SnapshotId, Timestamp,
    };
    use serde_json::json;

    use super::*;

    fn judged(number: u8, verdict: Verdict) -> JudgedSnapshot {
        let manifest = Manifest {
            version: 1,
            id: SnapshotId([number; 16]),
            created_at: Timestamp(0),
            committed_at: Timestamp(0),
            series: "db\u{202e}".to_owned(),
            tags: BTreeMap::new(),
            original_size: 0,
            stored_size: 0,
            chunk_count: 0,
            new_chunks: 0,
            reused_chunks: 0,
            items: Vec::new(),
            host: String::new(),
            user: String::new(),
            duration_ms: 0,
            previous: Vec::new(),
        };
        let snapshot =
            LoadedManifest { manifest, domain: DomainId::MAIN, blake3: [0; 32], stored_at: Timestamp(0) };
        JudgedSnapshot { snapshot, dating: Dating::InTime, verdict }
    }

    #[test]
    fn each_snapshot_is_told_with_all_reasons_and_nothing_deceives_a_terminal() {
        let tag = KeepReason::Tag { key: "k".to_owned(), value: "\u{202e}v".to_owned() };
        let keep = Verdict::Keep(vec![KeepReason::Last { number: 1, of: 5 }, tag]);
        let snapshots = vec![judged(1, Verdict::Remove(RemoveReason::NoRule)), judged(2, keep)];
        let plan = RetentionPlan { snapshots, damaged: BTreeMap::new() };
        let text = text(&plan);
        assert!(text.contains("remove  010101010101  ") && text.contains("no rule keeps it\n"), "{text}");
        assert!(text.contains("last 1 of 5, tag k=\\u{202e}v\n"), "{text}");
        assert!(text.ends_with("1 snapshot kept, 1 removed\n") && !text.contains('\u{202e}'), "{text}");
        let documents: Vec<_> = plan.snapshots.iter().map(VerdictDocument::from).collect();
        let document = serde_json::to_value(&documents[0]).unwrap();
        assert_eq!((&document["keep"], &document["reasons"]), (&json!(false), &json!(["no rule keeps it"])));
    }
}
