//! `cargo xtask npm`: the npm packages, as the tarballs that are published: `containerarchive`, from `node/`, and the
//! program for this computer's platform.

mod build;
mod licences;
mod platform;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;

pub(crate) use build::build;

use crate::test::target_folder;

/// Of the workspace, this package's included.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `cargo xtask npm` was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Where the tarballs go.
    out: Option<PathBuf>,
    /// A program that was built, instead of one that is built for it.
    binary: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after `npm`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
            match *argument {
                "--out" => options.out = Some(PathBuf::from(value()?)),
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                other => return Err(format!("`npm` has no option `{other}`")),
            }
        }
        Ok(options)
    }
}

/// Makes the tarballs and names them.
pub(crate) fn main(root: &Path, options: &Options) -> ExitCode {
    let target = target_folder(root);
    let out = options.out.clone().unwrap_or_else(|| target.join("npm"));
    let build = || build(root, &target);
    match options.binary.clone().map_or_else(build, Ok).and_then(|binary| pack(root, &binary, &out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the tarballs in a folder, with a program that was built for this computer.
///
/// # Errors
/// What is missing or does not agree, in words.
pub(crate) fn pack(root: &Path, binary: &Path, out: &Path) -> Result<(), String> {
    let node = root.join("node");
    compare_versions(&node, binary)?;
    let staging = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let out = std::path::absolute(out).map_err(|error| cannot(out, &error))?;
    fs::create_dir_all(&out).map_err(|error| cannot(&out, &error))?;
    let licence = root.join("LICENSE");

    let platform = platform::this()?;
    let folder = stage(staging.path(), &platform.package(), &licence)?;
    let program = fs::read(binary).map_err(|error| cannot(binary, &error))?;
    let manifest = platform.manifest(VERSION, &program);
    write(&folder.join("package.json"), format!("{manifest:#}\n").as_bytes())?;
    write(&folder.join("README.md"), platform.readme().as_bytes())?;
    let licences = licences::text(root, platform.target)?;
    write(&folder.join("THIRD-PARTY-LICENSES"), licences.as_bytes())?;
    write(&folder.join("containerarchive"), &program)?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.join("containerarchive"), mode).map_err(|error| cannot(&folder, &error))?;
    tar(staging.path(), &platform.package(), &out)?;

    let folder = stage(staging.path(), "containerarchive", &licence)?;
    compile(&node, &folder.join("dist"))?;
    for name in ["package.json", "README.md"] {
        let text = fs::read(node.join(name)).map_err(|error| cannot(&node.join(name), &error))?;
        write(&folder.join(name), &text)?;
    }
    // By npm itself, which keeps the order of the keys: in `exports` it means something.
    npm(staging.path(), &folder, &["pkg", "delete", "scripts", "devDependencies"])?;
    for platform in platform::built() {
        let dependency = format!("optionalDependencies.{}={VERSION}", platform.package());
        npm(staging.path(), &folder, &["pkg", "set", &dependency])?;
    }
    tar(staging.path(), "containerarchive", &out)
}

/// The workspace's version is that of the package, and of the program.
fn compare_versions(node: &Path, binary: &Path) -> Result<(), String> {
    for (name, pointer) in [
        ("package.json", "/version"),
        ("package-lock.json", "/version"),
        ("package-lock.json", "/packages//version"),
    ] {
        let path = node.join(name);
        let text = fs::read(&path).map_err(|error| cannot(&path, &error))?;
        let manifest: Value = serde_json::from_slice(&text).map_err(|error| format!("{name}: {error}"))?;
        if manifest.pointer(pointer).and_then(Value::as_str) != Some(VERSION) {
            return Err(format!(
                "node/{name} has not the workspace's version: npm --prefix node version {VERSION} \
                 --no-git-tag-version --allow-same-version"
            ));
        }
    }
    let output = Command::new(binary).arg("--version").output().map_err(|error| cannot(binary, &error))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.split_whitespace().nth(1) != Some(VERSION) {
        return Err(format!("{} is not version {VERSION}, but: {}", binary.display(), said.trim()));
    }
    Ok(())
}

/// An empty folder for a package, with the licence in it.
fn stage(staging: &Path, package: &str, licence: &Path) -> Result<PathBuf, String> {
    let folder = staging.join(package);
    fs::create_dir(&folder).map_err(|error| cannot(&folder, &error))?;
    let text = fs::read(licence).map_err(|error| cannot(licence, &error))?;
    write(&folder.join("LICENSE"), &text)?;
    Ok(folder)
}

/// Compiles the package into an empty folder, so that nothing of what was removed is left.
fn compile(node: &Path, dist: &Path) -> Result<(), String> {
    let compiler = node.join("node_modules/typescript/bin/tsc");
    if !compiler.exists() {
        run(Command::new("npm").current_dir(node).args(["ci", "--no-audit", "--no-fund"]))?;
    }
    let mut command = Command::new("node");
    command.current_dir(node).arg(compiler).args(["-p", "tsconfig.build.json", "--outDir"]).arg(dist);
    run(&mut command)
}

/// Packs a package. npm gives all files the same time, so that the same content makes the same tarball.
fn tar(staging: &Path, package: &str, out: &Path) -> Result<(), String> {
    let destination = format!("--pack-destination={}", out.display());
    npm(staging, &staging.join(package), &["pack", "--silent", "--ignore-scripts", &destination])?;
    let tarball = out.join(format!("{package}-{VERSION}.tgz"));
    let size = fs::metadata(&tarball).map_err(|error| cannot(&tarball, &error))?.len();
    println!("{} {size} bytes", tarball.display());
    Ok(())
}

/// Runs npm without a word, its cache beside the packages.
fn npm(staging: &Path, folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("npm");
    command.current_dir(folder).args(arguments).env("npm_config_cache", staging.join("cache"));
    let output = command.output().map_err(|error| format!("cannot run npm: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("npm {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program}: {status}")),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    fs::write(path, content).map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_named() {
        assert_eq!(Options::parse(&[]), Ok(Options::default()));
        let given = Options { out: Some("a".into()), binary: Some("b".into()) };
        assert_eq!(Options::parse(&["--out", "a", "--binary", "b"]), Ok(given));
        assert_eq!(Options::parse(&["--out"]), Err("--out wants a value".to_owned()));
        assert!(Options::parse(&["a"]).is_err());
    }

    #[test]
    fn the_npm_package_has_the_version_of_the_workspace() {
        // In place of the program: something that says it.
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, format!("#!/bin/sh\necho containerarchive {VERSION}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let node = crate::root().join("node");
        assert_eq!(compare_versions(&node, &program), Ok(()));

        fs::write(&program, "#!/bin/sh\necho containerarchive 0.0.1\n").unwrap();
        assert!(compare_versions(&node, &program).unwrap_err().contains("0.0.1"));
        fs::write(folder.path().join("package.json"), r#"{"version":"0.0.1"}"#).unwrap();
        assert!(compare_versions(folder.path(), &program).unwrap_err().contains("package.json"));
    }
}
