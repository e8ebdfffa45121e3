//! Flags of the model's task and of what its outputs count.

use clap::Args as ClapArgs;

use crate::optimize::Judging;
use crate::task::TaskKind;

/// The task, and the weights of outputs.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct JudgingArgs {
    /// What the model is for, which decides how its outputs are compared [default: recognized, and told].
    #[arg(long, value_enum)]
    pub task: Option<TaskKind>,
    /// How much the loss of an output counts (1 without; 0 leaves it out); may be repeated.
    #[arg(long, value_name = "OUTPUT=WEIGHT", value_parser = weight)]
    pub loss: Vec<(String, f64)>,
}

impl JudgingArgs {
    /// The same as settings.
    pub fn judging(&self) -> Judging {
        Judging {
            task: self.task,
            weights: self.loss.clone(),
        }
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
    use super::weight;

    #[test]
    fn weights_have_a_name_and_a_number() {
        assert_eq!(weight("a=b:0=0.5"), Ok(("a=b:0".to_owned(), 0.5)));
        assert!(
            weight("boxes").is_err() && weight("=1").is_err() && weight("a=-1").is_err() && weight("a=nan").is_err()
        );
    }
}
