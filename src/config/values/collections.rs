//! Shapes around values: lists and maps whose faulty entries are holes, one or many, on or off.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::Written;

/// A list whose items are read one by one. An item of which a fault leaves nothing is a hole, so
/// that the index of every other item is still its index in the file.
#[derive(Clone, Debug)]
pub struct List<T>(Vec<Option<T>>);

impl<T> List<T> {
    /// The items that are not holes, each with its index in the file.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref()?)))
    }

    /// How many there are, holes too.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, not even a hole.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("list_of_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({ "type": "array", "items": items, "x-holes": true })
    }
}

/// Things by name, in the order of the file. One of which a fault leaves nothing is a hole: its
/// name is known.
#[derive(Clone, Debug)]
pub struct Named<K, T>(Vec<(K, Option<T>)>);

impl<K: PartialEq, T> Named<K, T> {
    /// The entries that are not holes.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &T)> {
        self.0.iter().filter_map(|(name, item)| Some((name, item.as_ref()?)))
    }

    /// Every name, those of holes too.
    pub fn names(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Whether the file has this name, be it a hole.
    pub fn has(&self, name: &K) -> bool {
        self.names().any(|known| known == name)
    }

    /// Finds an entry that is no hole.
    pub fn find(&self, name: &K) -> Option<&T> {
        self.iter().find_map(|(known, item)| (known == name).then_some(item))
    }

    /// How many there are, holes too.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, not even a hole.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, T> Default for Named<K, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, K: Deserialize<'de>, T: Deserialize<'de>> Deserialize<'de> for Named<K, T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Entries(PhantomData)).map(Self)
    }
}

struct Entries<K, T>(PhantomData<(K, T)>);

impl<'de, K: Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for Entries<K, T> {
    type Value = Vec<(K, Option<T>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(map.size_hint().unwrap_or_default().min(1024));
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl<K: Written, T: JsonSchema> JsonSchema for Named<K, T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}_by_{}", T::schema_name(), K::FORMAT).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<T>();
        json_schema!({
            "type": "object",
            "propertyNames": super::text_schema::<K>(),
            "additionalProperties": values,
        })
    }
}

/// A value, or a list of such values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T> {
    items: Vec<T>,
    list: bool,
}

impl<T> OneOrMany<T> {
    /// The values.
    pub fn as_slice(&self) -> &[T] {
        &self.items
    }

    /// Whether a list was written, so that a value's place is an item of it.
    pub fn is_list(&self) -> bool {
        self.list
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match serde_yaml::Value::deserialize(from)? {
            value @ serde_yaml::Value::Sequence(_) => {
                let items = Vec::deserialize(value).map_err(D::Error::custom)?;
                Ok(Self { items, list: true })
            }
            value => {
                let item = T::deserialize(value).map_err(D::Error::custom)?;
                Ok(Self { items: vec![item], list: false })
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("one_or_many_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [item, { "type": "array", "items": item, "minItems": 1 }] })
    }
}

/// A thing, or `false` to switch it off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switch<T> {
    /// `false`.
    Off,
    /// The thing.
    On(T),
}

impl<T> Switch<T> {
    /// The thing, if it is on.
    pub fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(thing) => Some(thing),
        }
    }
}

impl<T: serde::Serialize> serde::Serialize for Switch<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => to.serialize_bool(false),
            Self::On(thing) => thing.serialize(to),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match serde_yaml::Value::deserialize(from)? {
            serde_yaml::Value::Bool(false) => Ok(Self::Off),
            value => T::deserialize(value).map(Self::On).map_err(D::Error::custom),
        }
    }
}

impl<T: JsonSchema> JsonSchema for Switch<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("false_or_{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let thing = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "const": false }, thing] })
    }
}
