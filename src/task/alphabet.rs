//! The letters that a sequence model's classes stand for.

use std::collections::HashMap;

/// Letters in the order of a model's classes, without the class that means nothing. A letter is mostly one character, but may be several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alphabet {
    letters: Vec<String>,
}

/// Letters with the numbers of their classes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letters {
    classes: HashMap<String, u32>,
    /// Characters of the longest one.
    longest: usize,
}

impl Alphabet {
    /// Of a text: a letter on each line where there are several lines, else each character is one. An empty line is a space.
    ///
    /// # Errors
    /// When there are none, or one is there twice.
    pub fn parsed(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines: Vec<&str> = text.lines().collect();
        let letters: Vec<String> = match lines.as_slice() {
            [one] => one.chars().map(String::from).collect(),
            lines => lines
                .iter()
                .map(|l| if l.is_empty() { " " } else { l }.to_owned())
                .collect(),
        };
        let mut seen = HashMap::new();
        for (at, letter) in letters.iter().enumerate() {
            if let Some(first) = seen.insert(letter, at) {
                return Err(format!(
                    "the letter '{letter}' is there twice, as number {first} and as number {at}"
                ));
            }
        }
        match letters.is_empty() {
            true => Err("it holds no letters".to_owned()),
            false => Ok(Self { letters }),
        }
    }

    /// The letters of a model's classes, of which `blank` means nothing. An alphabet of as many letters holds one for the blank; one of one
    /// less does not; of two less, with the blank first, it lacks the space, which is then the last class (as PaddleOCR has it).
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn of_classes(&self, classes: usize, blank: usize) -> Result<Letters, String> {
        let space = self.letters.len() + 2 == classes && blank == 0 && !self.letters.iter().any(|l| l == " ");
        let skipped = match self.letters.len() {
            n if n == classes => false,
            n if n + 1 == classes || space => true,
            n => {
                return Err(format!(
                    "the alphabet has {n} letters, and the model {classes} classes, of which number {blank} is the blank: give {} letters, in \
                     the order of the classes",
                    classes.saturating_sub(1)
                ));
            }
        };
        let class = |at: usize| at + usize::from(skipped && at >= blank);
        let all = self.letters.iter().map(String::as_str).chain(space.then_some(" "));
        let numbered = all.enumerate().map(|(at, letter)| (letter, class(at)));
        let classes: HashMap<String, u32> = numbered
            .filter(|(_, class)| *class != blank)
            .filter_map(|(letter, class)| Some((letter.to_owned(), u32::try_from(class).ok()?)))
            .collect();
        Ok(Letters {
            longest: classes.keys().map(|l| l.chars().count()).max().unwrap_or(1),
            classes,
        })
    }
}

impl Letters {
    /// The classes of a text's letters, the longest ones first.
    ///
    /// # Errors
    /// The first character that no letter begins with.
    pub fn classes(&self, text: &str) -> Result<Vec<u32>, char> {
        let (mut rest, mut found) = (text, Vec::new());
        while let Some(first) = rest.chars().next() {
            let of = |count: usize| {
                let end = rest.char_indices().nth(count).map_or(rest.len(), |(at, _)| at);
                Some((*self.classes.get(&rest[..end])?, end))
            };
            let (class, end) = (1..=self.longest).rev().find_map(of).ok_or(first)?;
            found.push(class);
            rest = &rest[end..];
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::Alphabet;

    #[test]
    fn letters_have_the_numbers_of_the_classes_around_the_blank() {
        let of = |text: &str, classes, blank| Alphabet::parsed(text).unwrap().of_classes(classes, blank);
        let abc = |classes, blank| of("abc", classes, blank).unwrap().classes("cab");
        assert_eq!(abc(4, 0), Ok(vec![3, 1, 2]));
        assert_eq!(abc(4, 3), Ok(vec![2, 0, 1]));
        // With a letter for the blank.
        let dash = of("-abc", 4, 0).unwrap();
        assert_eq!(
            (dash.classes("cab"), dash.classes("a-b")),
            (Ok(vec![3, 1, 2]), Err('-'))
        );
        // PaddleOCR's files lack the space.
        assert_eq!(of("a\nb\nc\n", 5, 0).unwrap().classes("a c"), Ok(vec![1, 4, 3]));
        let lines = of("a\n\nth\nt\n", 5, 0).unwrap();
        assert_eq!(lines.classes("t ath"), Ok(vec![4, 2, 1, 3]));
        assert_eq!(lines.classes("tha é"), Err('é'));
        let few = of("abc", 7, 6).unwrap_err();
        assert!(
            few.contains("3 letters") && few.contains("7 classes") && few.contains("number 6"),
            "{few}"
        );
        assert!(Alphabet::parsed("abca").unwrap_err().contains("'a' is there twice"));
        assert!(Alphabet::parsed("").is_err());
    }
}
