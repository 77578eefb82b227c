//! Text objects: body, signature, digest, a line each (`docs/FORMAT.md` section 5).

use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::FormatError;
use super::error::ensure;
use crate::base::{ObjectName, RepositoryId};
use crate::crypto::{SIGNATURE_LEN, Signer, Verifier, blake3_256};

const UNSIGNED: &[u8] = b"unsigned";
const SIGNED: &[u8] = b"ed25519 ";
const DIGEST: &[u8] = b"blake3 ";

/// The members that every body begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Common {
    /// What the object is.
    pub kind: String,
    /// Where it belongs.
    pub repository: RepositoryId,
    /// Its own name.
    pub name: String,
}

impl Common {
    /// The members of an object.
    #[must_use]
    pub fn new(kind: &str, repository: RepositoryId, name: &ObjectName) -> Self {
        Self { kind: kind.to_owned(), repository, name: name.to_string() }
    }
}

#[derive(Serialize)]
struct Body<'a, T> {
    #[serde(flatten)]
    common: &'a Common,
    #[serde(flatten)]
    own: &'a T,
}

/// The bytes of a text object; signed if there is a signer.
///
/// # Errors
/// The members cannot be written as JSON.
pub fn encode<T: Serialize>(
    common: &Common,
    own: &T,
    signer: Option<&Signer>,
) -> Result<Vec<u8>, FormatError> {
    let mut bytes = serde_json::to_vec(&Body { common, own })
        .map_err(|error| FormatError::broken("R-TEXT-5", error.to_string()))?;
    bytes.push(b'\n');
    match signer {
        None => bytes.extend_from_slice(UNSIGNED),
        Some(signer) => {
            let signature = signer.sign(&bytes);
            bytes.extend_from_slice(SIGNED);
            bytes.extend_from_slice(HEXLOWER.encode(&signature).as_bytes());
        }
    }
    bytes.push(b'\n');
    let digest = HEXLOWER.encode(&blake3_256(&bytes));
    bytes.extend_from_slice(DIGEST);
    bytes.extend_from_slice(digest.as_bytes());
    bytes.push(b'\n');
    Ok(bytes)
}

/// A text object whose digest is right; its signature is not yet verified.
#[derive(Debug)]
pub struct TextObject<'a> {
    body_line: &'a [u8],
    signature: Option<[u8; SIGNATURE_LEN]>,
}

/// Takes one line off; its LF is not part of the result.
fn split_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    Some(line)
}

impl<'a> TextObject<'a> {
    /// Splits the lines and compares the digest (R-TEXT-1, R-TEXT-2).
    ///
    /// # Errors
    /// The object is damaged.
    pub fn parse(bytes: &'a [u8], max_bytes: usize) -> Result<Self, FormatError> {
        const FORM: &str = "R-TEXT-1";
        let form = || FormatError::broken(FORM, "it is not three lines of body, signature and digest");
        ensure(bytes.len() <= max_bytes, FORM, "it is too long")?;
        let mut rest = bytes;
        let body = split_line(&mut rest).ok_or_else(form)?;
        ensure(
            body.first() == Some(&b'{') && body.last() == Some(&b'}'),
            FORM,
            "its first line is not an object",
        )?;
        let signature = split_line(&mut rest).ok_or_else(form)?;
        let digested = &bytes[..bytes.len() - rest.len()];
        let digest = split_line(&mut rest).filter(|_| rest.is_empty()).ok_or_else(form)?;
        let mut stated = [0; 32];
        let digits = digest.strip_prefix(DIGEST).filter(|digits| digits.len() == 64).ok_or_else(form)?;
        HEXLOWER.decode_mut(digits, &mut stated).map_err(|_| form())?;
        ensure(blake3_256(digested) == stated, "R-TEXT-2", "its BLAKE3 is wrong: it is damaged")?;
        let signature = if signature == UNSIGNED {
            None
        } else {
            let digits =
                signature.strip_prefix(SIGNED).filter(|digits| digits.len() == 128).ok_or_else(form)?;
            let mut bytes = [0; SIGNATURE_LEN];
            HEXLOWER.decode_mut(digits, &mut bytes).map_err(|_| form())?;
            Some(bytes)
        };
        Ok(Self { body_line: &bytes[..=body.len()], signature })
    }

    /// Checks the signature (R-TEXT-3): with a verifier there must be a right one, without there must be none.
    ///
    /// # Errors
    /// The signature is missing, wrong, or there is one where none belongs.
    pub fn check_signature(&self, verifier: Option<&Verifier>) -> Result<(), FormatError> {
        const RULE: &str = "R-TEXT-3";
        match (verifier, &self.signature) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(FormatError::broken(RULE, "it is signed, which such an object never is")),
            (Some(_), None) => Err(FormatError::broken(RULE, "it is not signed")),
            (Some(verifier), Some(signature)) => {
                ensure(verifier.verify(self.body_line, signature), RULE, "its signature is wrong")
            }
        }
    }

    /// Reads the members and checks the common ones (R-TEXT-4, R-TEXT-5).
    ///
    /// # Errors
    /// A member is missing, twice there, of another type; or the object is another one.
    pub fn body<T: DeserializeOwned>(&self, expected: &Common) -> Result<T, FormatError> {
        const RULE: &str = "R-TEXT-4";
        let common: Common = self.members()?;
        ensure(common.kind == expected.kind, RULE, "it is an object of another kind")?;
        ensure(common.repository == expected.repository, RULE, "it belongs to another repository")?;
        ensure(common.name == expected.name, RULE, "it says that its name is another one")?;
        self.members()
    }

    /// The members of the body, without a check of the common ones.
    ///
    /// # Errors
    /// A member is missing, twice there, or of another type.
    pub fn members<T: DeserializeOwned>(&self) -> Result<T, FormatError> {
        from_json(self.body_line, "R-TEXT-5")
    }
}

/// JSON with an error that names a rule.
pub(super) fn from_json<T: DeserializeOwned>(json: &[u8], rule: &'static str) -> Result<T, FormatError> {
    super::strict::check(json).map_err(|error| FormatError::broken("R-TEXT-6", error.to_string()))?;
    let object = serde_json::from_slice::<super::strict::Object<T>>(json);
    object.map(|object| object.0).map_err(|error| FormatError::broken(rule, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RootKey;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Own {
        number: u64,
    }

    fn common() -> Common {
        Common::new("test", RepositoryId([1; 16]), &super::super::names::config())
    }

    #[test]
    fn signed_objects_round_trip_and_a_flip_in_any_bit_is_noticed() {
        let signer = Signer::new(&RootKey::new([1; 32]), &RepositoryId([1; 16])).unwrap();
        let bytes = encode(&common(), &Own { number: 7 }, Some(&signer)).unwrap();
        let object = TextObject::parse(&bytes, 1000).unwrap();
        object.check_signature(Some(&signer.verifier())).unwrap();
        assert!(object.check_signature(None).is_err());
        assert_eq!(object.body::<Own>(&common()).unwrap(), Own { number: 7 });
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(TextObject::parse(&damaged, 1000).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_member_twice_or_another_name_is_refused() {
        let twice = b"{\"kind\":\"test\",\"repository\":\"01010101010101010101010101010101\",\"name\":\"config.json\",\"number\":1,\"number\":2}\nunsigned\n";
        let mut bytes = twice.to_vec();
        bytes.extend(format!("blake3 {}\n", HEXLOWER.encode(&blake3_256(twice))).bytes());
        let object = TextObject::parse(&bytes, 1000).unwrap();
        assert!(object.body::<Own>(&common()).is_err());
        let bytes = encode(&common(), &Own { number: 7 }, None).unwrap();
        let object = TextObject::parse(&bytes, 1000).unwrap();
        let other = Common { name: "keys/a.json".into(), ..common() };
        assert!(object.body::<Own>(&other).is_err());
    }
}
