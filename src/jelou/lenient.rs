//! JSON values that are read as well as they can be: what does not fit becomes nothing, never an error.
//!
//! Each type takes every JSON value, so that one field of an unexpected type costs that field and not the page.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A text, or a number as text; borrowed from the body where no escape forbids it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

/// A number of things: from a number or a numeric string, not negative, a fraction rounded off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub Option<u64>);

/// An object; `None` for null and whatever else is none (a derived struct would take an array for an object).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obj<T>(pub Option<T>);

/// An array of at most [`MAX_ROWS`] values, or what stands in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rows<R> {
    /// The key is missing, or its value is no array.
    #[default]
    Missing,
    /// The values.
    Listed(Vec<R>),
    /// More than [`MAX_ROWS`] values.
    TooMany,
}

/// No page asked for is as long; a body of nothing but `{},{},…` would take a hundred times its size in memory.
pub const MAX_ROWS: usize = 10_000;

impl Text<'_> {
    /// The text, if there is one.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl Count {
    const fn rounded(value: f64) -> Self {
        // The bound keeps the cast exact: beyond 2^53 a float no longer tells one millisecond from the next.
        if value >= 0.0 && value < 9_007_199_254_740_992.0 { Self(Some(value.round() as u64)) } else { Self(None) }
    }
}

impl<T> Obj<T> {
    /// The object, if it is one.
    pub const fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> Default for Obj<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// What every visitor here does with the values that mean nothing to it.
macro_rules! nothing {
    ($nothing:expr; $($kind:ident),+) => { $(nothing!(@ $nothing, $kind);)+ };
    (@ $nothing:expr, scalars) => {
        nothing! { $nothing; null, bool }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> { Ok($nothing) }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> { Ok($nothing) }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> { Ok($nothing) }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> { Ok($nothing) }
    };
    (@ $nothing:expr, null) => { fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($nothing) } };
    (@ $nothing:expr, bool) => { fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> { Ok($nothing) } };
    (@ $nothing:expr, seq) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
    (@ $nothing:expr, map) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

fn any(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("any JSON value")
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }

            nothing! { Text(None); null, bool, seq, map }
        }

        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }

            fn visit_u64<E>(self, number: u64) -> Result<Count, E> {
                Ok(Count(Some(number)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(number).ok()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Count, E> {
                Ok(Count::rounded(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Count, E> {
                let text = text.trim();
                Ok(text
                    .parse()
                    .map_or_else(|_| text.parse().map_or(Count(None), Count::rounded), |number| Count(Some(number))))
            }

            nothing! { Count(None); null, bool, seq, map }
        }

        deserializer.deserialize_any(Read)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Obj<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = Obj<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Obj<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|object| Obj(Some(object)))
            }

            nothing! { Obj(None); scalars, seq }
        }

        deserializer.deserialize_any(Read(PhantomData))
    }
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for Rows<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<R>(PhantomData<R>);

        impl<'de, R: Deserialize<'de>> Visitor<'de> for Read<R> {
            type Value = Rows<R>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Rows<R>, A::Error> {
                // The page size that the documentation speaks of; a longer page grows.
                let mut rows = Vec::with_capacity(50);
                while let Some(row) = seq.next_element()? {
                    if rows.len() == MAX_ROWS {
                        while seq.next_element::<IgnoredAny>()?.is_some() {}
                        return Ok(Rows::TooMany);
                    }
                    rows.push(row);
                }
                Ok(Rows::Listed(rows))
            }

            nothing! { Rows::Missing; scalars, map }
        }

        deserializer.deserialize_any(Read(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a, T: Deserialize<'a>>(json: &'a str) -> T {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    fn text(json: &str) -> Option<String> {
        read::<Text<'_>>(json).get().map(str::to_owned)
    }

    fn count(json: &str) -> Option<u64> {
        read::<Count>(json).0
    }

    #[test]
    fn texts() {
        assert_eq!(text(r#""a""#).as_deref(), Some("a"));
        assert_eq!(text(r#""\u00e1\n""#).as_deref(), Some("á\n"));
        assert_eq!(text("123").as_deref(), Some("123"));
        assert_eq!(text("-7").as_deref(), Some("-7"));
        assert_eq!(text("1686239561000.0").as_deref(), Some("1686239561000"));
        for none in ["null", "true", "[]", "{}", r#"["a",{"b":[1]}]"#, r#"{"a":{"b":null}}"#] {
            assert_eq!(text(none), None, "{none}");
        }
        assert!(matches!(read::<Text<'_>>(r#""plain""#).0, Some(Cow::Borrowed("plain"))));
    }

    #[test]
    fn counts() {
        assert_eq!(count("795880"), Some(795_880));
        assert_eq!(count("0"), Some(0));
        assert_eq!(count(r#"" 795880 ""#), Some(795_880));
        assert_eq!(count("795880.0"), Some(795_880));
        assert_eq!(count(r#""795880.4""#), Some(795_880));
        assert_eq!(count("18446744073709551615"), Some(u64::MAX));
        for none in ["-1", "-0.5", "1e300", r#""""#, r#""soon""#, r#""-5""#, r#""NaN""#, r#""inf""#] {
            assert_eq!(count(none), None, "{none}");
        }
        for none in ["null", "false", "[5]", r#"{"a":5}"#] {
            assert_eq!(count(none), None, "{none}");
        }
    }

    #[test]
    fn objects_and_nothing_else() {
        #[derive(serde::Deserialize)]
        struct Named {
            #[serde(default)]
            name: Count,
        }
        let name = |json| read::<Obj<Named>>(json).get().map(|named| named.name.0);
        assert_eq!(name(r#"{"name":1}"#), Some(Some(1)));
        assert_eq!(name("{}"), Some(None));
        for none in ["null", "[]", "[1]", r#""a""#, "1", "-1", "1.5", "true"] {
            assert_eq!(name(none), None, "{none}");
        }
    }

    #[test]
    fn rows_are_an_array_of_bounded_length() {
        let many = |count| format!("[{}0]", "0,".repeat(count - 1));
        assert_eq!(read::<Rows<Count>>("[1,null]"), Rows::Listed(vec![Count(Some(1)), Count(None)]));
        assert_eq!(read::<Rows<Count>>("[]"), Rows::Listed(vec![]));
        assert!(matches!(read::<Rows<Count>>(&many(MAX_ROWS)), Rows::Listed(rows) if rows.len() == MAX_ROWS));
        assert_eq!(read::<Rows<Count>>(&many(MAX_ROWS + 1)), Rows::TooMany);
        assert_eq!(read::<Rows<Count>>(&many(MAX_ROWS + 2)), Rows::TooMany);
        for missing in ["null", "{}", r#"{"0":{}}"#, r#""""#, "0", "false"] {
            assert_eq!(read::<Rows<Count>>(missing), Rows::Missing, "{missing}");
        }
    }
}
