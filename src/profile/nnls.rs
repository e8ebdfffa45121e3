//! Least squares with non-negative unknowns.

/// x ≥ 0 that makes Σ_r (Σ_j rows[r][j]·x_j − y_r)² least, by coordinate descent on the normal equations (the
/// problem is convex, and every coordinate's minimum is in closed form, so the descent ends at the optimum).
/// Columns are scaled to unit length first. Empty when the rows are not of one length.
pub fn nnls(rows: &[Vec<f64>], y: &[f64]) -> Vec<f64> {
    let n = rows.first().map_or(0, Vec::len);
    if rows.len() != y.len() || rows.iter().any(|r| r.len() != n) {
        return Vec::new();
    }
    let length = |j: usize| rows.iter().map(|r| r[j] * r[j]).sum::<f64>().sqrt();
    let lengths: Vec<f64> = (0..n).map(length).collect();
    let scaled = |r: &Vec<f64>, j: usize| if lengths[j] > 0.0 { r[j] / lengths[j] } else { 0.0 };
    let mut gram = vec![vec![0.0; n]; n];
    let mut right = vec![0.0; n];
    for (row, &target) in rows.iter().zip(y) {
        let scaled: Vec<f64> = (0..n).map(|j| scaled(row, j)).collect();
        for ((line, right), a) in gram.iter_mut().zip(&mut right).zip(&scaled) {
            *right += a * target;
            line.iter_mut().zip(&scaled).for_each(|(sum, b)| *sum += a * b);
        }
    }
    let mut x = vec![0.0; n];
    for _ in 0..20_000 {
        let mut moved: f64 = 0.0;
        for i in (0..n).filter(|&i| lengths[i] > 0.0) {
            let others: f64 = (0..n).filter(|&j| j != i).map(|j| gram[i][j] * x[j]).sum();
            let best = ((right[i] - others) / gram[i][i]).max(0.0);
            moved = moved.max((best - x[i]).abs());
            x[i] = best;
        }
        if moved < 1e-12 {
            break;
        }
    }
    x.iter()
        .zip(&lengths)
        .map(|(v, l)| if *l > 0.0 { v / l } else { 0.0 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nnls;

    #[test]
    fn what_made_the_data_is_found() {
        let rows: Vec<Vec<f64>> = (1..9).map(|i| vec![1.0, f64::from(i), f64::from(i * i)]).collect();
        let y: Vec<f64> = rows.iter().map(|r| 3.0 * r[0] + 0.5 * r[2]).collect();
        let x = nnls(&rows, &y);
        for (found, wanted) in x.iter().zip([3.0, 0.0, 0.5]) {
            assert!((found - wanted).abs() < 1e-4, "{x:?}");
        }
    }

    #[test]
    fn a_negative_optimum_becomes_zero() {
        let x = nnls(&[vec![1.0, 1.0], vec![1.0, 2.0], vec![1.0, 3.0]], &[3.0, 2.0, 1.0]);
        assert_eq!(x[1], 0.0);
        assert!((x[0] - 2.0).abs() < 1e-6);
    }

    #[test]
    fn uneven_rows_give_nothing() {
        assert!(nnls(&[vec![1.0], vec![1.0, 2.0]], &[1.0, 2.0]).is_empty());
    }
}
