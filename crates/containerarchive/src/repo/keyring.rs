//! The keys that an opened slot gives: everything for admins, one domain for writers, constants in plain repositories.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::RepoError;
use crate::base::{DomainId, Randomness, RepositoryId};
use crate::chunk::GearTable;
use crate::crypto::{
    ChunkHasher, CryptoError, DomainOpener, DomainPublicKey, DomainSecret, ObjectSecrets, Purpose,
    PurposeKey, RootKey, Signer, Suite, Verifier, encapsulate,
};
use crate::format::pack::PackHeader;
use crate::format::prefix::{ObjectKind, Prefix};
use crate::format::slot::{Capability, SlotPayload, WriteKeys};

/// What the holder of a repository's keys can do.
pub struct KeyRing {
    repository: RepositoryId,
    suite: Suite,
    holder: Holder,
    /// Domains derived so far.
    domains: Mutex<HashMap<DomainId, Arc<DomainKeys>>>,
}

enum Holder {
    Plain,
    Admin { root: RootKey, signer: Signer },
    Writer { domain: DomainId, verifier: Verifier },
}

/// The keys of one domain.
pub struct DomainKeys {
    /// The domain.
    pub id: DomainId,
    /// Computes chunk hashes.
    pub hasher: ChunkHasher,
    repository: RepositoryId,
    suite: Suite,
    secret: DomainSecret,
    table: PurposeKey,
    index: PurposeKey,
    session: PurposeKey,
    public: Option<DomainPublicKey>,
    opener: Option<DomainOpener>,
}

impl DomainKeys {
    fn new(
        suite: Suite,
        repository: RepositoryId,
        id: DomainId,
        secret: DomainSecret,
        public: Option<DomainPublicKey>,
        opener: Option<DomainOpener>,
    ) -> Result<Self, CryptoError> {
        Ok(Self {
            id,
            hasher: ChunkHasher::new(suite, &secret, &repository)?,
            repository,
            suite,
            table: secret.purpose_key(&repository, Purpose::Table)?,
            index: secret.purpose_key(&repository, Purpose::Index)?,
            session: secret.purpose_key(&repository, Purpose::Session)?,
            secret,
            public,
            opener,
        })
    }

    /// The gear table of the domain.
    ///
    /// # Errors
    /// A derivation failed.
    pub fn gear_table(&self) -> Result<GearTable, CryptoError> {
        match self.suite {
            Suite::Plain => Ok(GearTable::published()),
            Suite::X25519 => Ok(GearTable::from_bytes(&*self.secret.gear_bytes(&self.repository)?)),
        }
    }

    fn label(kind: ObjectKind) -> &'static str {
        if kind == ObjectKind::Manifest { "manifest" } else { "pack" }
    }

    /// Secrets for a new pack or manifest with this prefix, and the encapsulated key to store in it.
    ///
    /// # Errors
    /// A primitive failed.
    pub fn new_object(
        &self,
        prefix: &Prefix,
        random: &dyn Randomness,
    ) -> Result<(ObjectSecrets, [u8; 32]), CryptoError> {
        let bytes = prefix.encode();
        match &self.public {
            None => {
                Ok((self.secret.plain_secrets(&self.repository, Self::label(prefix.kind), &bytes)?, [0; 32]))
            }
            Some(public) => encapsulate(public, &self.secret, &self.repository, self.id, &bytes, random),
        }
    }

    /// Secrets of a stored pack or manifest. `None` if these keys can add and not read.
    ///
    /// # Errors
    /// A primitive failed, or `enc` is no point.
    pub fn stored_object(
        &self,
        prefix: &Prefix,
        enc: &[u8; 32],
    ) -> Result<Option<ObjectSecrets>, CryptoError> {
        let bytes = prefix.encode();
        match (&self.opener, self.suite) {
            (_, Suite::Plain) => {
                self.secret.plain_secrets(&self.repository, Self::label(prefix.kind), &bytes).map(Some)
            }
            (Some(opener), Suite::X25519) => opener.open(&bytes, enc).map(Some),
            (None, Suite::X25519) => Ok(None),
        }
    }

    /// Secrets of a pack's chunk table.
    ///
    /// # Errors
    /// A derivation failed.
    pub fn table_secrets(&self, header: &PackHeader) -> Result<ObjectSecrets, CryptoError> {
        self.table.object_secrets(self.suite, &self.repository, &header.encode())
    }

    /// Secrets of an index segment.
    ///
    /// # Errors
    /// A derivation failed.
    pub fn segment_secrets(&self, prefix: &Prefix) -> Result<ObjectSecrets, CryptoError> {
        self.index.object_secrets(self.suite, &self.repository, &prefix.encode())
    }

    /// Secrets of a session.
    ///
    /// # Errors
    /// A derivation failed.
    pub fn session_secrets(&self, prefix: &Prefix) -> Result<ObjectSecrets, CryptoError> {
        self.session.object_secrets(self.suite, &self.repository, &prefix.encode())
    }
}

impl KeyRing {
    /// The keys of a plain repository.
    ///
    /// # Errors
    /// A derivation failed.
    pub fn plain(repository: RepositoryId) -> Result<Self, CryptoError> {
        let main =
            DomainKeys::new(Suite::Plain, repository, DomainId::MAIN, DomainSecret::plain(), None, None)?;
        Ok(Self::with(Suite::Plain, repository, Holder::Plain, Some(main)))
    }

    /// The keys that a slot gives.
    ///
    /// # Errors
    /// A derivation failed.
    pub fn from_slot(repository: RepositoryId, payload: SlotPayload) -> Result<Self, CryptoError> {
        match payload {
            SlotPayload::Admin(root) => Self::admin(repository, root),
            SlotPayload::Write(WriteKeys { domain, secret, public, verifier }) => {
                let keys = DomainKeys::new(Suite::X25519, repository, domain, secret, Some(public), None)?;
                Ok(Self::with(Suite::X25519, repository, Holder::Writer { domain, verifier }, Some(keys)))
            }
        }
    }

    /// The keys that the root gives.
    ///
    /// # Errors
    /// A derivation failed.
    pub fn admin(repository: RepositoryId, root: RootKey) -> Result<Self, CryptoError> {
        let signer = Signer::new(&root, &repository)?;
        Ok(Self::with(Suite::X25519, repository, Holder::Admin { root, signer }, None))
    }

    fn with(suite: Suite, repository: RepositoryId, holder: Holder, domain: Option<DomainKeys>) -> Self {
        let domains = domain.map(|keys| (keys.id, Arc::new(keys))).into_iter().collect();
        Self { repository, suite, holder, domains: Mutex::new(domains) }
    }

    /// How the repository seals.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// What the holder may do. Everybody is an admin of a plain repository.
    #[must_use]
    pub fn capability(&self) -> Capability {
        match self.holder {
            Holder::Plain | Holder::Admin { .. } => Capability::Admin,
            Holder::Writer { .. } => Capability::Write,
        }
    }

    /// The one gate of all that a write holder cannot do.
    ///
    /// # Errors
    /// [`RepoError::NeedsAdmin`].
    pub fn require_admin(&self, what: &'static str) -> Result<(), RepoError> {
        match self.capability() {
            Capability::Admin => Ok(()),
            Capability::Write => Err(RepoError::NeedsAdmin { what }),
        }
    }

    /// The domain that new snapshots go to.
    #[must_use]
    pub fn own_domain(&self) -> DomainId {
        match self.holder {
            Holder::Plain | Holder::Admin { .. } => DomainId::MAIN,
            Holder::Writer { domain, .. } => domain,
        }
    }

    /// The keys of a domain. `None` for a domain that the holder has no keys of.
    ///
    /// # Errors
    /// A derivation failed.
    pub fn domain(&self, id: DomainId) -> Result<Option<Arc<DomainKeys>>, CryptoError> {
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = domains.get(&id) {
            return Ok(Some(Arc::clone(keys)));
        }
        let Holder::Admin { root, .. } = &self.holder else { return Ok(None) };
        let secret = DomainSecret::derive(root, &self.repository, id)?;
        let (opener, public) = DomainOpener::new(root, &secret, &self.repository, id)?;
        let keys = DomainKeys::new(self.suite, self.repository, id, secret, Some(public), Some(opener))?;
        let keys = Arc::new(keys);
        domains.insert(id, Arc::clone(&keys));
        Ok(Some(keys))
    }

    /// The root, for admins of an encrypted repository.
    #[must_use]
    pub fn root(&self) -> Option<&RootKey> {
        match &self.holder {
            Holder::Admin { root, .. } => Some(root),
            _ => None,
        }
    }

    /// Signs; admins of an encrypted repository only.
    #[must_use]
    pub fn signer(&self) -> Option<&Signer> {
        match &self.holder {
            Holder::Admin { signer, .. } => Some(signer),
            _ => None,
        }
    }

    /// Verifies what admins signed; `None` in a plain repository, where nothing is signed.
    #[must_use]
    pub fn verifier(&self) -> Option<Verifier> {
        match &self.holder {
            Holder::Plain => None,
            Holder::Admin { signer, .. } => Some(signer.verifier()),
            Holder::Writer { verifier, .. } => Some(verifier.clone()),
        }
    }

    /// What a new write slot of a domain holds.
    ///
    /// # Errors
    /// The holder is no admin of an encrypted repository, or a derivation failed.
    pub fn write_keys(&self, domain: DomainId) -> Result<WriteKeys, RepoError> {
        let Holder::Admin { root, signer } = &self.holder else {
            return Err(RepoError::NeedsAdmin { what: "making a key" });
        };
        let secret = DomainSecret::derive(root, &self.repository, domain)?;
        let (_, public) = DomainOpener::new(root, &secret, &self.repository, domain)?;
        Ok(WriteKeys { domain, secret, public, verifier: signer.verifier() })
    }
}
