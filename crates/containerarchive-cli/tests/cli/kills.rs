//! SIGKILL at random moments: what was acknowledged stays, what was not is absent or whole, the next command needs no
//! help, and an ingest that begins anew stores nothing twice. With CONTAINERARCHIVE_TEST_LONG some 500 times.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use containerarchive::base::ChunkId;
use serde_json::Value;

use super::strikes::{Dice, Insight, Moment, Packs, Struck, is_long, strike};
use super::support::Lab;

/// Small packs and chunks, so that a short input is many of them.
const SHAPE: [&str; 4] = ["--pack-size", "64KiB", "--chunk-size", "1KiB,4KiB,16KiB"];
const NAMES: [&str; 3] = ["app.sql", "etc/hosts", "var/volume.tar"];

type Items = BTreeMap<&'static str, Arc<Vec<u8>>>;

/// An acknowledged snapshot.
struct Kept {
    id: String,
    items: Items,
}

/// What is to be stored; the last item may come from the standard input.
struct Input {
    items: Items,
    is_piped: bool,
}

/// Where a kill hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hit {
    BeforeTheLock,
    Writing,
    /// Writing, behind a segment that was published on the way.
    BehindACheckpoint,
    /// All content is stored: the last packs, the segment, the manifest.
    Commit,
    /// The session's lock is gone, or the command had ended.
    After,
}

/// A repository under fire.
struct Scene {
    lab: Lab,
    dice: Dice,
    insight: Insight,
    kept: Vec<Kept>,
    packs: Packs,
    /// What an ingest takes, and its last part, from the first object of the index on.
    full: Duration,
    tail: Duration,
    hits: BTreeMap<Hit, usize>,
    retried: Retried,
}

/// Plain bytes of the inputs that were begun anew.
#[derive(Default)]
struct Retried {
    new_bytes: u64,
    /// That were in whole packs.
    saved_bytes: u64,
    stored_bytes: u64,
}

fn empty_lab(is_encrypted: bool) -> Lab {
    let mut lab = Lab::empty();
    if !is_encrypted {
        lab.unset("CONTAINERARCHIVE_PASSPHRASE");
        lab.set("CONTAINERARCHIVE_NO_ENCRYPTION", "true");
    }
    lab
}

impl Scene {
    fn begin(is_encrypted: bool, mut dice: Dice) -> Self {
        let mut lab = empty_lab(is_encrypted);
        lab.set("CONTAINERARCHIVE_THREADS", (1 + dice.below(2)).to_string());
        lab.run([&["init"], &SHAPE[..]].concat()).succeeded();
        lab.unset("CONTAINERARCHIVE_NO_ENCRYPTION");
        let insight = Insight::of(&lab, is_encrypted);
        let mut scene = Self {
            lab,
            dice,
            insight,
            kept: Vec::new(),
            packs: Packs::new(),
            full: Duration::ZERO,
            tail: Duration::ZERO,
            hits: BTreeMap::new(),
            retried: Retried::default(),
        };
        scene.run_undisturbed();
        scene
    }

    /// The first snapshot, and how long an ingest takes.
    fn run_undisturbed(&mut self) {
        let input = self.draw_input();
        let begun = Instant::now();
        let (struck, indexed) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                while self.lab.objects("index").is_empty() {
                    std::thread::sleep(Duration::from_micros(200));
                }
                Instant::now()
            });
            let struck = self.ingest(&input, Moment::Never);
            (struck, watch.join().unwrap())
        });
        assert!(struck.is_done);
        self.full = begun.elapsed();
        self.tail = indexed.elapsed();
        self.keep(snapshot_of(&struck), &input);
        self.insight.read_new_packs(&mut self.packs);
    }

    /// One to three items, of new content and of pieces of what is stored.
    fn draw_input(&mut self) -> Input {
        let mut items = Items::new();
        for name in &NAMES[..1 + self.dice.below(NAMES.len())] {
            // With the larger ones segments are published on the way.
            let len = if self.dice.one_in(4) { 5_000_000 } else { 400_000 };
            let mut content = self.dice.noise(len);
            for _ in 0..self.dice.below(4) {
                let len = 50_000 + self.dice.below(400_000);
                let stored: Vec<_> = self.kept.iter().flat_map(|kept| kept.items.values()).collect();
                if stored.is_empty() || self.dice.one_in(3) {
                    content.extend(self.dice.noise(len));
                } else {
                    let from = stored[self.dice.below(stored.len())];
                    let start = self.dice.below(from.len());
                    content.extend(&from[start..from.len().min(start + len)]);
                }
            }
            items.insert(name, Arc::new(content));
        }
        for (name, content) in &items {
            std::fs::write(self.lab.path(&name.replace('/', "-")), content.as_slice()).unwrap();
        }
        Input { items, is_piped: self.dice.one_in(2) }
    }

    fn ingest(&self, input: &Input, moment: Moment) -> Struck {
        let mut arguments = vec!["ingest".to_owned(), "--json".to_owned()];
        let mut piped = None;
        for (number, (name, content)) in input.items.iter().enumerate() {
            let is_piped = input.is_piped && number + 1 == input.items.len();
            let file = if is_piped { "-".to_owned() } else { name.replace('/', "-") };
            piped = is_piped.then(|| Arc::clone(content));
            arguments.extend(["--item".to_owned(), format!("{name}={file}")]);
        }
        strike(&self.lab, self.lab.command(arguments), piped, moment)
    }

    /// Evenly over the whole run, and as often around its end.
    fn draw_moment(&mut self) -> Moment {
        match self.dice.below(6) {
            0..3 => Moment::After(self.dice.duration(self.full.mul_f64(1.1))),
            3 => Moment::Behind("locks", self.dice.duration(self.full)),
            4 => Moment::Behind("index", self.dice.duration(self.tail)),
            _ => Moment::Behind("snapshots", self.dice.duration(self.tail / 4)),
        }
    }

    fn keep(&mut self, id: String, input: &Input) {
        self.kept.push(Kept { id, items: input.items.clone() });
    }

    /// Kills an ingest, and checks what is left of it and of all others.
    fn kill(&mut self, input: &Input, is_first: bool) -> Hit {
        let segments = self.lab.objects("index").len();
        let locks: HashSet<_> = self.lab.objects("locks").into_iter().collect();
        let moment = self.draw_moment();
        let struck = self.ingest(input, moment);
        let is_registered = self.lab.objects("locks").iter().any(|lock| !locks.contains(lock));
        let document = self.lab.run(["snapshots", "--json"]).succeeded().json();
        assert_eq!(document["problems"], serde_json::json!([]), "{moment:?}");
        let listed: Vec<String> = document["snapshots"].as_array().unwrap().iter().map(id_of).collect();
        for kept in &self.kept {
            assert!(listed.contains(&kept.id), "{moment:?}: snapshot {} is gone", kept.id);
        }
        let known: HashSet<&str> = self.kept.iter().map(|kept| kept.id.as_str()).collect();
        let unknown: Vec<String> = listed.iter().filter(|id| !known.contains(id.as_str())).cloned().collect();
        assert!(unknown.len() <= 1, "{moment:?}: {unknown:?}");
        if struck.is_done {
            assert_eq!(unknown, [snapshot_of(&struck)]);
        }
        let is_listed = !unknown.is_empty();
        for id in unknown {
            self.keep(id, input);
            self.check(self.kept.len() - 1);
        }
        let any = self.dice.below(self.kept.len());
        self.check(any);
        self.insight.read_new_packs(&mut self.packs);
        let hit = match (is_registered, is_listed) {
            (false, false) => Hit::BeforeTheLock,
            (false, true) => Hit::After,
            (true, true) => Hit::Commit,
            (true, false) if self.missing(input).is_empty() => Hit::Commit,
            // Whoever comes second publishes what the first one left.
            (true, false) if is_first && self.lab.objects("index").len() > segments => Hit::BehindACheckpoint,
            (true, false) => Hit::Writing,
        };
        *self.hits.entry(hit).or_default() += 1;
        hit
    }

    /// Data chunks of an input that no whole pack has.
    fn missing(&self, input: &Input) -> HashMap<ChunkId, u32> {
        let mut chunks = HashMap::new();
        for content in input.items.values() {
            self.insight.cut(content, &mut chunks);
        }
        for (id, _) in self.packs.values().flatten() {
            chunks.remove(id);
        }
        chunks
    }

    /// Begins an ingest anew after it was killed: it stores exactly the chunks that no whole pack has.
    fn retry(&mut self, input: &Input, missing_at_first: &HashMap<ChunkId, u32>) {
        let missing = self.missing(input);
        let before = self.packs.clone();
        let struck = self.ingest(input, Moment::Never);
        let document: Value = serde_json::from_slice(&struck.stdout).unwrap();
        self.keep(snapshot_of(&struck), input);
        self.check(self.kept.len() - 1);
        self.insight.read_new_packs(&mut self.packs);
        let reusable: HashSet<ChunkId> = before.values().flatten().map(|(id, _)| *id).collect();
        let written = self.packs.iter().filter(|(pack, _)| !before.contains_key(pack));
        let mut stored = HashMap::new();
        for (id, plain_len) in written.flat_map(|(_, chunks)| chunks) {
            assert!(!reusable.contains(id), "a chunk of a whole pack was stored again");
            if id.kind == containerarchive::base::Kind::Data {
                assert!(stored.insert(*id, *plain_len).is_none(), "a chunk was stored twice");
            }
        }
        assert!(stored == missing, "{} chunks stored, {} were missing", stored.len(), missing.len());
        assert_eq!(document["snapshot"]["newChunks"], stored.len());
        let bytes = |chunks: &HashMap<ChunkId, u32>| chunks.values().map(|len| u64::from(*len)).sum::<u64>();
        self.retried.new_bytes += bytes(missing_at_first);
        self.retried.saved_bytes += bytes(missing_at_first) - bytes(&missing);
        self.retried.stored_bytes += bytes(&stored);
    }

    /// Restores a snapshot and compares every byte.
    fn check(&self, number: usize) {
        let Kept { id, items } = &self.kept[number];
        let document = self.lab.run(["restore", id, "--to", "restored", "--json"]).succeeded().json();
        assert_eq!(document["problems"], serde_json::json!([]));
        for (name, content) in items {
            let restored = std::fs::read(self.lab.path("restored").join(name)).unwrap();
            assert!(restored == **content, "snapshot {id}, item {name}");
        }
        assert_eq!(document["items"].as_array().unwrap().len(), items.len());
        std::fs::remove_dir_all(self.lab.path("restored")).unwrap();
    }

    fn check_all(&self) {
        (0..self.kept.len()).for_each(|number| self.check(number));
    }
}

fn id_of(snapshot: &Value) -> String {
    snapshot["id"].as_str().unwrap().to_owned()
}

/// The snapshot that an ingest acknowledged.
fn snapshot_of(struck: &Struck) -> String {
    id_of(&serde_json::from_slice::<Value>(&struck.stdout).unwrap()["snapshot"])
}

#[test]
fn an_ingest_that_is_killed_loses_nothing_and_is_begun_anew_without_storing_twice() {
    let (rounds, kills) = if is_long() { (20, 25) } else { (2, 13) };
    let mut dice = Dice::thrown("killed ingests");
    let mut hits = BTreeMap::<Hit, usize>::new();
    let mut retried = Retried::default();
    for round in 0..rounds {
        let mut scene = Scene::begin(round % 2 == 1, dice.child());
        let mut done = 0;
        while done < kills {
            let input = scene.draw_input();
            let missing_at_first = scene.missing(&input);
            // Some are killed again while they use what the killed one left.
            for number in 0.. {
                let hit = scene.kill(&input, number == 0);
                done += 1;
                if done % 6 == 0 {
                    scene.check_all();
                }
                if hit == Hit::After || !scene.dice.one_in(3) {
                    break;
                }
            }
            scene.retry(&input, &missing_at_first);
        }
        scene.check_all();
        for (hit, count) in &scene.hits {
            *hits.entry(*hit).or_default() += count;
        }
        retried.new_bytes += scene.retried.new_bytes;
        retried.saved_bytes += scene.retried.saved_bytes;
        retried.stored_bytes += scene.retried.stored_bytes;
        println!("round {round}: {:?} full, {:?} tail, {:?}", scene.full, scene.tail, scene.hits);
    }
    println!("kills: {hits:?}");
    println!(
        "begun anew: {} bytes were new, {} of them in whole packs, {} stored again",
        retried.new_bytes, retried.saved_bytes, retried.stored_bytes
    );
    let hit_writing = [Hit::Writing, Hit::BehindACheckpoint].iter().any(|hit| hits.contains_key(hit));
    assert!(hit_writing, "no kill hit an ingest that wrote: {hits:?}");
}

/// What is in a folder, but for leftovers.
fn files_below(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files_below(&entry.path(), found);
        } else if !entry.file_name().to_string_lossy().starts_with(".containerarchive-") {
            found.push(entry.path());
        }
    }
}

#[test]
fn a_restore_that_is_killed_leaves_no_half_file_under_its_name() {
    let mut dice = Dice::thrown("killed restores");
    let lab = Lab::encrypted();
    let contents: BTreeMap<&str, Vec<u8>> = NAMES.map(|name| (name, dice.noise(1_500_000))).into();
    let mut ingest = vec!["ingest".to_owned()];
    for (name, content) in &contents {
        let file = lab.file(&name.replace('/', "-"), content);
        ingest.extend(["--item".to_owned(), format!("{name}={file}")]);
    }
    lab.run(ingest).succeeded();
    let begun = Instant::now();
    lab.run(["restore", "latest", "--to", "first"]).succeeded();
    let full = begun.elapsed();
    let mut seen = [0; 2];
    for number in 0..if is_long() { 40 } else { 6 } {
        let target = format!("target-{number}");
        let is_replacing = number % 2 == 1;
        if is_replacing {
            std::fs::create_dir(lab.path(&target)).unwrap();
            lab.file(&format!("{target}/app.sql"), "of before");
        }
        let arguments = ["restore", "latest", "--to", &target, "--overwrite"];
        let arguments = if is_replacing { &arguments[..] } else { &arguments[..4] };
        strike(&lab, lab.command(arguments), None, Moment::After(dice.duration(full.mul_f64(1.1))));
        let mut files = Vec::new();
        files_below(&lab.path(&target), &mut files);
        for file in files {
            let name = file.strip_prefix(lab.path(&target)).unwrap().to_str().unwrap();
            let found = std::fs::read(&file).unwrap();
            let is_of_before = is_replacing && name == "app.sql" && found == b"of before";
            assert!(is_of_before || found == contents[name], "{name} has {} bytes", found.len());
            seen[usize::from(!is_of_before)] += 1;
        }
        lab.run(["restore", "latest", "--to", &target, "--overwrite"]).succeeded();
        for (name, content) in &contents {
            assert!(std::fs::read(lab.path(&target).join(name)).unwrap() == *content);
        }
        std::fs::remove_dir_all(lab.path(&target)).unwrap();
    }
    println!("{} files of before, {} restored ones", seen[0], seen[1]);
}

#[test]
fn an_init_that_is_killed_is_begun_anew_or_done() {
    let mut dice = Dice::thrown("killed inits");
    let begun = Instant::now();
    drop(Lab::encrypted());
    let full = begun.elapsed();
    let mut done = 0;
    let count = if is_long() { 40 } else { 6 };
    for number in 0..count {
        let mut lab = empty_lab(number % 3 != 0);
        let verb: &[&str] = if number % 2 == 0 { &["init"] } else { &["ingest", "--init", "input"] };
        lab.file("input", "content");
        if number % 3 == 1 {
            lab.unset("CONTAINERARCHIVE_PASSPHRASE");
            lab.set("CONTAINERARCHIVE_KEY_FILE", "key");
        }
        strike(&lab, lab.command(verb), None, Moment::After(dice.duration(full)));
        let again = lab.run(verb);
        if again.code != 0 {
            again.failed(1, "there is one already");
            done += 1;
        }
        lab.run(["ingest", "input"]).succeeded();
        lab.unset("CONTAINERARCHIVE_NO_ENCRYPTION");
        assert_eq!(lab.run(["restore", "latest", "--to", "-"]).succeeded().stdout, b"content");
    }
    println!("{done} of {count} inits were done");
}

#[test]
fn a_change_of_keys_that_is_killed_locks_nobody_out() {
    let mut dice = Dice::thrown("killed changes of keys");
    let mut opened = BTreeMap::<(bool, bool), usize>::new();
    for round in 0..if is_long() { 6 } else { 2 } {
        let mut lab = Lab::encrypted();
        lab.file("input", "content");
        let begun = Instant::now();
        lab.run(["ingest", "input"]).succeeded();
        let full = begun.elapsed();
        for number in 0..if is_long() { 7 } else { 3 } {
            let verb: &[&str] =
                if round % 2 == 0 { &["key", "add", "--capability", "admin"] } else { &["key", "passwd"] };
            let key = format!("key-{round}-{number}");
            let arguments = [verb, &["--new-key-file", &key]].concat();
            let moment = if number % 2 == 0 {
                Moment::After(dice.duration(full))
            } else {
                Moment::Behind("keys", dice.duration(full / 8))
            };
            strike(&lab, lab.command(&arguments), None, moment);
            let is_old_good = can_read(&lab);
            let old = lab.environment.clone();
            lab.unset("CONTAINERARCHIVE_PASSPHRASE");
            lab.set("CONTAINERARCHIVE_KEY_FILE", key.clone());
            let is_new_good = lab.path(&key).exists() && can_read(&lab);
            *opened.entry((is_old_good, is_new_good)).or_default() += 1;
            assert!(is_old_good || (is_new_good && round % 2 == 1), "nobody can open it");
            if !is_new_good {
                lab.environment = old;
                lab.run(&arguments).succeeded();
                lab.unset("CONTAINERARCHIVE_PASSPHRASE");
                lab.set("CONTAINERARCHIVE_KEY_FILE", key);
                assert!(can_read(&lab));
            }
        }
    }
    println!("(old, new) key opens: {opened:?}");
}

/// Whether the snapshot comes back with the key of the environment, which is else a wrong one.
fn can_read(lab: &Lab) -> bool {
    let ended = lab.run(["restore", "latest", "--to", "-"]);
    if ended.code == 0 {
        assert_eq!(ended.stdout, b"content");
        lab.run(["key", "list"]).succeeded();
        return true;
    }
    ended.failed(12, "opens none of");
    false
}
