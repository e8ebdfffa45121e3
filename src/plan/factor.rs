//! Tables over the options of a few variables, which a search sums up.

/// A table over the options of some variables, the last variable's fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// Variables, each once, ascending.
    pub over: Vec<usize>,
    /// One value for each combination.
    pub table: Vec<f64>,
}

impl Factor {
    /// A table filled from a function of the options chosen.
    pub fn new(over: Vec<usize>, sizes: &[usize], mut value: impl FnMut(&[usize]) -> f64) -> Self {
        let mut table = Vec::new();
        each(&over, sizes, |at| table.push(value(at)));
        Self { over, table }
    }

    /// Its value under a choice of all variables.
    pub fn at(&self, sizes: &[usize], choice: &[usize]) -> f64 {
        let index = self.over.iter().fold(0, |index, &v| index * sizes[v] + choice[v]);
        self.table[index]
    }

    /// How far apart in the table neighbouring options of a variable are; 0 for one that it is not over.
    pub(super) fn stride(&self, sizes: &[usize], variable: usize) -> usize {
        match self.over.iter().position(|&v| v == variable) {
            Some(at) => self.over[at + 1..].iter().map(|&v| sizes[v]).product(),
            None => 0,
        }
    }
}

/// Every combination of options of some variables, the last variable's fastest.
pub(super) fn each(over: &[usize], sizes: &[usize], mut see: impl FnMut(&[usize])) {
    if over.iter().any(|&v| sizes[v] == 0) {
        return;
    }
    let mut at = vec![0; over.len()];
    loop {
        see(&at);
        let mut k = over.len();
        loop {
            if k == 0 {
                return;
            }
            k -= 1;
            at[k] += 1;
            if at[k] < sizes[over[k]] {
                break;
            }
            at[k] = 0;
        }
    }
}
