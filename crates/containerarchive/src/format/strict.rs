//! The JSON that this format allows: no member twice anywhere, numbers that are whole and not negative, bounded depth.
//! (`docs/FORMAT.md`, R-TEXT-6.)

use std::collections::HashSet;
use std::fmt;

use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Deepest nesting of objects and arrays; ours have four levels, evidence may have more.
const MAX_DEPTH: usize = 32;
/// Most members of one object: their names are kept while it is read. A manifest has at most some thousand tags.
const MAX_MEMBERS: usize = 65_536;

/// Walks a text without keeping anything of it.
pub(super) fn check(json: &[u8]) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Strict(MAX_DEPTH).deserialize(&mut deserializer)?;
    deserializer.end()
}

/// For `#[serde(deserialize_with)]`: an object, and not the array of its values that serde would take as well.
pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|object| object.0)
}

/// For `#[serde(deserialize_with)]`: an array of objects.
pub(super) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let objects: Vec<Object<T>> = Vec::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|object| object.0).collect())
}

/// For `#[serde(deserialize_with)]`: one word of several, and not the object of that word that serde would take as well.
pub(super) fn word<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let word: StringDeserializer<D::Error> = StringDeserializer::new(String::deserialize(deserializer)?);
    T::deserialize(word)
}

/// For `#[serde(deserialize_with)]`: `null` or a value; without this the member could be missing.
pub(super) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// What is read from a JSON object only.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// Any value with this many levels below it.
struct Strict(usize);

impl Strict {
    fn below<E: Error>(&self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("nested deeper than 32 levels"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, array, string, true, false, null or whole number from 0 to 2^64 - 1")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self.below()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if let Some(twice) = names.replace(name) {
                return Err(A::Error::custom(format!(
                    "member '{}' twice",
                    twice.chars().take(80).collect::<String>()
                )));
            }
            if names.len() > MAX_MEMBERS {
                return Err(A::Error::custom("an object has more than 65,536 members"));
            }
            members.next_value_seed(self.below()?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_twice_odd_numbers_and_depth_are_refused() {
        for good in ["{}", r#"{"a":[1,{"b":null}],"c":18446744073709551615}"#, r#"{"a":{"x":1},"b":{"x":1}}"#]
        {
            assert!(check(good.as_bytes()).is_ok(), "{good}");
        }
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":-1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1e3}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":01}"#,
            "{} {}",
            &deep,
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
