//! Randomness enters the engine through a trait, so that a simulator can replay a seed.

/// The source of ids, salts and keys.
pub trait Randomness: Send + Sync {
    /// Fills the buffer with bytes that nobody can predict.
    ///
    /// # Errors
    /// The operating system has no randomness to give; nothing may be written then.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomnessError>;
}

/// The operating system has no randomness to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct RandomnessError;

/// Fresh random bytes in an array.
///
/// # Errors
/// See [`Randomness::fill`].
pub fn random_array<const N: usize>(random: &dyn Randomness) -> Result<[u8; N], RandomnessError> {
    let mut bytes = [0; N];
    random.fill(&mut bytes)?;
    Ok(bytes)
}

/// The operating system's generator (`getrandom`).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomnessError> {
        getrandom::fill(buffer).map_err(|_| RandomnessError)
    }
}
