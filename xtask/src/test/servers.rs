//! Database servers for the recipes, each on a socket in the reader's folder, stopped when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::literal::Reader;

const PATIENCE: Duration = Duration::from_secs(60);

/// What was started for a recipe.
pub(super) struct Server {
    /// The command that stops it.
    stop: Vec<String>,
    /// Its process, if it is ours to wait for.
    child: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(reason) = run(&self.stop) {
            println!("could not stop a server: {reason}");
            return;
        }
        if let Some(Err(error)) = self.child.as_mut().map(Child::wait) {
            println!("could not wait for a server: {error}");
        }
    }
}

/// PostgreSQL, which refuses to run as root.
pub(super) fn postgres(reader: &mut Reader) -> Result<Option<Server>, String> {
    let programs = newest_postgres().ok_or("the server of PostgreSQL is not installed")?;
    let program = |name: &str| programs.join(name).display().to_string();
    let folder = data_folder(reader, "postgres")?;
    let text = folder.display().to_string();
    let data = folder.join("data").display().to_string();
    let user = own_to_server(&folder, "postgres")?;
    let words = |words: &[&str]| -> Vec<String> {
        user.iter().map(String::as_str).chain(words.iter().copied()).map(str::to_owned).collect()
    };
    let initdb = program("initdb");
    run(&words(&[&initdb, "--pgdata", &data, "--username=postgres", "--auth=trust", "--no-sync"]))?;
    let control = program("pg_ctl");
    let options = format!("-c listen_addresses='' -c unix_socket_directories='{text}' -c fsync=off");
    let log = folder.join("log").display().to_string();
    run(&words(&[&control, "--pgdata", &data, "--wait", "--log", &log, "--options", &options, "start"]))?;
    reader.set("PGHOST", text);
    reader.set("PGUSER", "postgres");
    let stop = words(&[&control, "--pgdata", &data, "--mode=immediate", "stop"]);
    Ok(Some(Server { stop, child: None }))
}

/// The folder of the programs of the newest version, where Debian or a build from source puts them.
fn newest_postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    folders.sort();
    let others = ["/usr/bin", "/usr/local/pgsql/bin"].map(PathBuf::from);
    let mut all = folders.into_iter().rev().map(|(_, folder)| folder).chain(others);
    all.find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
}

/// MariaDB.
pub(super) fn mariadb(reader: &mut Reader) -> Result<Option<Server>, String> {
    let folder = data_folder(reader, "mariadb")?;
    let user = own_to_server(&folder, "mysql")?;
    let data = format!("--datadir={}", folder.join("data").display());
    let words = |words: &[&str]| -> Vec<String> {
        user.iter().map(String::as_str).chain(words.iter().copied()).map(str::to_owned).collect()
    };
    let install = ["mariadb-install-db", "--no-defaults", &data, "--auth-root-authentication-method=normal"];
    run(&words(&install))?;
    let socket = folder.join("socket");
    let (listen, note) =
        (format!("--socket={}", socket.display()), format!("--pid-file={}", folder.join("pid").display()));
    let start = words(&["mariadbd", "--no-defaults", &data, &listen, &note, "--skip-networking"]);
    let child = command(&start).spawn().map_err(|error| format!("cannot start mariadbd: {error}"))?;
    let stop = ["mariadb-admin", "--no-defaults", "--user=root", &listen, "shutdown"].map(str::to_owned);
    let server = Server { stop: stop.to_vec(), child: Some(child) };
    let begun = Instant::now();
    while !socket.exists() {
        if begun.elapsed() > PATIENCE {
            return Err("mariadbd does not listen".to_owned());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let client = format!("[client]\nuser = root\nsocket = {}\n", socket.display());
    fs::write(reader.folder.join("home/.my.cnf"), client).map_err(|error| error.to_string())?;
    Ok(Some(server))
}

/// Docker, if it runs, has the image, and nothing of these names.
pub(super) fn docker(_: &mut Reader) -> Result<Option<Server>, String> {
    let ask = |words: &[&str]| run(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    ask(&["docker", "info"]).map_err(|_| "no Docker daemon runs".to_owned())?;
    ask(&["docker", "image", "inspect", "debian:stable-slim"])
        .map_err(|_| "the image debian:stable-slim is not there, and tests do not download".to_owned())?;
    for words in [["container", "app"], ["volume", "app-data"], ["volume", "app-restored"]] {
        if ask(&["docker", words[0], "inspect", words[1]]).is_ok() {
            return Err(format!("there is a {} {} already", words[0], words[1]));
        }
    }
    let remove = "docker rm --force app; docker volume rm --force app-data app-restored";
    Ok(Some(Server { stop: ["sh", "-c", remove].map(str::to_owned).to_vec(), child: None }))
}

fn data_folder(reader: &Reader, name: &str) -> Result<PathBuf, String> {
    let folder = reader.folder.join(name);
    fs::create_dir(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}

/// Gives a folder to the user that a server runs as, and returns the words that run a command as that user. A user who
/// is not root runs it himself.
fn own_to_server(folder: &Path, user: &str) -> Result<Vec<String>, String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    if run(&words(&["id", "-u"]))? != "0\n" {
        return Ok(Vec::new());
    }
    let user = if run(&words(&["id", user])).is_ok() { user } else { "nobody" };
    run(&words(&["chown", user, &folder.display().to_string()]))?;
    Ok(words(&["runuser", "-u", user, "--"]))
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(words.first().map_or("true", String::as_str));
    command.args(words.iter().skip(1)).current_dir("/").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs a command and returns what it printed.
fn run(words: &[String]) -> Result<String, String> {
    let output = command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("cannot run {}: {error}", words.join(" ")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}: {text}{stderr}", words.join(" "), output.status))
}
