//! Whether branches that go as a whole are worth it: what they lose is measured with layers around them fitted, what widths lose is not, so
//! that plans with and without are compared as finished models.

use super::attempt::Ready;
use super::search::Search;
use crate::Result;
use crate::optimize::options::Goals;
use crate::optimize::outcome::Declined;
use crate::optimize::session::Session;

/// The plan for the goals that loses least: where one takes branches out, the best without is made too, and the better of both on the
/// samples that choose is taken; where as much speed as a drop allows is wanted, the faster. What is to be said of that.
///
/// # Errors
/// When a run fails.
pub(super) fn best(
    session: &Session,
    search: &Search,
    goals: Goals,
) -> Result<(std::result::Result<Ready, Declined>, Option<String>)> {
    let found = Ready::find(session, search, goals)?;
    let ready = match found {
        Ok(ready) if !ready.plan.branches.is_empty() && !session.limit.is_up() => ready,
        other => return Ok((other, None)),
    };
    let gone = ready.plan.branches.len();
    let Ok(other) = Ready::find(session, &search.without_gone(), goals)? else {
        return Ok((Ok(ready), None));
    };
    let better = match goals.only_drop() {
        true => other.ratio(session)? < ready.ratio(session)?,
        false => other.chosen_by() < ready.chosen_by(),
    };
    let note = format!(
        "a plan without {gone} residual {} loses {:.2e} on the samples that plans are chosen by, one with all of them {:.2e}; the {} is taken",
        if gone == 1 { "branch" } else { "branches" },
        ready.chosen_by(),
        other.chosen_by(),
        if better { "second" } else { "first" }
    );
    Ok((Ok(if better { other } else { ready }), Some(note)))
}
