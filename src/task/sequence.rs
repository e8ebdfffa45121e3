//! Sequences: strings from the classes of steps.

/// Greedy decoding of connectionist temporal classification: the best class of each step, repeats once, without the blank.
pub fn greedy(steps: impl IntoIterator<Item = usize>, blank: usize) -> Vec<u32> {
    let mut last = None;
    let mut text = Vec::new();
    for class in steps {
        if last != Some(class) && class != blank {
            text.push(class as u32);
        }
        last = Some(class);
    }
    text
}

/// Insertions, deletions and substitutions that turn one string into the other, at least (Levenshtein).
pub fn edit_distance(a: &[u32], b: &[u32]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{edit_distance, greedy};

    #[test]
    fn repeats_and_blanks_go_and_edits_are_counted() {
        assert_eq!(greedy([0, 3, 3, 0, 3, 1, 1, 0], 0), [3, 3, 1]);
        let text = |s: &str| s.bytes().map(u32::from).collect::<Vec<_>>();
        // Wagner and Fischer, 1974: kitten, sitting.
        assert_eq!(edit_distance(&text("kitten"), &text("sitting")), 3);
        assert_eq!(edit_distance(&text(""), &text("abc")), 3);
        assert_eq!(edit_distance(&text("abc"), &text("abc")), 0);
    }
}
