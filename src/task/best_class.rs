//! The class that values stand for.

/// The first of the greatest values.
pub fn best_class<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}
