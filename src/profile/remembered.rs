//! What the latency database remembers of whole models, so that a second run of a job repeats no measurement.

use crate::Result;
use crate::device::NamedTensor;

use super::probe::Prober;

/// A key for what is remembered of whole models: what was done, for how long, to which models and inputs.
pub(crate) fn whole_key(what: &str, models: &[&[u8]], workloads: &[(Vec<NamedTensor>, f64)], seconds: f64) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(format!("{what} {seconds} ").as_bytes());
    for (name, tensor, weight) in workloads
        .iter()
        .flat_map(|(i, w)| i.iter().map(move |(n, t)| (n, t, w)))
    {
        hash.update(format!("{name} {:?} {weight} ", tensor.dims).as_bytes());
    }
    for model in models {
        hash.update(blake3::hash(model).as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

/// What the database remembers under a key, else what `make` gives, which it then remembers.
pub(crate) fn remembered<T: serde::Serialize + serde::de::DeserializeOwned>(
    prober: &Prober,
    key: &str,
    make: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if let Some(known) = recalled(prober, key)? {
        return Ok(known);
    }
    let made = make()?;
    remember(prober, key, &made)?;
    Ok(made)
}

/// The same for what may not be there; that it was not is not remembered.
pub(crate) fn remembered_if_any<T: serde::Serialize + serde::de::DeserializeOwned>(
    prober: &Prober,
    key: &str,
    make: impl FnOnce() -> Result<Option<T>>,
) -> Result<Option<T>> {
    if let Some(known) = recalled(prober, key)? {
        return Ok(Some(known));
    }
    let made = make()?;
    if let Some(made) = &made {
        remember(prober, key, made)?;
    }
    Ok(made)
}

/// What the database remembers under a key, if there is a database and it does.
pub(crate) fn recalled<T: serde::de::DeserializeOwned>(prober: &Prober, key: &str) -> Result<Option<T>> {
    let Some(database) = prober.database() else {
        return Ok(None);
    };
    let known = database.remembered(prober.device().info(), key)?;
    Ok(known.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Has the database remember something, if there is one.
pub(crate) fn remember<T: serde::Serialize>(prober: &Prober, key: &str, made: &T) -> Result<()> {
    let Some(database) = prober.database() else {
        return Ok(());
    };
    database.remember(
        prober.device().info(),
        key,
        &serde_json::to_string(made).unwrap_or_default(),
    )
}
