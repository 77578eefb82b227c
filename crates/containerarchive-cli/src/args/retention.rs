//! The verbs that keep and remove snapshots, and the options of the rules.

use clap::Args;
use clap::builder::BoolishValueParser;
use containerarchive::{GroupBy, RetentionRules, Selector, Zone};

use super::FilterArgs;
use super::values::{
    Age, KeyValue, Share, parse_age, parse_group_by, parse_selector, parse_share, parse_zone,
};

pub(crate) const PRUNE_EXAMPLES: &str = "\
A snapshot stays if any rule keeps it; without rules none goes, and only space comes back that no snapshot needs. Rules \
compare the snapshots of each series, and never those of different write domains. What a restore reads stays for the next \
run; what is pinned stays.

Backups go on meanwhile, and none waits. Packs that are to go are first named in a record, so that nothing new refers to \
them; they are deleted when all sessions that began before have ended. What these still make use of is stored again before. \
If some have not ended after --drain, the exit code is 0, the output tells how much is pending on whom, and the next prune \
goes on. A prune may be interrupted or killed at any time.

It refuses (exit code 14, nothing is deleted) while a snapshot or anything that one needs is missing or damaged: run \
'containerarchive repair' first; what that cannot mend is accepted by 'containerarchive forget' with the whole id of the \
snapshot that it hurts. If only snapshots of a write domain are hurt, nothing of that domain is deleted, a warning says so, \
and the rest goes on. Beside another prune or repair it gives way with exit code 11.

On a disk without any free space it works, too, and first deletes what needs no copies; for what it must write 4 MiB are set \
aside in a repository on a local disk.

Examples:
  containerarchive prune --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run
  containerarchive prune --keep-last 3 --keep-within 30d --keep-tag hold=yes
  containerarchive prune                                    free what forgotten snapshots had";

pub(crate) const FORGET_EXAMPLES: &str = "\
SNAPSHOT is 'latest' (the newest that matches --tag and --series), 'latest~N' (the N-th before it), or the beginning \
of an id. All of them are found before the first one goes. A whole id may also name a snapshot that is damaged or \
missing: its loss is then accepted, and no longer told as damage.

A signed record of what was forgotten stays, so that nobody takes it for a loss. Backups go on meanwhile; what a restore \
is reading stays, with exit code 11. If any of the snapshots is pinned, none is forgotten (E_PINNED). The packs stay as they \
are: space comes back with the next prune.

Examples:
  containerarchive forget --dry-run latest~3 latest~4
  containerarchive forget 3f2a90c1";

pub(crate) const PIN_EXAMPLES: &str = "\
SNAPSHOT is 'latest' (the newest that matches --tag and --series), 'latest~N' (the N-th before it), or the beginning \
of an id. A pinned snapshot stays whatever the rules of retention say, and 'forget' refuses it, until it is unpinned. It \
still counts for rules. 'snapshots' and 'show' tell which ones are pinned.

Examples:
  containerarchive pin latest --series app.sql              before an upgrade";

pub(crate) const UNPIN_EXAMPLES: &str = "\
SNAPSHOT is 'latest' (the newest that matches --tag and --series), 'latest~N' (the N-th before it), or the beginning \
of an id.

Examples:
  containerarchive unpin 3f2a90c1";

/// `prune`
#[derive(Args)]
pub(crate) struct PruneArgs {
    /// Change nothing, and say what would go and why
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Rewrite packs until at most this share of what stays is unused: 5%, 0.5%
    #[arg(long, env = "CONTAINERARCHIVE_MAX_UNUSED", value_name = "PERCENT", default_value = "5%", value_parser = parse_share)]
    pub(crate) max_unused: Share,
    /// How long to wait for sessions that began before: 30s, 10m or 2h
    #[arg(long, env = "CONTAINERARCHIVE_DRAIN", value_name = "TIME", default_value = "10m", value_parser = parse_age)]
    pub(crate) drain: Age,
    /// Wait for them as long as it takes
    #[arg(long, env = "CONTAINERARCHIVE_WAIT", value_parser = BoolishValueParser::new())]
    pub(crate) wait: bool,
    /// On storage without locks: after how long a session counts as dead that gives no sign
    #[arg(long, env = "CONTAINERARCHIVE_PATIENCE", value_name = "TIME", default_value = "1h", value_parser = parse_age)]
    pub(crate) patience: Age,
    /// Believe a listing that lacks packs which are there
    #[arg(long)]
    pub(crate) accept_loss: bool,
    #[command(flatten)]
    pub(crate) retention: RetentionArgs,
}

/// `forget`
#[derive(Args)]
pub(crate) struct ForgetArgs {
    /// latest, latest~N, or the beginning of an id; repeatable
    #[arg(value_name = "SNAPSHOT", required = true, value_parser = parse_selector)]
    pub(crate) snapshot: Vec<Selector>,
    /// Change nothing, and say what would be forgotten
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// `pin` and `unpin`
#[derive(Args)]
pub(crate) struct PinArgs {
    /// latest, latest~N, or the beginning of an id; repeatable
    #[arg(value_name = "SNAPSHOT", required = true, value_parser = parse_selector)]
    pub(crate) snapshot: Vec<Selector>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// What shall be kept.
#[derive(Args)]
#[command(next_help_heading = "Which snapshots stay")]
pub(crate) struct RetentionArgs {
    /// Keep the N newest of each series
    #[arg(long, env = "CONTAINERARCHIVE_KEEP_LAST", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_last: Option<u32>,
    /// Keep the newest of each of the N newest hours that have one
    #[arg(long, env = "CONTAINERARCHIVE_KEEP_HOURLY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_hourly: Option<u32>,
    /// Keep the newest of each of the N newest days that have one
    #[arg(long, env = "CONTAINERARCHIVE_KEEP_DAILY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_daily: Option<u32>,
    /// Keep the newest of each of the N newest weeks that have one; they begin on Monday
    #[arg(long, env = "CONTAINERARCHIVE_KEEP_WEEKLY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_weekly: Option<u32>,
    /// Keep the newest of each of the N newest months that have one
    #[arg(long, env = "CONTAINERARCHIVE_KEEP_MONTHLY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_monthly: Option<u32>,
    /// Keep the newest of each of the N newest years that have one
    #[arg(long, env = "CONTAINERARCHIVE_KEEP_YEARLY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_yearly: Option<u32>,
    /// Keep all that are at most this much older than the newest of their series: 26h, 30d or 8w
    #[arg(long, env = "CONTAINERARCHIVE_KEEP_WITHIN", value_name = "AGE", value_parser = parse_age)]
    pub(crate) keep_within: Option<Age>,
    /// Keep all with this tag; repeatable
    #[arg(long, env = "CONTAINERARCHIVE_KEEP_TAG", value_name = "KEY=VALUE")]
    pub(crate) keep_tag: Vec<KeyValue>,
    /// What the rules compare: snapshots of a series, all ('none'), or those with the same value of a tag ('tag:KEY');
    /// never with those of another write domain
    #[arg(long, env = "CONTAINERARCHIVE_GROUP_BY", value_name = "WHAT", default_value = "series", value_parser = parse_group_by)]
    pub(crate) group_by: GroupBy,
    /// Where hours, days, weeks, months and years begin, such as Europe/Berlin or UTC [default: this computer's time
    /// zone, as for cron and systemd timers; name one where several hosts prune]
    #[arg(long, env = "CONTAINERARCHIVE_TIME_ZONE", value_name = "ZONE", value_parser = parse_zone)]
    pub(crate) time_zone: Option<Zone>,
}

impl RetentionArgs {
    /// The rules, in this computer's time zone unless another one is named.
    pub(crate) fn rules(&self) -> RetentionRules {
        let tags = self.keep_tag.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
        RetentionRules {
            last: self.keep_last.unwrap_or(0),
            hourly: self.keep_hourly.unwrap_or(0),
            daily: self.keep_daily.unwrap_or(0),
            weekly: self.keep_weekly.unwrap_or(0),
            monthly: self.keep_monthly.unwrap_or(0),
            yearly: self.keep_yearly.unwrap_or(0),
            within_ms: self.keep_within.map_or(0, |age| age.ms),
            tags: tags.collect(),
            group_by: self.group_by.clone(),
            zone: self.time_zone.clone().unwrap_or_else(|| Zone::from(jiff::tz::TimeZone::system())),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Probe {
        #[command(flatten)]
        retention: RetentionArgs,
    }

    fn rules(words: &[&str]) -> Option<RetentionRules> {
        let words = ["probe"].iter().chain(words);
        Probe::try_parse_from(words).ok().map(|probe| probe.retention.rules())
    }

    #[test]
    fn every_rule_has_an_option_and_none_is_on_by_itself() {
        let none = rules(&["--time-zone", "UTC"]).unwrap();
        assert_eq!(none, RetentionRules::default());
        assert!(none.is_empty());
        let words = "--keep-last 1 --keep-hourly 2 --keep-daily 3 --keep-weekly 4 --keep-monthly 5 --keep-yearly 6 \
                     --keep-within 30d --keep-tag a=b --keep-tag c=d --group-by tag:k --time-zone Europe/Berlin";
        let all = rules(&words.split(' ').collect::<Vec<_>>()).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = RetentionRules {
            last: 1,
            hourly: 2,
            daily: 3,
            weekly: 4,
            monthly: 5,
            yearly: 6,
            within_ms: 30 * 86_400_000,
            tags: [pair("a", "b"), pair("c", "d")].into(),
            group_by: GroupBy::Tag("k".to_owned()),
            zone: "Europe/Berlin".parse().unwrap(),
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn numbers_that_would_keep_nothing_and_forms_that_are_none_are_refused() {
        for words in [
            ["--keep-last", "0"],
            ["--keep-daily", "-1"],
            ["--keep-within", "0d"],
            ["--keep-within", "30"],
            ["--keep-tag", "a"],
            ["--group-by", "host"],
            ["--time-zone", "Berlin"],
        ] {
            assert!(rules(&words).is_none(), "{words:?}");
        }
    }
}
