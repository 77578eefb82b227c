//! `init`, `open`, `info`, `close`.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use containerarchive::{
    ChunkParams, CreateOptions, ErrorCode, LocalStore, Locked, Monitor, OpenOptions, Passphrase, Pins,
    Problem, Store, create,
};
use serde_json::Value;

use super::{nothing, read, read_if, to_value};
use crate::args::values;
use crate::client::{Forgetful, given_up};
use crate::credentials::Secret;
use crate::documents::RepositoryDocument;
use crate::failure::{Failure, Outcome};
use crate::key_file;
use crate::rpc::Engine;
use crate::rpc::jobs::Job;
use crate::rpc::params::{InitParams, NoParams, OpenParams, SecretText, parse};

/// Label of the key of a new repository.
const FIRST_LABEL: &str = "first";
/// How long other requests may take to end, once they were told to.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(2);

pub(super) fn init(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: InitParams = parse(params)?;
    let defaults = CreateOptions::default();
    let chunking = params.chunk_size.map(chunking).transpose()?.unwrap_or(defaults.chunking);
    let compression = read_if(params.compression.as_ref(), "compression", from_str)?;
    let parity = read_if(params.parity.as_ref(), "parity", from_str)?;
    let kdf = read_if(params.kdf.as_ref(), "kdf", values::parse_kdf)?;
    let pack_size = params.pack_size.map(|size| read(&size.to_string(), "packSize", values::parse_pack_size));
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(&params.path));
    let secret = secret(engine, params.passphrase, params.key_file.as_deref(), true)?;
    let options = CreateOptions {
        credential: secret.as_ref().map(|secret| secret.new_credential(kdf.unwrap_or_default())),
        label: params.label.as_deref().unwrap_or(FIRST_LABEL),
        chunking,
        compression: compression.unwrap_or(defaults.compression),
        pack_size_bytes: pack_size.transpose()?.unwrap_or(defaults.pack_size_bytes),
        parity: parity.unwrap_or(defaults.parity),
    };
    let pins = &engine.client.pins;
    let known = pins.load(&store.location()).ok().flatten();
    // Also where this client knows one that is gone: the user asked for just this.
    create(&store, &engine.client.environment, &options, &Forgetful(pins), job)?;
    if let Some(pin) = known {
        job.problem(&Problem::Warning { text: given_up(&pin) });
    }
    unlock(engine, job, store, secret.as_ref())
}

pub(super) fn open(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    let params: OpenParams = parse(params)?;
    let secret = secret(engine, params.passphrase, params.key_file.as_deref(), false)?;
    unlock(engine, job, Arc::new(LocalStore::new(&params.path)), secret.as_ref())
}

fn unlock(engine: &Engine<'_>, job: &Job, store: Arc<dyn Store>, secret: Option<&Secret>) -> Outcome<Value> {
    let client = &engine.client;
    let locked = Locked::read(store, client.environment.clone(), job)?;
    let options = OpenOptions { pins: &client.pins, accept_rollback: client.pins.accept_rollback };
    let credential = secret.map_or(containerarchive::Credential::None, Secret::credential);
    let repository = locked.open(credential, &options, job)?;
    let document = to_value(&RepositoryDocument::from(&repository))?;
    engine.set_repository(Some(repository));
    Ok(document)
}

pub(super) fn info(engine: &Engine<'_>, _job: &Job, params: &str) -> Outcome<Value> {
    parse::<NoParams>(params)?;
    to_value(&RepositoryDocument::from(&*engine.repository()?))
}

/// Ends what goes on, and forgets the keys.
pub(super) fn close(engine: &Engine<'_>, job: &Job, params: &str) -> Outcome<Value> {
    parse::<NoParams>(params)?;
    engine.jobs.cancel_others(Some(&job.id));
    let since = Instant::now();
    while engine.jobs.count() > 1 {
        if job.is_cancelled() || since.elapsed() > CLOSE_PATIENCE {
            let text = "other requests have not ended yet; the repository stays open";
            return Err(Failure::new(ErrorCode::Held, text));
        }
        std::thread::sleep(STEP);
    }
    engine.set_repository(None);
    Ok(nothing())
}

fn secret(
    engine: &Engine<'_>,
    passphrase: Option<SecretText>,
    key_file: Option<&Path>,
    is_new: bool,
) -> Outcome<Option<Secret>> {
    match (passphrase, key_file) {
        (Some(_), Some(_)) => Err(Failure::usage("give either a passphrase or a key file")),
        (Some(SecretText(text)), None) => {
            let passphrase = Passphrase::new(text.as_bytes().to_vec());
            let wrong = || Failure::new(ErrorCode::Key, "the passphrase is empty or too long");
            passphrase.ok_or_else(wrong).map(|passphrase| Some(Secret::Passphrase(passphrase)))
        }
        (None, Some(path)) if is_new && !key_file::exists(path) => {
            key_file::create(path).map(|made| Some(Secret::KeyFile(made)))
        }
        (None, Some(path)) => key_file::read(path, engine.terminal).map(|read| Some(Secret::KeyFile(read))),
        (None, None) => Ok(None),
    }
}

fn chunking(sizes: [u64; 3]) -> Outcome<ChunkParams> {
    let wrong = |why: String| Failure::usage(format!("chunkSize: {why}"));
    let mut whole = [0; 3];
    for (whole, size) in whole.iter_mut().zip(sizes) {
        *whole = usize::try_from(size).map_err(|error| wrong(error.to_string()))?;
    }
    ChunkParams::new(whole[0], whole[1], whole[2]).map_err(|error| wrong(error.to_string()))
}

fn from_str<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}
