//! YAML as a tree that forgets nothing: doubled keys are kept, so that they can be reported.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A node of the document. Printed by tests alone, for it may hold a secret.
#[derive(PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Node {
    /// Nothing, or `null`.
    Null,
    /// A string, quoted or one that can be nothing else.
    Text(String),
    /// What YAML took for a number or a truth value.
    Bare(Bare),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order and with the doubles of the document.
    Map(Vec<(Node, Node)>),
}

/// A number or a truth value.
#[derive(Default, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Bare {
    /// As YAML understood it: `16`.
    pub(crate) value: String,
    /// As it stands in the document: `0x10`.
    pub(crate) written: String,
}

/// Reads one document; an empty one is [`Node::Null`].
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    let mut tree = serde_norway::from_str(text).map_err(|error| told(&error, text))?;
    // What a value is asked for as decides whether it comes as it is written, and what it is has to be known first.
    Spelling(&mut tree).deserialize(serde_norway::Deserializer::from_str(text)).map_err(|error| told(&error, text))?;
    Ok(tree)
}

fn told(error: &serde_norway::Error, text: &str) -> String {
    let message = error.to_string();
    // Where it stands is not always said of a character that nothing can begin with.
    let has_tab = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    if let Some(line) = text.lines().position(has_tab)
        && (message.contains("cannot start any token") || message.contains("tab character"))
    {
        return format!("line {} begins with a tab, where YAML takes blanks alone", line + 1);
    }
    // Complaints about a value quote it, and it may be a secret; those about the syntax do not.
    if !message.contains("invalid ") {
        return message;
    }
    let place = error.location().map(|at| format!(" at line {} column {}", at.line(), at.column()));
    format!("a value that cannot be read{}", place.unwrap_or_default())
}

impl Node {
    fn bare(value: impl ToString) -> Self {
        Self::Bare(Bare { value: value.to_string(), written: String::new() })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    // What an empty document is.
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::bare(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::bare(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::bare(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::bare(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::bare(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::bare(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

/// Reads a document once more, for how its numbers and truth values are written.
struct Spelling<'a>(&'a mut Node);

impl<'de> DeserializeSeed<'de> for Spelling<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Node::Bare(_) => deserializer.deserialize_str(self),
            Node::List(_) => deserializer.deserialize_seq(self),
            Node::Map(_) => deserializer.deserialize_map(self),
            Node::Null | Node::Text(_) => IgnoredAny::deserialize(deserializer).map(drop),
        }
    }
}

impl<'de> Visitor<'de> for Spelling<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was there before")
    }

    fn visit_str<E>(self, written: &str) -> Result<(), E> {
        if let Node::Bare(bare) = self.0 {
            written.clone_into(&mut bare.written);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if let Node::List(list) = self.0 {
            for item in list {
                items.next_element_seed(Spelling(item))?;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if let Node::Map(map) = self.0 {
            for (key, value) in map {
                entries.next_key_seed(Spelling(key))?;
                entries.next_value_seed(Spelling(value))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_document_becomes_a_tree() {
        let text = |text: &str| Node::Text(text.to_owned());
        let bare = |text: &str| Node::Bare(Bare { value: text.to_owned(), written: text.to_owned() });
        assert_eq!(parse(""), Ok(Node::Null));
        assert_eq!(parse("# nothing\n"), Ok(Node::Null));
        assert_eq!(
            parse("a: [1, 0.5, true, ~, '2', 0012, -3, 340282366920938463463374607431768211455]\na: 5m"),
            Ok(Node::Map(vec![
                (
                    text("a"),
                    Node::List(vec![
                        bare("1"),
                        bare("0.5"),
                        bare("true"),
                        Node::Null,
                        text("2"),
                        text("0012"),
                        bare("-3"),
                        bare("340282366920938463463374607431768211455"),
                    ])
                ),
                (text("a"), text("5m")),
            ]))
        );
    }

    #[test]
    fn numbers_are_known_as_they_are_written() {
        let written = |text: &str| {
            let Node::Map(entries) = parse(text).unwrap() else { panic!("{text}") };
            let bare = entries.into_iter().filter_map(|(_, value)| match value {
                Node::Bare(bare) => Some((bare.value, bare.written)),
                _ => None,
            });
            bare.collect::<Vec<_>>()
        };
        for (number, value) in [
            ("16", "16"),
            ("0x10", "16"),
            ("0o20", "16"),
            ("+16", "16"),
            ("1e5", "100000"),
            ("1.50", "1.5"),
            ("True", "true"),
        ] {
            let pair = (value.to_owned(), number.to_owned());
            assert_eq!(written(&format!("x: [a, {{b: 1}}]\na: {number} # so")), vec![pair.clone()], "{number}");
            assert_eq!(written(&format!("a: &n {number}\nb: *n")), vec![pair.clone(), pair], "{number}");
        }
    }

    #[test]
    fn errors_name_the_place_and_no_value() {
        for document in ["a: !!int hunter2", "a: !!float hunter2", "a: !!bool hunter2", "a: !hunter2 x"] {
            assert_eq!(parse(document).unwrap_err(), "a value that cannot be read at line 1 column 4", "{document}");
        }
        let syntax = parse("a: [1\nb: hunter2").unwrap_err();
        assert!(syntax.contains("line 2") && !syntax.contains("hunter2"), "{syntax}");
        assert!(parse("a: 1\n---\nb: 2").unwrap_err().contains("more than one document"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC*|[-a-c:\\[\\]{},&*!|>'\"#~0-9. \n]{0,60}") {
            let _ = parse(&text);
        }
    }
}
