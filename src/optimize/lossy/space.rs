//! The widths that a search may choose from, timed on the device.

use std::collections::{BTreeSet, HashMap};

use crate::Result;
use crate::channels::Group;
use crate::optimize::kept::{kept, nodes_kept};
use crate::optimize::options::WhenSlower;
use crate::optimize::reporter::Step;
use crate::optimize::session::Session;
use crate::plan::{Estimate, Grid, LatencyModel, LayersAt, Metric, SearchSpace, TailFilter, narrower, without_tail};

/// The widths that may be chosen: narrower ones and grown ones that leave no tail, and the present one. Where only
/// counted metrics are limited, a width passes as long as no wider one is faster.
pub(super) fn space(session: &mut Session) -> Result<SearchSpace> {
    let grid = grid(session);
    space_on(session, grid)
}

/// The widths of a grid that may be chosen.
pub(super) fn space_on(session: &mut Session, grid: Grid) -> Result<SearchSpace> {
    let mut space = widths(session, grid)?;
    session.reporter.step(Step::TimeWidths);
    time_alone(session, &space)?;
    let filter = match grid {
        Grid::Blocks => TailFilter::WiderSlower,
        Grid::Fine => TailFilter::WiderNotFaster,
    };
    // Where a size is wanted for itself, latency plays no part.
    if grid == Grid::Blocks || session.options.when_slower == WhenSlower::Decline {
        drop_tails(&mut space, &session.costs, filter);
    }
    if grid == Grid::Blocks {
        session.limit.check()?;
        time_together(session, &space)?;
    }
    Ok(space)
}

/// Asks for what is timed first, whatever comes of it.
///
/// # Errors
/// When a probe fails.
pub(crate) fn ask(session: &mut Session) -> Result<()> {
    let space = widths(session, grid(session))?;
    time_alone(session, &space)
}

/// The widths that are looked at.
fn widths(session: &Session, grid: Grid) -> Result<SearchSpace> {
    let (analysis, asked) = (session.analysis(), session.options);
    let base = session.present();
    let kept = kept(&session.graph, session.opened, asked)?;
    let never_lossy = &session.opened.never_lossy;
    let (mut groups, mut options) = (Vec::new(), Vec::new());
    let within: BTreeSet<usize> = match asked.allowed.zero {
        true => analysis
            .branches
            .values()
            .flat_map(|b| b.groups.iter().copied())
            .collect(),
        false => BTreeSet::new(),
    };
    let free = |g: &&Group| {
        let free = g.constraint.is_none() && g.classes.len() > 1 && !kept.contains(&g.id);
        let any = asked.allowed.widths || session.opened.is_moved(g) || within.contains(&g.id);
        free && !never_lossy.contains_key(&g.id) && any
    };
    for group in analysis.groups.iter().filter(free) {
        let mut counts = Vec::new();
        if asked.allowed.widths || session.opened.is_moved(group) {
            counts.extend(narrower(group, asked.min_width.max(1), grid));
            counts.extend(session.candidates.get(&group.id).into_iter().flatten());
        }
        counts.push(base[group.id]);
        counts.sort_unstable();
        counts.dedup();
        groups.push(group.id);
        options.push(counts);
    }
    let mut space = SearchSpace {
        groups,
        options,
        base,
        together: Vec::new(),
    };
    add_gone(session, &mut space)?;
    Ok(space)
}

/// Lets branches go as a whole: no channels is an option of all groups within one, together. Only samples tell what that loses.
fn add_gone(session: &Session, space: &mut SearchSpace) -> Result<()> {
    let options = session.options;
    if !options.allowed.zero || session.samples.is_none() || options.min_width > 1 {
        return Ok(());
    }
    let named = nodes_kept(&session.graph, options)?;
    for branch in session.analysis().branches.values() {
        let at: Option<Vec<usize>> = branch
            .groups
            .iter()
            .map(|g| space.groups.iter().position(|own| own == g))
            .collect();
        let kept = branch.nodes.iter().any(|n| named.contains(n));
        let Some(at) = at.filter(|_| !kept) else { continue };
        for v in at {
            space.options[v].insert(0, 0);
        }
        if let Some((&first, others)) = branch.groups.split_first() {
            space.together.extend(others.iter().map(|&g| [first, g]));
        }
    }
    Ok(())
}

/// Widths between blocks are options too where latency is no goal.
fn grid(session: &Session) -> Grid {
    let goals = session.options.goals;
    match goals.limits[Metric::Latency].is_none() && goals.max_drop.is_none() {
        true => Grid::Fine,
        false => Grid::Blocks,
    }
}

/// A fine space without the widths between blocks.
pub(super) fn only_blocks(session: &Session, space: &SearchSpace) -> Option<SearchSpace> {
    let mut fewer = space.clone();
    for (&g, options) in fewer.groups.iter().zip(&mut fewer.options) {
        let group = &session.analysis().groups[g];
        let blocks = narrower(group, session.options.min_width.max(1), Grid::Blocks);
        options.retain(|n| *n == 0 || *n >= space.base[g] || blocks.contains(n));
    }
    (grid(session) == Grid::Fine).then_some(fewer)
}

/// The options that leave channels: nothing has to be timed where a branch is gone as a whole, and a group within one does not go alone.
fn there(options: &[usize]) -> Vec<usize> {
    options.iter().copied().filter(|&n| n > 0).collect()
}

/// Times every option of every group with all others as they are.
fn time_alone(session: &mut Session, space: &SearchSpace) -> Result<()> {
    let mut wanted = Vec::new();
    for (g, options) in space.groups.iter().zip(&space.options) {
        for n in there(options) {
            let mut counts = space.base.clone();
            counts[*g] = n;
            wanted.push(LayersAt {
                layers: session.costs.touched_by(*g).to_vec(),
                counts,
            });
        }
    }
    let progress = session.progress();
    session.costs.require(&mut session.prober, &wanted, &progress)
}

/// Takes out the options past a step.
fn drop_tails(space: &mut SearchSpace, costs: &LatencyModel, filter: TailFilter) {
    for (v, &g) in space.groups.iter().enumerate() {
        let times: Option<Vec<Estimate>> = there(&space.options[v])
            .into_iter()
            .map(|n| {
                let mut counts = space.base.clone();
                counts[g] = n;
                costs.of(costs.touched_by(g), &counts)
            })
            .collect();
        let Some(times) = times else { continue };
        let keep = without_tail(&times, filter);
        let base = space.base[g];
        let mut keep = keep.into_iter();
        space.options[v].retain(|&n| n == 0 || keep.next().unwrap_or(false) || n == base);
    }
}

/// Times every layer at its groups' options together, for a table of input by output widths. Where many groups make
/// one width, they go in step.
fn time_together(session: &mut Session, space: &SearchSpace) -> Result<()> {
    const STEPS: usize = 5;
    let at: HashMap<usize, usize> = space.groups.iter().enumerate().map(|(v, &g)| (g, v)).collect();
    let mut wanted = Vec::new();
    for layer in session.costs.all() {
        let sides = session.costs.sides_of(layer);
        let settings: Vec<Vec<Vec<(usize, usize)>>> = sides
            .iter()
            .map(|side| {
                let free: Vec<usize> = side.iter().copied().filter(|g| at.contains_key(g)).collect();
                match free.as_slice() {
                    [] => vec![vec![]],
                    [one] => there(&space.options[at[one]])
                        .into_iter()
                        .map(|n| vec![(*one, n)])
                        .collect(),
                    many => (0..STEPS)
                        .map(|k| {
                            let pick = |g: &usize| {
                                let options = there(&space.options[at[g]]);
                                options[k * (options.len() - 1) / (STEPS - 1)]
                            };
                            many.iter().map(|g| (*g, pick(g))).collect()
                        })
                        .collect(),
                }
            })
            .collect();
        for input in &settings[0] {
            for output in &settings[1] {
                let mut counts = space.base.clone();
                input.iter().chain(output).for_each(|&(g, n)| counts[g] = n);
                wanted.push(LayersAt {
                    layers: vec![layer],
                    counts,
                });
            }
        }
    }
    let progress = session.progress();
    session.costs.require(&mut session.prober, &wanted, &progress)
}
