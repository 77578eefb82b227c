//! Where the processor's time goes, by `perf`, where it is installed: self time of the engine's functions in groups.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::files;
use super::options::Work;
use super::process;
use super::samples::Step;
use super::tool::Tool;

/// Shares of the processor's time by group, in percent, largest first.
pub(crate) type Groups = Vec<(&'static str, f64)>;

/// Samples a second; prime, so that it does not fall in step with timers.
const FREQUENCY: &str = "997";

/// Parts of symbols, in lower case, and what they belong to; the first that fits counts.
const GROUPS: &[(&[&str], &str)] = &[
    (&["argon2", "slot_secrets_from_passphrase"], "Argon2id (passphrase)"),
    (&["sha256"], "SHA-256"),
    (&["aes", "gcm", "ghash"], "AES-256-GCM"),
    (&["blake3"], "BLAKE3"),
    (&["zstd_decompress", "huf_decompress", "decompress", "dtable"], "zstd, decompression"),
    (&["zstd", "huf_", "hist_", "fse_", "xxh"], "zstd, compression"),
    (&["::chunk::"], "cut"),
    (&["::parity::"], "parity"),
    (&["memmove", "memcpy", "memset"], "memory copies"),
];
const KERNEL_COPIES: &[&str] = &["copy_to_iter", "copy_from_iter", "copy_folio", "copy_user", "copy_page"];

/// Profiles every step of the engine once, in a repository below `folder`. The time that this takes is no measurement.
///
/// # Errors
/// perf or the engine failed.
pub(crate) fn run(tool: &Tool, work: &Work, folder: &Path) -> Result<Vec<(Step, Groups)>, String> {
    let log = folder.join("stderr");
    for mut command in tool.prepare(folder) {
        process::run(&mut command, None, None, &log)?;
    }
    let mut found = Vec::new();
    for step in Step::ALL {
        let source = if step == Step::First { &work.file } else { work.second() };
        files::warm(source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
        let data = folder.join("perf.data");
        let restored = folder.join("restored");
        let (command, input, output) = match step {
            Step::First | Step::Second => (tool.ingest(folder, ""), Some(source.as_path()), None),
            Step::Restore => (tool.restore(folder, ""), None, Some(restored.as_path())),
            Step::Verify => match tool.verify(folder) {
                Some(command) => (command, None, None),
                None => continue,
            },
        };
        process::run(&mut under_perf(&command, &data), input, output, &log)?;
        found.push((step, read(&data)?));
    }
    Ok(found)
}

/// Whether perf can be run.
pub(crate) fn is_there() -> bool {
    Command::new("perf").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The same command, watched by perf.
fn under_perf(command: &Command, data: &Path) -> Command {
    let mut perf = Command::new("perf");
    perf.args(["record", "--quiet", "--freq", FREQUENCY, "--output"]).arg(data).arg("--");
    process::behind(perf, command)
}

fn read(data: &Path) -> Result<Groups, String> {
    let mut command = Command::new("perf");
    command.args(["report", "--stdio", "--quiet", "--no-children", "--call-graph", "none"]);
    command.args(["--fields", "overhead,dso,symbol", "--field-separator", "|", "--input"]).arg(data);
    // Without a pager.
    let output = command.env("PERF_PAGER", OsStr::new("cat")).output();
    let output = output.map_err(|error| format!("cannot run perf: {error}"))?;
    let groups = group(&String::from_utf8_lossy(&output.stdout));
    if groups.is_empty() {
        return Err(format!(
            "perf has nothing to report: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        ));
    }
    Ok(groups)
}

/// Adds up lines `share%|program or library|[.] symbol`.
fn group(text: &str) -> Groups {
    let mut groups: Groups = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('|');
        let (Some(share), Some(_), Some(symbol)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let Ok(percent) = share.trim().trim_end_matches('%').parse::<f64>() else { continue };
        let name = name(symbol.trim());
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, sum)) => *sum += percent,
            None => groups.push((name, percent)),
        }
    }
    groups.sort_by(|one, other| other.1.total_cmp(&one.1));
    groups
}

fn name(symbol: &str) -> &'static str {
    let symbol = symbol.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| symbol.contains(part));
    if symbol.starts_with("[k]") {
        return if has(KERNEL_COPIES) { "kernel, copies of content" } else { "kernel, other" };
    }
    GROUPS.iter().find(|(parts, _)| has(parts)).map_or("other", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_added_up_in_groups() {
        let text = "\
20.91%|containerarchive    |[.] ZSTD_compressBlock_fast
 2.31%|containerarchive    |[.] HUF_compress1X_usingCTable_internal_bmi2
 0.31%|containerarchive    |[.] ZSTD_decompressSequences_bmi2.constprop.0
14.43%|containerarchive    |[.] aws_lc_0_47_0_sha256_block_data_order_hw
 4.40%|containerarchive    |[.] containerarchive::chunk::scan::scan
 0.15%|containerarchive    |[.] containerarchive::engine::pipeline::pool::Pool<W>::submit::{{closure}}
10.01%|[kernel.kallsyms]   |[k] copy_folio_from_iter_atomic
 0.97%|[kernel.kallsyms]   |[k] _raw_spin_lock

";
        let expected = [
            ("zstd, compression", 23.22),
            ("SHA-256", 14.43),
            ("kernel, copies of content", 10.01),
            ("cut", 4.40),
            ("kernel, other", 0.97),
            ("zstd, decompression", 0.31),
            ("other", 0.15),
        ];
        let groups = group(text);
        assert_eq!(groups.len(), expected.len(), "{groups:?}");
        for ((name, percent), (expected_name, expected_percent)) in groups.iter().zip(expected) {
            assert_eq!(*name, expected_name);
            assert!((percent - expected_percent).abs() < 1e-9, "{name} {percent}");
        }
        assert_eq!(group("Error:\nno samples\n"), []);
    }
}
