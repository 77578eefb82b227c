//! The fixed keys of the kit, as `testdata/kit/README.md` lists them.

use std::sync::Arc;

use containerarchive::base::testing::SeededRandomness;
use containerarchive::base::{DomainId, RecordId, RepositoryId, SessionId, SlotId};
use containerarchive::crypto::{ObjectSecrets, RootKey, Signer, Suite};
use containerarchive::format::prefix::{Class, ObjectKind, Prefix};
use containerarchive::repo::{DomainKeys, KeyRing};
use data_encoding::HEXLOWER;

pub(crate) const ROOT: [u8; 32] = [0x52; 32];
pub(crate) const KEY_FILE: [u8; 32] = [0x4b; 32];
pub(crate) const PASSPHRASE: &str = "kit passphrase";
pub(crate) const BLOB_KEY: [u8; 32] = [0xb1; 32];
pub(crate) const SALT: [u8; 32] = [0x5a; 32];
pub(crate) const SLOT: SlotId = SlotId([0x51; 16]);
pub(crate) const SESSION: SessionId = SessionId([0x5e; 16]);
pub(crate) const RECORD: RecordId = RecordId([0x4e; 16]);
pub(crate) const TIME: &str = "2026-11-22T18:44:18.123Z";

/// One of the two repositories that the objects of the kit belong to.
pub(crate) struct Side {
    pub(crate) suite: Suite,
    pub(crate) repository: RepositoryId,
    pub(crate) keys: KeyRing,
}

impl Side {
    pub(crate) fn encrypted() -> Self {
        let repository = RepositoryId([0xe1; 16]);
        let keys = KeyRing::admin(repository, RootKey::new(ROOT)).unwrap();
        Self { suite: Suite::X25519, repository, keys }
    }

    pub(crate) fn plain() -> Self {
        let repository = RepositoryId([0x01; 16]);
        Self { suite: Suite::Plain, repository, keys: KeyRing::plain(repository).unwrap() }
    }

    /// The repository that a case belongs to, by its name.
    pub(crate) fn of(case: &str) -> Self {
        if case.contains("/accept-plain") || case.contains("/reject-plain") {
            Self::plain()
        } else {
            Self::encrypted()
        }
    }

    pub(crate) fn signer(&self) -> Option<&Signer> {
        self.keys.signer()
    }

    pub(crate) fn domain(&self) -> Arc<DomainKeys> {
        self.keys.domain(DomainId::MAIN).unwrap().unwrap()
    }

    pub(crate) fn prefix(&self, kind: ObjectKind, class: Class) -> Prefix {
        Prefix {
            kind,
            suite: self.suite,
            class,
            repository: self.repository,
            domain: DomainId::MAIN,
            session: SESSION,
            salt: SALT,
        }
    }

    /// Secrets of a new pack or manifest; the same ones each time.
    pub(crate) fn new_object(&self, prefix: &Prefix) -> (ObjectSecrets, [u8; 32]) {
        self.domain().new_object(prefix, &SeededRandomness::new(7)).unwrap()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
