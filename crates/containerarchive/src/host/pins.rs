//! A client's notes as files in its state folder, one for each location.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::TargetFolder;
use crate::base::limits::MAX_SMALL_JSON_BYTES;
use crate::base::{DomainId, Pin, Pins, PinsError, RepositoryId, SessionId, SlotId, Timestamp};

/// Notes in a folder.
#[derive(Debug, Clone)]
pub struct FilePins(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    location: String,
    repository: RepositoryId,
    encrypted: bool,
    config_serial: u64,
    config_blake3: String,
    newest: BTreeMap<String, Newest>,
    slot: Option<SlotId>,
}

#[derive(Serialize, Deserialize)]
struct Newest {
    snapshot: SessionId,
    committed: Timestamp,
}

impl FilePins {
    /// Notes below this folder, which is made when the first one is written.
    #[must_use]
    pub fn new(state_folder: impl Into<PathBuf>) -> Self {
        Self(state_folder.into())
    }

    fn file_name(location: &str) -> String {
        let digest = blake3::hash(location.as_bytes());
        format!("repository-{}.json", &digest.to_hex()[..32])
    }

    fn failed(&self, text: impl ToString) -> PinsError {
        PinsError { path: self.0.display().to_string(), text: text.to_string() }
    }
}

impl Pins for FilePins {
    fn load(&self, location: &str) -> Result<Option<Pin>, PinsError> {
        let path = self.0.join(Self::file_name(location));
        let bytes = match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
            Ok(metadata) if metadata.len() > MAX_SMALL_JSON_BYTES as u64 => {
                return Err(self.failed("a note is too long"));
            }
            Ok(_) => std::fs::read(&path).map_err(|error| self.failed(error))?,
        };
        let damaged = |text: String| {
            self.failed(format!(
                "{} is damaged ({text}); check the repository, then delete this file",
                path.display()
            ))
        };
        let note: Note = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let mut config_blake3 = [0; 32];
        data_encoding::HEXLOWER
            .decode(note.config_blake3.as_bytes())
            .ok()
            .filter(|bytes| bytes.len() == 32)
            .map(|bytes| config_blake3.copy_from_slice(&bytes))
            .ok_or_else(|| damaged("configBlake3".to_owned()))?;
        let mut newest = BTreeMap::new();
        for (domain, entry) in note.newest {
            let domain: DomainId = domain.parse().map_err(|_| damaged("newest".to_owned()))?;
            newest.insert(domain, (entry.snapshot, entry.committed));
        }
        Ok(Some(Pin {
            repository: note.repository,
            is_encrypted: note.encrypted,
            config_serial: note.config_serial,
            config_blake3,
            newest,
            slot: note.slot,
        }))
    }

    fn save(&self, location: &str, pin: &Pin) -> Result<(), PinsError> {
        let note = Note {
            location: location.to_owned(),
            repository: pin.repository,
            encrypted: pin.is_encrypted,
            config_serial: pin.config_serial,
            config_blake3: data_encoding::HEXLOWER.encode(&pin.config_blake3),
            newest: pin
                .newest
                .iter()
                .map(|(domain, (snapshot, committed))| {
                    (domain.to_hex(), Newest { snapshot: *snapshot, committed: *committed })
                })
                .collect(),
            slot: pin.slot,
        };
        let bytes = serde_json::to_vec_pretty(&note).map_err(|error| self.failed(error))?;
        let folder = TargetFolder::open(&self.0, true).map_err(|error| self.failed(error))?;
        let mut file = folder.create(&Self::file_name(location)).map_err(|error| self.failed(error))?;
        file.write_all(&bytes).map_err(|error| self.failed(error))?;
        file.finish().map_err(|error| self.failed(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_round_trip_and_damaged_ones_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let pins = FilePins::new(folder.path().join("state"));
        assert_eq!(pins.load("/a").unwrap(), None);
        let pin = Pin {
            repository: RepositoryId([1; 16]),
            is_encrypted: true,
            config_serial: 3,
            config_blake3: [2; 32],
            newest: BTreeMap::from([(DomainId::MAIN, (SessionId([3; 16]), Timestamp(1000)))]),
            slot: Some(SlotId([4; 16])),
        };
        pins.save("/a", &pin).unwrap();
        pins.save("/a", &pin).unwrap();
        assert_eq!(pins.load("/a").unwrap(), Some(pin));
        assert_eq!(pins.load("/b").unwrap(), None);
        let file = folder.path().join("state").join(FilePins::file_name("/a"));
        std::fs::write(file, b"{").unwrap();
        assert!(pins.load("/a").is_err());
    }
}
