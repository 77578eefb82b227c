use super::super::roofline::tests::rates;
use super::super::samples::record;
use super::super::samples::tests::sample;
use super::*;

fn work() -> WorkReport {
    let mut series = Vec::new();
    for (tool, wall_s) in [("containerarchive", 2.0), ("restic", 6.0), ("borg", 5.0)] {
        for step in Step::ALL {
            record(&mut series, tool, step, sample(wall_s));
        }
    }
    WorkReport {
        name: "a.sql".to_owned(),
        next_name: Some("b.sql".to_owned()),
        plain_bytes: 1_000_000_000,
        second_bytes: 1_100_000_000,
        primitives: rates(),
        new_shares: [1.0, 0.1],
        series,
        profile: None,
    }
}

fn report(works: Vec<WorkReport>, missing: Vec<String>) -> Report {
    let text = |text: &str| text.to_owned();
    let machine = Machine {
        date: text("2030-01-01"),
        processor: text("A Processor"),
        cores: 2,
        memory: text("8.0 GiB"),
        kernel: text("6.1"),
        file_system: text("ext4"),
        load: text("0.00 0.01 0.02"),
    };
    let versions = vec![text("containerarchive 1"), text("borg 1.4")];
    Report { command: text("cargo xtask bench a.sql,b.sql"), machine, versions, runs: 1, missing, works }
}

#[test]
fn the_engine_is_compared_with_the_fastest_peer() {
    assert_eq!(work().lead(Step::First), Some(2.5));
    let row = "| first ingest | containerarchive | 500 | 2.00 | 2.00–2.00 | 4.00 | 100 | 250,000,000 | 240,000,000 | 2.50 | 92 % |";
    assert!(work().steps(2).to_string().contains(row), "{}", work().steps(2));
}

#[test]
fn without_peers_there_is_no_comparison() {
    let mut alone = work();
    alone.series.retain(|series| series.tool == OWN.name);
    assert_eq!(alone.lead(Step::First), None);
    assert!(alone.steps(2).to_string().contains("| 240,000,000 |  | "), "{}", alone.steps(2));
}

#[test]
fn the_roofline_of_each_step_uses_its_own_bytes() {
    let work = work();
    let first = work.roofline(Step::First, 2).unwrap();
    assert_eq!(first, Roofline::of_ingest(&rates(), 2, 1_000_000_000, 1.0, sample(2.0).added));
    let second = work.roofline(Step::Second, 2).unwrap();
    assert_eq!(second, Roofline::of_ingest(&rates(), 2, 1_100_000_000, 0.1, sample(2.0).added));
    let restore = work.roofline(Step::Restore, 2).unwrap();
    assert_eq!(restore, Roofline::of_restore(&rates(), 2, 1_100_000_000, 247_500_000.0));
    let verify = work.roofline(Step::Verify, 2).unwrap();
    assert_eq!(verify, Roofline::of_verify(&rates(), 2, 1_110_000_000.0, sample(2.0).stored));
    assert_eq!(work.least_times(2).to_string().lines().count(), 6);
}

#[test]
fn what_was_not_measured_is_named() {
    let text = report(vec![work()], vec!["bupstash: not on the `PATH`".to_owned()]).to_markdown();
    assert!(text.contains("Not measured:\n\n- bupstash: not on the `PATH`\n"), "{text}");
    assert!(!report(vec![work()], Vec::new()).to_markdown().contains("Not measured"));
}

#[test]
fn a_tool_that_failed_everywhere_leaves_the_others_readable() {
    let mut work = work();
    work.series.retain(|series| series.tool != OWN.name);
    let text = report(vec![work], vec!["containerarchive: failed".to_owned()]).to_markdown();
    assert!(text.contains("| first ingest | borg |"), "{text}");
}

#[test]
fn the_document_has_no_folders_and_no_blanks_at_line_ends() {
    let text = report(vec![work()], Vec::new()).to_markdown();
    assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
    assert!(
        text.contains("## a.sql, then b.sql\n\n1,000,000,000 bytes, then 1,100,000,000 bytes; median of 1.")
    );
    assert!(text.contains("\nOf the last bytes that containerarchive stored, 10,000,000 are parity.\n"));
    assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{text}");
}

#[test]
fn less_work_than_the_primitives_need_is_called_a_disturbed_measurement() {
    let mut work = work();
    assert_eq!(work.disturbed(2), Vec::<&str>::new());
    for series in work.series.iter_mut().filter(|series| series.step == Step::Restore) {
        series.samples[0].usage.cpu_s = 0.5;
    }
    assert_eq!(work.disturbed(2), ["restore"]);
    assert!(work.to_markdown(2, 1).contains("restore: the process used less"));
}
