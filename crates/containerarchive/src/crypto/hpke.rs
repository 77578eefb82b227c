//! HPKE (RFC 9180), mode_psk with an export-only context: whoever has the domain's secret and public key can seal,
//! whoever has the root can open.

use hpke::aead::ExportOnlyAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, PskBundle, Serializable};
use zeroize::Zeroizing;

use super::kdf::kdf32;
use super::{Commitment, CryptoError, DomainSecret, ObjectSecrets, RootKey, SealKey, Suite};
use crate::base::random::random_array;
use crate::base::{DomainId, Randomness, RepositoryId};

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;

const FAILED: CryptoError = CryptoError("HPKE");

/// The public half of a domain's key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainPublicKey(pub [u8; 32]);

/// The private half of a domain's key pair, and its psk.
pub struct DomainOpener {
    private: PrivateKey,
    psk: Zeroizing<[u8; 32]>,
    domain: DomainId,
}

fn psk(secret: &DomainSecret, repository: &RepositoryId) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    Ok(Zeroizing::new(kdf32(secret.expose(), repository, "psk", b"")?))
}

/// The two exports of a context as an object's secrets.
fn secrets(
    export: impl Fn(&[u8], &mut [u8]) -> Result<(), hpke::HpkeError>,
) -> Result<ObjectSecrets, CryptoError> {
    let mut key = Zeroizing::new([0; 32]);
    let mut commitment = [0; 32];
    export(b"key", key.as_mut_slice()).map_err(|_| FAILED)?;
    export(b"commitment", &mut commitment).map_err(|_| FAILED)?;
    Ok(ObjectSecrets { key: SealKey::new(Suite::X25519, key)?, commitment: Commitment(commitment) })
}

impl DomainOpener {
    /// Derives a domain's key pair.
    ///
    /// # Errors
    /// A derivation failed.
    pub fn new(
        root: &RootKey,
        secret: &DomainSecret,
        repository: &RepositoryId,
        domain: DomainId,
    ) -> Result<(Self, DomainPublicKey), CryptoError> {
        let context = [domain.as_bytes().as_slice(), &Suite::X25519.number().to_le_bytes()].concat();
        let seed = Zeroizing::new(kdf32(root.expose(), repository, "hpke", &context)?);
        let (private, public) = X25519HkdfSha256::derive_keypair(seed.as_slice());
        let mut public_bytes = [0; 32];
        public_bytes.copy_from_slice(&public.to_bytes());
        Ok((Self { private, psk: psk(secret, repository)?, domain }, DomainPublicKey(public_bytes)))
    }

    /// The secrets of an object with this prefix and encapsulated key. A wrong prefix or `encapsulated` shows in the
    /// commitment.
    ///
    /// # Errors
    /// `encapsulated` is not a usable point.
    pub fn open(&self, prefix: &[u8], encapsulated: &[u8; 32]) -> Result<ObjectSecrets, CryptoError> {
        let encapsulated =
            <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| FAILED)?;
        let bundle = PskBundle::new(self.psk.as_slice(), self.domain.as_bytes()).map_err(|_| FAILED)?;
        let context = hpke::setup_receiver::<ExportOnlyAead, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Psk(bundle),
            &self.private,
            &encapsulated,
            prefix,
        )
        .map_err(|_| FAILED)?;
        secrets(|label, output| context.export(label, output))
    }
}

/// Fresh secrets for an object with this prefix, and the encapsulated key to store in it.
///
/// # Errors
/// The public key is not a usable point, or there is no randomness.
pub fn encapsulate(
    public: &DomainPublicKey,
    secret: &DomainSecret,
    repository: &RepositoryId,
    domain: DomainId,
    prefix: &[u8],
    random: &dyn Randomness,
) -> Result<(ObjectSecrets, [u8; 32]), CryptoError> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&public.0).map_err(|_| FAILED)?;
    let psk = psk(secret, repository)?;
    let bundle = PskBundle::new(psk.as_slice(), domain.as_bytes()).map_err(|_| FAILED)?;
    let seed = Zeroizing::new(random_array::<64>(random).map_err(|_| CryptoError("the random generator"))?);
    let (encapsulated, context) =
        hpke::setup_sender_with_rng::<ExportOnlyAead, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Psk(bundle),
            &public,
            prefix,
            &mut SeededRng(blake3::Hasher::new().update(seed.as_slice()).finalize_xof()),
        )
        .map_err(|_| FAILED)?;
    let mut encapsulated_bytes = [0; 32];
    encapsulated_bytes.copy_from_slice(&encapsulated.to_bytes());
    Ok((secrets(|label, output| context.export(label, output))?, encapsulated_bytes))
}

/// The HPKE library wants a generator that cannot fail; ours can, so the seed is drawn before and stretched here.
struct SeededRng(blake3::OutputReader);

impl TryRng for SeededRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill(buffer);
        Ok(())
    }
}

impl TryCryptoRng for SeededRng {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SystemRandomness;

    #[test]
    fn what_is_encapsulated_opens_with_root_only_under_the_same_prefix_and_domain() {
        let repository = RepositoryId([1; 16]);
        let root = RootKey::new([2; 32]);
        let domain = DomainId([3; 16]);
        let secret = DomainSecret::new([4; 32]);
        let (opener, public) = DomainOpener::new(&root, &secret, &repository, domain).unwrap();
        let (made, enc) =
            encapsulate(&public, &secret, &repository, domain, b"prefix", &SystemRandomness).unwrap();
        let opened = opener.open(b"prefix", &enc).unwrap();
        assert!(opened.commitment.matches(&made.commitment.0));
        assert!(!opener.open(b"prefiy", &enc).unwrap().commitment.matches(&made.commitment.0));
        let (other, _) = DomainOpener::new(&root, &DomainSecret::new([5; 32]), &repository, domain).unwrap();
        assert!(!other.open(b"prefix", &enc).unwrap().commitment.matches(&made.commitment.0));
        let mut text = *b"text";
        let tag = made.key.seal([0; 12], b"", &mut text).unwrap();
        let mut sealed = [text.as_slice(), &tag].concat();
        assert_eq!(opened.key.open([0; 12], b"", &mut sealed).unwrap(), b"text");
    }
}
