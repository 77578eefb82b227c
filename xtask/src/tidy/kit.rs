//! Each rule of the format is numbered once and has a case in the kit.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::tree::Tree;

const FORMAT: &str = "docs/FORMAT.md";
const KIT: &str = "testdata/kit/";
const UNCASED: &str = "testdata/kit/UNCASED.md";

pub(crate) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let Some(format) = tree.text(FORMAT) else { return };
    let rules = rules(format, findings);
    if !tree.files.iter().any(|file| file.path.starts_with(KIT)) {
        return;
    }
    let cased = cased(tree, &rules, findings);
    let uncased = uncased(tree.text(UNCASED).unwrap_or_default(), &rules, &cased, findings);
    for (rule, line) in &rules {
        if !cased.contains(*rule) && !uncased.contains(*rule) {
            let folder = format!("{KIT}{}/{rule}/", object(rule));
            let message =
                format!("{rule} has no case; add {folder}, or list it with the reason in {UNCASED}");
            findings.push(Finding::new(FORMAT, *line, message));
        }
    }
}

/// The rules, written `**R-PACK-3**` where they are stated, with their lines.
fn rules<'a>(format: &'a str, findings: &mut Vec<Finding>) -> BTreeMap<&'a str, usize> {
    let mut rules = BTreeMap::new();
    for (index, line) in format.lines().enumerate() {
        // Between an opening and a closing pair of stars lies every second part.
        for rule in line.split("**").skip(1).step_by(2).filter(|part| is_rule(part)) {
            let first = *rules.entry(rule).or_insert(index + 1);
            if first != index + 1 || line.matches(&format!("**{rule}**")).count() > 1 {
                let message =
                    format!("{rule} is stated on line {first} already; give this rule a number of its own");
                findings.push(Finding::new(FORMAT, index + 1, message));
            }
        }
    }
    rules
}

/// The rules that have a folder `testdata/kit/<object>/<rule>/`.
fn cased<'a>(
    tree: &'a Tree,
    rules: &BTreeMap<&str, usize>,
    findings: &mut Vec<Finding>,
) -> BTreeSet<&'a str> {
    let mut cased = BTreeSet::new();
    for file in &tree.files {
        let Some(inside) = file.path.strip_prefix(KIT) else {
            continue;
        };
        let parts: Vec<&str> = inside.split('/').collect();
        let [folder, rule, _, ..] = parts.as_slice() else {
            continue;
        };
        cased.insert(*rule);
        let path = format!("{KIT}{folder}/{rule}");
        if !rules.contains_key(rule) {
            findings.push(Finding::new(
                &path,
                1,
                format!("{FORMAT} states no rule {rule}; state it or rename the folder"),
            ));
        } else if **folder != object(rule) {
            findings.push(Finding::new(&path, 1, format!("belongs in {KIT}{}/", object(rule))));
        }
    }
    cased
}

/// The rules that are listed with a reason for having no case.
fn uncased<'a>(
    list: &'a str,
    rules: &BTreeMap<&str, usize>,
    cased: &BTreeSet<&str>,
    findings: &mut Vec<Finding>,
) -> BTreeSet<&'a str> {
    let mut uncased = BTreeSet::new();
    for (index, line) in list.lines().enumerate() {
        let words = line.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '-');
        let Some(rule) = words.clone().find(|word| is_rule(word)) else {
            continue;
        };
        let problem = if !rules.contains_key(rule) {
            Some(format!("{FORMAT} states no rule {rule}; remove the line"))
        } else if cased.contains(rule) {
            Some(format!("{rule} has a case; remove the line"))
        } else if !words.into_iter().any(|word| !is_rule(word) && word.contains(char::is_alphabetic)) {
            Some(format!("{rule}: say why it has no case"))
        } else {
            None
        };
        findings.extend(problem.map(|problem| Finding::new(UNCASED, index + 1, problem)));
        uncased.insert(rule);
    }
    uncased
}

/// `R-PACK-3`: upper-case object, number.
fn is_rule(text: &str) -> bool {
    let Some((object, number)) = text.strip_prefix("R-").and_then(|rest| rest.rsplit_once('-')) else {
        return false;
    };
    let is_object = object.starts_with(|first: char| first.is_ascii_uppercase())
        && object.chars().all(|sign| sign.is_ascii_uppercase() || sign.is_ascii_digit() || sign == '-');
    is_object && !number.is_empty() && number.chars().all(|sign| sign.is_ascii_digit())
}

/// The folder of a rule's object: `pack` for `R-PACK-3`.
fn object(rule: &str) -> String {
    let object =
        rule.strip_prefix("R-").and_then(|rest| rest.rsplit_once('-')).map_or("", |(object, _)| object);
    object.to_ascii_lowercase()
}
