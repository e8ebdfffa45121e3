//! Widths of two equal models that are the same.

use std::collections::{BTreeMap, HashMap};

use super::sensitivity::Sensitivity;
use crate::channels::{Analysis, Group};
use crate::plan::LossCurve;

/// The groups of one model that another has too, by their values' names.
pub(super) struct SameWidths {
    groups: BTreeMap<usize, usize>,
}

impl SameWidths {
    /// Those of `from` that `to` has.
    pub fn between(from: &Analysis, to: &Analysis) -> Self {
        let mut of_class: HashMap<u32, usize> = HashMap::new();
        for group in &to.groups {
            of_class.extend(group.classes.iter().map(|&c| (c, group.id)));
        }
        let same = |group: &Group| {
            group.places.iter().find_map(|&(value, axis)| {
                let first = from.dependencies.classes_of(value, axis);
                let at = first
                    .iter()
                    .position(|c| c == group.classes.first().unwrap_or(&u32::MAX))?;
                let there = to.dependencies.by_name(&from.dependencies.value(value).name)?;
                let class = *to.dependencies.classes_of(there, axis).get(at)?;
                let id = *of_class.get(&class)?;
                (to.groups[id].classes.len() == group.classes.len()).then_some(id)
            })
        };
        let all = from.groups.iter().filter_map(|g| Some((g.id, same(g)?)));
        Self { groups: all.collect() }
    }

    /// The group of the other model.
    pub fn of(&self, group: usize) -> Option<usize> {
        self.groups.get(&group).copied()
    }

    /// What is known of the groups that both have: `ranked` and `curves` are those of `from`.
    pub fn known(
        &self,
        (from, to): (&Analysis, &Analysis),
        ranked: &BTreeMap<usize, Vec<u32>>,
        curves: &BTreeMap<usize, LossCurve>,
    ) -> Sensitivity {
        let mut found = Sensitivity::default();
        for (&g, order) in ranked {
            let Some(there) = self.of(g) else { continue };
            let (here, classes) = (&from.groups[g].classes, &to.groups[there].classes);
            let numbers: HashMap<u32, usize> = here.iter().enumerate().map(|(i, &c)| (c, i)).collect();
            let class = |c: &u32| numbers.get(c).map(|&i| classes[i]);
            found.ranked.insert(there, order.iter().filter_map(class).collect());
        }
        let same = curves
            .iter()
            .filter_map(|(&g, curve)| Some((self.of(g)?, curve.clone())));
        found.curves = same.collect();
        found
    }

    /// Without the groups that `other` says, given each group's number here and in the other model.
    #[must_use]
    pub fn without(mut self, other: impl Fn(usize, usize) -> bool) -> Self {
        self.groups.retain(|&here, there| !other(here, *there));
        self
    }
}
