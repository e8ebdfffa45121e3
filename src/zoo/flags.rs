//! Flags of the main job as data, so that they can be laid over each other and travel.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::roles::{FlagRole, has_role};
use crate::Result;
use crate::profile::Database;

/// Flags by their long names, without the dashes; a switch has no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flags(pub BTreeMap<String, Vec<String>>);

impl Flags {
    /// As words of a command line.
    pub fn words(&self) -> Vec<String> {
        let word = |(name, values): (&String, &Vec<String>)| match values.as_slice() {
            [] => vec![format!("--{name}")],
            values => values.iter().map(|v| format!("--{name}={v}")).collect(),
        };
        self.0.iter().flat_map(word).collect()
    }

    /// These, with `other` in place of those of the same name.
    pub fn with(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(other.0.clone());
        all
    }

    /// These and one more.
    pub fn and(&self, name: &str, value: impl Into<String>) -> Self {
        let mut all = self.clone();
        all.0.insert(name.to_owned(), vec![value.into()]);
        all
    }

    /// The only or last value of a flag.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|v| v.last()).map(String::as_str)
    }

    /// The database of times, as these have it used: where times are to be taken again, older ones are not known.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn database(&self, path: &Path) -> Result<Database> {
        let mut database = Database::open(path)?;
        if let Some(when) = self.value("remeasure").and_then(|w| w.parse().ok()) {
            database.forget_before(when);
        }
        Ok(database)
    }

    /// Those that a device's times depend on.
    pub fn of_device(&self) -> Self {
        self.only(|name| has_role(name, FlagRole::Device))
    }

    /// Those that decide what comes out.
    pub fn of_result(&self) -> Self {
        self.only(|name| !has_role(name, FlagRole::Place))
    }

    /// Those without the ones that only choosing needs, for collecting problems.
    pub fn without_data(&self) -> Self {
        // A limit on what may be lost is written together with its samples.
        let asked_for = |name: &str| name == "eval" && self.0.contains_key("max-drop");
        self.only(|name| asked_for(name) || !has_role(name, FlagRole::Data))
    }

    fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(n, _)| keep(n))
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect(),
        )
    }

    /// The files and folders that are read besides the model.
    pub fn read(&self) -> impl Iterator<Item = &str> {
        let read = |name: &str| has_role(name, FlagRole::Data) || has_role(name, FlagRole::Weights);
        let values = self.0.iter().filter(move |(n, _)| read(n));
        let named = values.flat_map(|(name, values)| values.iter().map(move |v| (name, file_of(name, v))));
        // Letters may stand where a file does.
        named
            .filter(|(name, v)| *name != "alphabet" || Path::new(v).is_file())
            .map(|(_, v)| v)
    }

    /// The file with the function of a metric, if there is one.
    pub fn metric_file(&self) -> Option<&str> {
        self.value("metric").map(|value| file_of("metric", value))
    }

    /// Whether a flag's values are paths that are read, and thus relative to the file that names them.
    pub fn is_path(name: &str) -> bool {
        [FlagRole::Data, FlagRole::Weights, FlagRole::Times]
            .iter()
            .any(|role| has_role(name, *role))
    }
}

/// The file or folder that a flag's value names: a function of a file stands behind a colon.
fn file_of<'v>(name: &str, value: &'v str) -> &'v str {
    match name {
        "metric" => value.rsplit_once(':').map_or(value, |(file, _)| file),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::Flags;

    fn flags(list: &[(&str, &[&str])]) -> Flags {
        let own = |s: &&str| (*s).to_owned();
        Flags(
            list.iter()
                .map(|(n, v)| ((*n).to_owned(), v.iter().map(own).collect()))
                .collect(),
        )
    }

    #[test]
    fn a_model_s_own_flags_take_the_place_of_those_of_all() {
        let all = flags(&[("batch", &["1"]), ("dim", &["h=224", "w=224"]), ("cpu", &[])]);
        let own = flags(&[("dim", &["h=96"]), ("mean", &["-0.5", "0.5"])]);
        let words = all.with(&own).words();
        assert_eq!(words, ["--batch=1", "--cpu", "--dim=h=96", "--mean=-0.5", "--mean=0.5"]);
    }

    #[test]
    fn what_is_read_are_files_and_folders() {
        let all = flags(&[("metric", &["m.py:map50"]), ("eval", &["images"]), ("seed", &["3"])]);
        assert_eq!(all.read().collect::<Vec<_>>(), ["images", "m.py"]);
        assert_eq!(all.without_data(), flags(&[("seed", &["3"])]));
        let limit = all.and("max-drop", "1%").without_data();
        assert_eq!(limit.words(), ["--eval=images", "--max-drop=1%", "--seed=3"]);
    }

    #[test]
    fn where_it_is_done_does_not_count_as_what_is_done() {
        let a = flags(&[("db", &["a.db"]), ("gpu", &["0"]), ("batch", &["8"])]);
        assert_eq!(a.of_result(), flags(&[("batch", &["8"])]));
        assert_eq!(a.of_device(), flags(&[("gpu", &["0"])]));
    }
}
