//! What a plan for a goal may do to a model.

use std::str::FromStr;

/// What a plan for a goal may do to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Take channels out.
    pub widths: bool,
    /// Rotate linear trunks into their principal directions, and take directions out.
    pub rotation: bool,
    /// Take residual branches out as a whole.
    pub zero: bool,
    /// Make two layers of one, with fewer values between them.
    pub rank: bool,
}

impl Default for Allowed {
    /// All but ranks: where layers of low rank are wide, taking channels out gives as much as two layers do.
    fn default() -> Self {
        Self {
            widths: true,
            rotation: true,
            zero: true,
            rank: false,
        }
    }
}

impl Allowed {
    /// Whatever there is.
    pub fn everything() -> Self {
        Self {
            widths: true,
            rotation: true,
            zero: true,
            rank: true,
        }
    }
}

impl FromStr for Allowed {
    type Err = String;

    /// A list such as `widths,rotation,zero`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut found = Self {
            widths: false,
            rotation: false,
            zero: false,
            rank: false,
        };
        for word in text.split(',').map(str::trim) {
            match word {
                "widths" => found.widths = true,
                "rotation" => found.rotation = true,
                "zero" => found.zero = true,
                "rank" => found.rank = true,
                _ => {
                    return Err(format!(
                        "'{word}': write some of widths, rotation, zero and rank, with commas between"
                    ));
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::Allowed;

    #[test]
    fn what_is_named_is_allowed() {
        let read = |t: &str| t.parse::<Allowed>();
        assert_eq!(read("widths,rotation,zero"), Ok(Allowed::default()));
        assert_eq!(read("rank, rotation,zero,widths"), Ok(Allowed::everything()));
        assert_eq!(
            read(" rank ").map(|a| (a.widths, a.rotation, a.zero, a.rank)),
            Ok((false, false, false, true))
        );
        assert!(read("").is_err() && read("widths,width").is_err());
    }
}
