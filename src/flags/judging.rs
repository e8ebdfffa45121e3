//! Flags of the model's task and of what its outputs count.

use std::path::Path;

use clap::Args as ClapArgs;

use crate::optimize::Judging;
use crate::task::{Alphabet, TaskKind};

/// The task, and the weights of outputs.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct JudgingArgs {
    /// What the model is for, which decides how its outputs are compared [default: recognized, and told].
    #[arg(long, value_enum)]
    pub task: Option<TaskKind>,
    /// How much the loss of an output counts (1 without; 0 leaves it out); may be repeated.
    #[arg(long, value_name = "OUTPUT=WEIGHT", value_parser = weight)]
    pub loss: Vec<(String, f64)>,
    /// The letters of a sequence model's classes, in their order and without the blank, for --labels that are texts: a file with a letter on
    /// each line or all on one, or the letters themselves.
    #[arg(long, value_name = "FILE|LETTERS", value_parser = alphabet)]
    pub alphabet: Option<Alphabet>,
}

impl JudgingArgs {
    /// The same as settings.
    pub fn judging(&self) -> Judging {
        Judging {
            task: self.task,
            weights: self.loss.clone(),
            alphabet: self.alphabet.clone(),
        }
    }
}

/// Letters, in a file where there is one of that name.
fn alphabet(text: &str) -> Result<Alphabet, String> {
    match Path::new(text).is_file() {
        true => Alphabet::parsed(&std::fs::read_to_string(text).map_err(|e| e.to_string())?),
        false => Alphabet::parsed(text).map_err(|why| format!("no file has that name, so these are letters: {why}")),
    }
}

/// An output's name and its weight; the name may hold `=`.
fn weight(text: &str) -> Result<(String, f64), String> {
    let wrong = || format!("'{text}': write an output's name and a number from 0 on, such as boxes=0.5");
    let (name, number) = text.rsplit_once('=').ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    match number.is_finite() && number >= 0.0 && !name.is_empty() {
        true => Ok((name.to_owned(), number)),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::{alphabet, weight};

    #[test]
    fn an_alphabet_is_a_file_or_letters() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("letters.txt");
        std::fs::write(&file, "a\nb\nc\n")?;
        assert_eq!(alphabet(&file.to_string_lossy()), alphabet("abc"));
        assert!(alphabet("aba").is_err());
        Ok(())
    }

    #[test]
    fn weights_have_a_name_and_a_number() {
        assert_eq!(weight("a=b:0=0.5"), Ok(("a=b:0".to_owned(), 0.5)));
        assert!(
            weight("boxes").is_err() && weight("=1").is_err() && weight("a=-1").is_err() && weight("a=nan").is_err()
        );
    }
}
