//! The page of a sequence that was played.

use askama::Template;

use super::facts::Fact;
use super::plot::{Line, timeline};
use super::undrawn;
use crate::Result;
use crate::playback::{Taken, Timeline, TimelineFrame};
use crate::report::played::{number_text, timeline_summary};
use crate::verify::Verdict;

/// A loss below this is nothing to look at.
const LEAST_LOSS: f64 = 0.01;

struct Picture {
    svg: String,
    caption: &'static str,
}

struct Row {
    taken: Taken,
    ms: String,
    ratio: String,
}

#[derive(Template)]
#[template(path = "timeline.html", config = "src/report/page/askama.toml")]
struct TimelinePage<'a> {
    version: &'static str,
    name: &'a str,
    device: &'a str,
    summary: String,
    verdict: &'static str,
    pictures: Vec<Picture>,
    rows: Vec<Row>,
    facts: Vec<Fact>,
    command: &'a str,
}

/// A page of a sequence that was played: what changed, what was computed, what it took and what it lost, frame by frame.
///
/// # Errors
/// When it cannot be put together.
pub fn timeline_html(name: &str, device: &str, command: &str, played: &Timeline) -> Result<String> {
    let page = TimelinePage {
        version: env!("CARGO_PKG_VERSION"),
        name,
        device,
        summary: timeline_summary(played),
        verdict: match played.verdict() {
            Verdict::Faster => "faster",
            Verdict::Slower => "slower",
            Verdict::Same => "",
        },
        pictures: pictures(played),
        rows: rows(played),
        facts: facts(played),
        command,
    };
    page.render().map_err(undrawn)
}

fn pictures(played: &Timeline) -> Vec<Picture> {
    let of = |get: &dyn Fn(&TimelineFrame) -> f64| played.frames.iter().map(get).collect::<Vec<f64>>();
    let (changed, computed) = (of(&|f| f.changed), of(&|f| f.computed));
    let (ms, original) = (of(&|f| f.ms), of(&|f| f.original_ms));
    // Where the original finds nothing, nothing is drawn.
    let loss = of(&|f| f.loss.unwrap_or(f64::NAN));
    let both = |reference: &[f64], own: &[f64], side: &str, about: &str| {
        let line = |values, reference| Line { values, reference };
        timeline(&[line(reference, true), line(own, false)], side, 1e-6, about)
    };
    let mut pictures = vec![
        Picture {
            svg: both(
                &changed,
                &computed,
                "share",
                "Share of the tiles that changed and that were computed",
            ),
            caption: "Share of the tiles: thin, what changed; thick, what was computed.",
        },
        Picture {
            svg: both(&original, &ms, "ms", "Time of each frame and of the original"),
            caption: "Milliseconds a frame: thin, the original; thick, the video's files.",
        },
    ];
    if loss.iter().any(|l| l.is_finite()) {
        let values = &loss;
        let own = Line {
            values,
            reference: false,
        };
        pictures.push(Picture {
            svg: timeline(&[own], "loss", LEAST_LOSS, "What each frame lost"),
            caption: "What each frame lost of the task's number, with the original's answer taken as right.",
        });
    }
    pictures
}

fn rows(played: &Timeline) -> Vec<Row> {
    let original = played.original_ms().max(1e-12);
    let row = |taken: Taken| Row {
        ms: format!("{:.3}", taken.mean_ms),
        ratio: format!("{:.2}", taken.mean_ms / original),
        taken,
    };
    played.taken().into_iter().map(row).collect()
}

fn facts(played: &Timeline) -> Vec<Fact> {
    let fact = |text: String| {
        let (what, value) = text.split_once(": ")?;
        Some(Fact {
            what: what.to_owned(),
            value: value.to_owned(),
        })
    };
    played.numbers.iter().map(number_text).filter_map(fact).collect()
}
