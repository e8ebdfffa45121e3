//! What goals limit and reports show: one list that all else is driven by.

use std::fmt;
use std::ops::{Index, IndexMut};

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a plan takes less of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Time of a run, milliseconds; measured.
    Latency,
    /// Multiply-accumulates for one sample.
    Macs,
    /// Elements of floating-point weights.
    Params,
    /// Bytes of the activations that are alive at once, at most, in one run.
    Memory,
}

/// What an amount is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// A number.
    Number,
    /// Bytes.
    Bytes,
}

impl Metric {
    /// All of them, the measured one first.
    pub const ALL: [Self; 4] = [Self::Latency, Self::Macs, Self::Params, Self::Memory];

    /// Those that are counted from a graph, and are the same in every run.
    pub fn counted() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|m| m.unit() != Unit::Milliseconds)
    }

    /// The name of its fields in reports.
    pub fn key(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Macs => "macs",
            Self::Params => "params",
            Self::Memory => "memory",
        }
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Macs => "multiply-accumulates",
            Self::Params => "parameters",
            Self::Memory => "peak activation memory",
        }
    }

    /// Its name at the head of a column or a number.
    pub fn title(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Macs => "MACs",
            Self::Params => "params",
            Self::Memory => "memory",
        }
    }

    /// Its name above a number, with what it is counted for.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Macs => "MACs a sample",
            other => other.name(),
        }
    }

    /// What its amounts are counted in.
    pub fn unit(self) -> Unit {
        match self {
            Self::Latency => Unit::Milliseconds,
            Self::Macs | Self::Params => Unit::Number,
            Self::Memory => Unit::Bytes,
        }
    }
}

/// Bytes for people: `3.2 MiB`.
pub fn bytes_text(bytes: f64) -> String {
    const UNITS: [(&str, f64); 3] = [
        ("GiB", (1u64 << 30) as f64),
        ("MiB", (1u64 << 20) as f64),
        ("KiB", 1024.0),
    ];
    match UNITS.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.2} {unit}", bytes / size),
        None => format!("{bytes:.0} B"),
    }
}

/// A value for each metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerMetric<T>([T; Metric::ALL.len()]);

impl<T> PerMetric<T> {
    /// The value that a function gives for each, in the order of [`Metric::ALL`].
    pub fn from_fn(value: impl FnMut(Metric) -> T) -> Self {
        Self(Metric::ALL.map(value))
    }
}

impl<T> Index<Metric> for PerMetric<T> {
    type Output = T;

    fn index(&self, metric: Metric) -> &T {
        &self.0[metric as usize]
    }
}

impl<T> IndexMut<Metric> for PerMetric<T> {
    fn index_mut(&mut self, metric: Metric) -> &mut T {
        &mut self.0[metric as usize]
    }
}

/// As a map with the metrics' keys.
impl<T: Serialize> Serialize for PerMetric<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for metric in Metric::ALL {
            map.serialize_entry(metric.key(), &self[metric])?;
        }
        map.end()
    }
}

/// From such a map; what it lacks is the default, what it has besides is left out.
impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for PerMetric<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Entries<T> {
            type Value = PerMetric<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of metrics")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = PerMetric::from_fn(|_| T::default());
                while let Some(key) = map.next_key::<String>()? {
                    match Metric::ALL.into_iter().find(|m| m.key() == key) {
                        Some(metric) => found[metric] = map.next_value()?,
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(found)
            }
        }
        from.deserialize_map(Entries(std::marker::PhantomData))
    }
}
