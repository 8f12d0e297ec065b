//! YAML and JSON with the line of each field.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

use super::octal::Octal;

/// A value and where its parts are.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) lines: Lines,
}

/// The lines of a value, from 1.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    line: u64,
    octal: Option<Octal>,
    fields: BTreeMap<String, Self>,
    items: Vec<Self>,
}

/// All documents of a text that hold something.
pub(crate) fn documents(text: &str) -> Result<Vec<Document>, String> {
    let nodes: Vec<Node> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    Ok(nodes.into_iter().map(|node| node.into_document(text, None)).collect())
}

impl Document {
    /// Takes the items of a list out.
    pub(crate) fn take_items(&mut self) -> Option<Vec<Self>> {
        let Value::Array(values) = self.value.get_mut("items").filter(|items| items.is_array())?.take() else {
            return None;
        };
        let lines = self.lines.fields.remove("items").map(|lines| lines.items).unwrap_or_default();
        Some(values.into_iter().zip(lines).map(|(value, lines)| Self { value, lines }).collect())
    }
}

impl Lines {
    /// The first line.
    pub(crate) const fn first(&self) -> u64 {
        self.line
    }

    /// The line of a field such as `spec.env[0].name`, if it is written.
    pub(crate) fn exact(&self, path: &str) -> Option<u64> {
        let mut at = self;
        for step in steps(path) {
            at = at.step(step)?;
        }
        Some(at.line)
    }

    /// The line of a field, or of what it would be in.
    pub(crate) fn nearest(&self, path: &str) -> u64 {
        let mut at = self;
        for step in steps(path) {
            match at.step(step) {
                Some(next) => at = next,
                None => break,
            }
        }
        at.line
    }

    /// Each number that kubectl takes for another, with its field.
    pub(crate) fn octals(&self) -> Vec<(String, &Octal)> {
        let mut found = Vec::new();
        self.find_octals("", &mut found);
        found
    }

    fn find_octals<'a>(&'a self, at: &str, found: &mut Vec<(String, &'a Octal)>) {
        found.extend(self.octal.iter().map(|octal| (at.to_owned(), octal)));
        let gap = if at.is_empty() { "" } else { "." };
        for (name, field) in &self.fields {
            field.find_octals(&format!("{at}{gap}{name}"), found);
        }
        for (index, item) in self.items.iter().enumerate() {
            item.find_octals(&format!("{at}[{index}]"), found);
        }
    }

    fn step(&self, step: Step<'_>) -> Option<&Self> {
        match step {
            Step::Field(name) => self.fields.get(name),
            Step::Item(index) => self.items.get(index),
        }
    }
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| {
        let index = part.strip_suffix(']').and_then(|digits| digits.parse().ok());
        index.map_or(Step::Field(part), Step::Item)
    })
}

/// As it is read. One pass gives both value and lines, so that they can't differ.
struct Node(Spanned<Content>);

enum Content {
    Scalar(Value),
    Items(Vec<Node>),
    Fields(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// `text`: what it was read from. `key`: the line of the key, which is where people look for a field.
    fn into_document(self, text: &str, key: Option<u64>) -> Document {
        let Spanned { value, referenced, defined } = self.0;
        let mut lines = Lines {
            line: key.unwrap_or_else(|| referenced.line()),
            octal: octal(text, &value, &defined),
            fields: BTreeMap::new(),
            items: Vec::new(),
        };
        let value = match value {
            Content::Scalar(value) => value,
            Content::Items(items) => {
                let mut values = Vec::with_capacity(items.len());
                for Document { value, lines: own } in items.into_iter().map(|item| item.into_document(text, None)) {
                    values.push(value);
                    lines.items.push(own);
                }
                Value::Array(values)
            }
            Content::Fields(fields) => {
                let mut values = Map::with_capacity(fields.len());
                for (key, value) in fields {
                    let Document { value, lines: own } = value.into_document(text, Some(key.referenced.line()));
                    values.insert(key.value.clone(), value);
                    lines.fields.insert(key.value, own);
                }
                Value::Object(values)
            }
        };
        Document { value, lines }
    }
}

/// The number that is written there, if kubectl takes it for another.
fn octal(text: &str, value: &Content, at: &Location) -> Option<Octal> {
    let Content::Scalar(Value::Number(_) | Value::String(_)) = value else { return None };
    let start = usize::try_from(at.span().byte_offset()?).ok()?;
    let before = text.get(..start)?;
    if is_in_block(before) { None } else { Octal::at_start(text.get(start..)?) }
}

/// Whether a scalar that begins after this text is the first line of a block (`|` or `>`), which is no number anywhere.
fn is_in_block(before: &str) -> bool {
    let (rest, line) = before.rsplit_once('\n').unwrap_or_default();
    let header = rest.trim_end().rsplit('\n').next().unwrap_or_default();
    let header = header.split(" #").next().unwrap_or_default().trim_end();
    line.trim().is_empty()
        && header.trim_end_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']).ends_with(['|', '>'])
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyContent)
    }
}

/// As serde_json reads a `Value`.
struct AnyContent;

impl<'de> Visitor<'de> for AnyContent {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Content::Items(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Content, A::Error> {
        let mut all = Vec::new();
        while let Some(field) = fields.next_entry()? {
            all.push(field);
        }
        Ok(Content::Fields(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# a comment\na: 1\nb:\n  c: [x,\n    y]\n  d:\n  - e: &anchor {f: null}\n  - \"g\"\n---\nlater: *nothing\n";

    #[test]
    fn each_field_has_the_line_of_its_name_and_each_item_its_own() {
        let text = TEXT.replace("*nothing", "1.5");
        let all = documents(&text).unwrap();
        let lines = &all[0].lines;
        let at = |path: &str| lines.exact(path);
        assert_eq!(lines.first(), 2);
        assert_eq!(["a", "b", "b.c", "b.c[0]", "b.c[1]"].map(at), [Some(2), Some(3), Some(4), Some(4), Some(5)]);
        assert_eq!(["b.d", "b.d[0]", "b.d[0].e.f", "b.d[1]"].map(at), [Some(6), Some(7), Some(7), Some(8)]);
        assert_eq!([at("b.z"), at("b.d[2]")], [None, None]);
        assert_eq!(["b.z", "b.d[2].x", "nowhere"].map(|path| lines.nearest(path)), [3, 6, 2]);
        assert_eq!(all[1].lines.exact("later"), Some(10));
    }

    #[test]
    fn the_value_is_what_it_would_be_without_lines() {
        let text =
            "a: [1, -2, 3.5, true, null, ~, x, '7', 0x10, 1e3, 18446744073709551615]\n1: {y: \"\\n\"}\nz: |\n  x\n";
        let plain: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        let with_lines: Vec<Value> = documents(text).unwrap().into_iter().map(|one| one.value).collect();
        assert_eq!(with_lines, plain);
    }

    #[test]
    fn a_number_that_kubectl_takes_for_another_is_found_with_its_field() {
        let text = "a: 0100\nb: {c: [1, -010, '0100', \"07\", 0], d: &x 08}\ne: *x\nf: 0x10\ng: 0.5\nh: 0100Mi\ni: |-\n  0100\nj: 00:10\nk: 0100 # so\n";
        let all = documents(text).unwrap();
        let found: Vec<(String, String)> =
            all[0].lines.octals().into_iter().map(|(field, octal)| (field, octal.to_string())).collect();
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["a", "b.c[1]", "b.d", "e", "k"]);
        let said = "kubectl takes a number that begins with 0 for an octal one";
        assert_eq!(found[0].1, format!("0100: {said}, here 64; write it without the 0"));
        assert_eq!(found[1].1, format!("-010: {said}, here -8; write it without the 0"));
        assert_eq!(found[2].1, format!("08: {said}; write it without the 0"));
    }

    #[test]
    fn what_is_no_yaml_is_an_error() {
        assert!(documents(TEXT).unwrap_err().contains("nothing"));
    }
}
