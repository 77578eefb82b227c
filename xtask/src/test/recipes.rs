//! The recipes of `docs/recipes/`, run as they stand: each in a fresh home folder, with the program that the stage
//! `release` built, on private copies of the system's folders that they write to.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::literal::{Block, Reader, blocks, expect, read};
use super::servers::{Server, docker, mariadb, postgres};
use super::{Context, Outcome, StageResult};

const FOLDER: &str = "docs/recipes";
/// The page with which all others begin.
const FIRST: &str = "README.md";
const FENCE: &str = "sh run";
/// What recipes write to. They see the real content, and nothing that they write gets out.
const PRIVATE_FOLDERS: &str = "etc etc/systemd/system etc/cron.d var/lib srv mnt media usr/local/bin";

struct Recipe {
    page: &'static str,
    /// Programs without which it cannot be run.
    needs: &'static [&'static str],
    /// It stores `/etc`, which only root can read.
    is_for_root: bool,
    /// Starts what else it needs, or tells why it cannot.
    server: fn(&mut Reader) -> Result<Option<Server>, String>,
    /// Run before the first page, and after it.
    before: &'static str,
    after: &'static str,
    /// Run at the end: what must be true then.
    check: &'static str,
    /// Commands of the page, and what they must print.
    expected: &'static [(&'static str, &'static str)],
}

const RECIPES: &[Recipe] = &[
    Recipe {
        page: "postgresql.md",
        needs: &["pg_dump", "psql", "createdb"],
        is_for_root: false,
        server: postgres,
        before: "createdb app; psql --quiet app --command \
                 \"CREATE TABLE t AS SELECT n, md5(n::text) AS text FROM generate_series(1, 20000) AS n\"",
        after: "",
        check: "for made in app_restored app_from_custom; do
                  diff <(psql app --command 'TABLE t') <(psql $made --command 'TABLE t')
                done
                test \"$(containerarchive snapshots --json | grep -o newChunks | wc -l)\" = 2",
        expected: &[("no_such_database", "exit code 1")],
    },
    Recipe {
        page: "mysql.md",
        needs: &["mariadbd", "mariadb-install-db", "mariadb", "mariadb-dump"],
        is_for_root: false,
        server: mariadb,
        before: "mariadb --execute 'CREATE DATABASE app; USE app; CREATE TABLE t (n INT PRIMARY KEY, b BLOB); \
                 INSERT INTO t SELECT seq, UNHEX(MD5(seq)) FROM seq_1_to_20000'",
        after: "",
        check: "diff <(mariadb app --execute 'SELECT n, HEX(b) FROM t ORDER BY n') \
                     <(mariadb app_restored --execute 'SELECT n, HEX(b) FROM t ORDER BY n')
                test \"$(containerarchive snapshots --json | grep -o newChunks | wc -l)\" = 1",
        expected: &[("no_such_database", "exit code 1")],
    },
    Recipe {
        page: "sqlite.md",
        needs: &["sqlite3"],
        is_for_root: false,
        server: nothing,
        before: "mkdir /var/lib/app; sqlite3 /var/lib/app/app.db 'PRAGMA journal_mode = WAL; CREATE TABLE t (n, text); \
                 WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) \
                 INSERT INTO t SELECT n, hex(n * n) FROM s'",
        after: "sqlite3 /var/lib/app/app.db 'SELECT * FROM t' > rows",
        check: "sqlite3 /var/lib/app/app.db 'SELECT * FROM t' | cmp - rows
                containerarchive restore latest --item app.sql --to - | sqlite3 -bail from-text.db
                sqlite3 from-text.db 'SELECT * FROM t' | cmp - rows",
        expected: &[("integrity_check", "ok")],
    },
    Recipe {
        page: "docker-volume.md",
        needs: &["docker"],
        is_for_root: false,
        server: docker,
        before: "docker run --detach --name app --volume app-data:/data debian:stable-slim sleep 600
                 docker exec app cp -a /usr/share/doc /data",
        after: "",
        check: "docker run --rm --volume app-data:/a --volume app-restored:/b debian:stable-slim diff -r /a /b",
        expected: &[],
    },
    Recipe {
        page: "systemd.md",
        needs: &["systemd-analyze", "tar"],
        is_for_root: true,
        server: nothing,
        before: "",
        after: "",
        check: SYSTEMD_CHECK,
        expected: &[],
    },
    Recipe {
        page: "cron.md",
        needs: &["tar"],
        is_for_root: true,
        server: nothing,
        before: "",
        after: "",
        check: CRON_CHECK,
        expected: &[],
    },
    Recipe {
        page: "verify.md",
        needs: &["systemd-analyze"],
        is_for_root: true,
        server: nothing,
        before: "",
        after: "",
        check: VERIFY_CHECK,
        expected: &[
            ("verify: exit code", "verify: exit code 13"),
            ("repair: exit code", "repair: exit code 13"),
            ("verify --level full", "no damage found"),
            ("without parity", "without parity: exit code 14"),
            ("with the second copy", "no damage found"),
        ],
    },
    Recipe {
        page: "retention.md",
        needs: &[],
        is_for_root: false,
        server: nothing,
        before: "",
        after: "",
        check: "containerarchive verify",
        expected: &[
            ("pin latest", "pinned"),
            ("forget latest ||", "exit code 1"),
            ("unpin latest", "no longer pinned"),
        ],
    },
    Recipe {
        page: "new-host.md",
        needs: &["tar"],
        is_for_root: true,
        server: nothing,
        before: "",
        // The old host makes a backup and is gone, with all that it remembered.
        after: "tar --create --sort=name --directory=/ etc > etc.tar
                containerarchive ingest etc.tar
                unset CONTAINERARCHIVE_REPO CONTAINERARCHIVE_PASSPHRASE_FILE
                mv /srv/backups /mnt/backups; rm -r ~/.local /etc/containerarchive",
        check: "cmp etc.tar restored/etc.tar
                test \"$(containerarchive --key-file new-host.key snapshots --json | grep -o newChunks | wc -l)\" = 2",
        expected: &[("key list", "new-host"), ("containerarchive info", "admin")],
    },
];

/// The units are what systemd takes, and what they start works with what systemd sets.
const SYSTEMD_CHECK: &str = r#"
    systemd-analyze verify /etc/systemd/system/containerarchive-*.{service,timer}
    credentials=$(mktemp -d)
    cp /etc/containerarchive/passphrase "$credentials/passphrase"
    for unit in etc status; do
        file=/etc/systemd/system/containerarchive-$unit.service
        start=$(sed -n 's/^ExecStart=//p' "$file" | sed "s,%d,$credentials,g")
        mapfile -t given < <(sed -n 's/^Environment=//p' "$file")
        env -i PATH=/usr/bin:/bin CREDENTIALS_DIRECTORY="$credentials" "${given[@]}" bash -c "$start"
    done
    containerarchive restore latest --item etc.tar --to - | tar --list | grep etc/containerarchive/passphrase
"#;

/// The unit is what systemd takes, and works with what systemd sets; the line of cron says nothing while all is whole, and
/// tells what is damaged.
const VERIFY_CHECK: &str = r#"
    systemd-analyze verify /etc/systemd/system/containerarchive-verify.{service,timer}
    credentials=$(mktemp -d)
    cp /etc/containerarchive/passphrase "$credentials/passphrase"
    file=/etc/systemd/system/containerarchive-verify.service
    start=$(sed -n 's/^ExecStart=//p' "$file" | sed "s,%d,$credentials,g; s,%%,%,g")
    mapfile -t given < <(sed -n 's/^Environment=//p' "$file")
    env -i PATH=/usr/bin:/bin CREDENTIALS_DIRECTORY="$credentials" "${given[@]}" bash -c "$start"
    file=/etc/cron.d/containerarchive-verify
    read -r minute hour day month weekday user line < <(grep '^[0-9]' "$file")
    cron() { env -i HOME="$HOME" LOGNAME="$user" SHELL=/bin/sh PATH="$(sed -n 's/^PATH=//p' "$file")" /bin/sh -c "$line" 2>&1; }
    cron < /dev/null > printed
    test ! -s printed || { cat printed; exit 1; }
    rm /srv/backups/packs/parity/*.par
    cron < /dev/null | grep 'can be mended'
    containerarchive --repo /srv/drill restore latest --item numbers.txt --to - | cmp - <(seq 300000)
"#;

/// Each line runs as cron would run it, and prints nothing.
const CRON_CHECK: &str = r#"
    file=/etc/cron.d/containerarchive
    path=$(sed -n 's/^PATH=//p' "$file")
    grep '^[0-9]' "$file" > lines
    test "$(wc -l < lines)" = 2
    while read -r minute hour day month weekday user line; do
        env -i HOME="$HOME" LOGNAME="$user" SHELL=/bin/sh PATH="$path" /bin/sh -c "$line" < /dev/null > printed 2>&1
        test ! -s printed || { cat printed; exit 1; }
    done < lines
    containerarchive restore latest --item etc.tar --to - | tar --list | grep etc/containerarchive/passphrase
"#;

pub(super) fn run(context: &Context) -> StageResult {
    let binary = context.release_binary()?;
    let first = page_blocks(&context.root, FIRST)?;
    check_pages(&context.root)?;
    let mut skipped = Vec::new();
    for recipe in RECIPES {
        match run_recipe(&context.root, &binary, &first, recipe)
            .map_err(|reason| format!("{}: {reason}", recipe.page))?
        {
            Outcome::Passed => println!("{}: passed", recipe.page),
            Outcome::Skipped(reason) => {
                println!("{}: SKIPPED, {reason}", recipe.page);
                skipped.push(recipe.page);
            }
        }
    }
    if skipped.len() == RECIPES.len() {
        return Ok(Outcome::Skipped("no recipe can be run here".to_owned()));
    }
    Ok(Outcome::Passed)
}

fn page_blocks(root: &Path, page: &str) -> Result<Vec<Block>, String> {
    let blocks = blocks(page, &read(root, &format!("{FOLDER}/{page}"))?, None, FENCE);
    if blocks.is_empty() { Err(format!("{page} has no block to run")) } else { Ok(blocks) }
}

/// Every page is run.
fn check_pages(root: &Path) -> Result<(), String> {
    let entries =
        fs::read_dir(root.join(FOLDER)).map_err(|error| format!("cannot list {FOLDER}: {error}"))?;
    for entry in entries {
        let name = entry.map_err(|error| error.to_string())?.file_name().to_string_lossy().into_owned();
        if name != FIRST && !RECIPES.iter().any(|recipe| recipe.page == name) {
            return Err(format!("{FOLDER}/{name} is not in the list of recipes"));
        }
    }
    Ok(())
}

fn run_recipe(root: &Path, binary: &Path, first: &[Block], recipe: &Recipe) -> StageResult {
    if let Some(missing) = recipe.needs.iter().find(|program| !is_installed(program)) {
        return Ok(Outcome::Skipped(format!("{missing} is not installed")));
    }
    if recipe.is_for_root && !is_root() {
        return Ok(Outcome::Skipped("only root can read all of /etc".to_owned()));
    }
    let mut reader = Reader::new(recipe.page)?;
    if let Err(reason) = isolate(&mut reader, binary) {
        return Ok(Outcome::Skipped(format!(
            "this system does not let a process have private folders: {reason}"
        )));
    }
    let server = match (recipe.server)(&mut reader) {
        Ok(server) => server,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let ours =
        |text: &str| Block { place: format!("{} (of the test)", recipe.page), text: format!("{text}\n") };
    let mut all = vec![ours(recipe.before)];
    all.extend_from_slice(first);
    all.push(ours(recipe.after));
    all.extend(page_blocks(root, recipe.page)?);
    all.push(ours(recipe.check));
    let outputs = reader.run(&all)?;
    drop(server);
    expect(&all, &outputs, recipe.expected)?;
    Ok(Outcome::Passed)
}

fn nothing(_: &mut Reader) -> Result<Option<Server>, String> {
    Ok(None)
}

fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").arg("-c").arg(format!("command -v {program}")).output();
    found.is_ok_and(|found| found.status.success())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

/// Lets what the reader runs write to private copies of the system's folders, with the program installed in one.
fn isolate(reader: &mut Reader, binary: &Path) -> Result<(), String> {
    let as_root: &[&str] = if is_root() { &[] } else { &["--user", "--map-root-user"] };
    reader.wrapper =
        [&["unshare", "--mount"], as_root].concat().iter().map(|word| (*word).to_owned()).collect();
    let layers = reader.folder.join("layers");
    fs::create_dir(&layers).map_err(|error| error.to_string())?;
    reader.prelude = format!(
        "layers='{}'
         mount -t tmpfs tmpfs \"$layers\"
         for folder in {PRIVATE_FOLDERS}; do
             [[ $folder != etc/* ]] || mkdir -p \"/$folder\"
             mkdir -p \"$layers/$folder/new\" \"$layers/$folder/work\"
             layer=\"lowerdir=/$folder,upperdir=$layers/$folder/new,workdir=$layers/$folder/work\"
             mount -t overlay overlay -o \"$layer\" \"/$folder\" 2> /dev/null || mount -t tmpfs tmpfs \"/$folder\"
         done
         ln -sf '{}' /usr/local/bin/containerarchive
         mkdir -p /media/stick
         cd '{}'\n",
        layers.display(),
        binary.display(),
        reader.folder.join("home").display()
    );
    reader.run(&[]).map(drop)
}
