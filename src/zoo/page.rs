//! The report as one self-contained HTML page, without scripts.

use askama::Template;

use super::entry::{JournalEntry, State};
use super::summary::{ZooSummary, word};
use crate::report::milliseconds;
use crate::{Error, Result};

#[derive(Template)]
#[template(path = "zoo.html", config = "src/report/page/askama.toml")]
struct ZooPage<'a> {
    version: &'static str,
    name: &'a str,
    verdict: String,
    device: &'a str,
    cards: Vec<ZooCard>,
    faster: Vec<ZooRow>,
    others: Vec<ZooRow>,
    probes: String,
}

struct ZooCard {
    title: &'static str,
    value: String,
    note: String,
}

struct ZooRow {
    name: String,
    link: String,
    state: &'static str,
    class: &'static str,
    ratio: String,
    share: String,
    times: String,
    outputs: String,
    moved: String,
    why: String,
}

/// The page of a zoo.
///
/// # Errors
/// When it cannot be put together.
pub fn page(name: &str, summary: &ZooSummary) -> Result<String> {
    let totals = &summary.totals;
    let failed: usize = totals.failed.values().sum();
    let page = ZooPage {
        version: env!("CARGO_PKG_VERSION"),
        name,
        verdict: verdict(summary),
        device: summary.device.as_deref().unwrap_or("no device was needed"),
        cards: vec![
            ZooCard {
                title: "models",
                value: totals.models.to_string(),
                note: format!(
                    "{} faster, {} stay, {failed} failed{}",
                    totals.written + totals.planned,
                    totals.declined,
                    if totals.pending > 0 {
                        format!(", {} to do", totals.pending)
                    } else {
                        String::new()
                    }
                ),
            },
            ZooCard {
                title: "latency after over before",
                value: totals.ratio.map_or("–".to_owned(), |r| format!("{r:.3}")),
                note: "geometric mean of the faster ones".to_owned(),
            },
            ZooCard {
                title: "sum of latencies",
                value: match totals.latency_ms {
                    (b, a) if b > 0.0 => format!("{} → {} ms", milliseconds(b), milliseconds(a)),
                    _ => "–".to_owned(),
                },
                note: "of the models that were benchmarked, run one after the other".to_owned(),
            },
            ZooCard {
                title: "channels moved",
                value: totals.channels_moved.to_string(),
                note: "came or went".to_owned(),
            },
        ],
        faster: summary.models.iter().filter(|e| is_faster(e)).map(row).collect(),
        others: summary.models.iter().filter(|e| !is_faster(e)).map(row).collect(),
        probes: probes(summary),
    };
    page.render()
        .map_err(|e| Error::Usage(format!("the page cannot be made: {e}")))
}

fn is_faster(entry: &JournalEntry) -> bool {
    matches!(entry.state, State::Written | State::Planned)
}

/// In one sentence.
pub(super) fn verdict(summary: &ZooSummary) -> String {
    let totals = &summary.totals;
    let mut parts = Vec::new();
    let mut part = |n: usize, what: &str| {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    };
    part(totals.written, "faster");
    part(totals.planned, "planned");
    part(totals.declined, "stay as they are");
    for (failure, &n) in &totals.failed {
        part(n, failure.word());
    }
    part(totals.pending, "to do");
    match (parts.is_empty(), totals.models) {
        (true, _) => "no models".to_owned(),
        (false, n) => format!("{n} models: {}", parts.join(", ")),
    }
}

/// What deduplication saved, in a sentence.
pub(super) fn probes(summary: &ZooSummary) -> String {
    let p = &summary.totals.probes;
    let Some(share) = p.share else {
        return "nothing was timed".to_owned();
    };
    let known = match p.known_before {
        0 => String::new(),
        n => format!(", {n} were known before"),
    };
    let failed = match p.failed {
        0 => String::new(),
        n => format!(", {n} could not be timed"),
    };
    format!(
        "{} problems were timed, {:.2} of the {} that these models take one by one{known}{failed}",
        p.timed, share, p.one_by_one
    )
}

/// The end of a layer's name, which tells it from others.
fn short(name: &str) -> String {
    const MOST: usize = 32;
    let length = name.chars().count();
    match length > MOST {
        true => std::iter::once('…').chain(name.chars().skip(length - MOST)).collect(),
        false => name.to_owned(),
    }
}

fn row(entry: &JournalEntry) -> ZooRow {
    let numbers = entry.numbers.clone().unwrap_or_default();
    let ratio = numbers.ratio.map(|r| r.0).or(numbers.predicted_ratio);
    let page = entry.files.keys().find(|f| f.ends_with(".html"));
    let own = numbers.metric.as_ref();
    let accuracy = own
        .map(|m| format!("{} {:.4} → {:.4}", m.name, m.original, m.rewritten))
        .or(numbers
            .top1
            .map(|(a, b)| format!("top-1 {:.2} → {:.2} %", 100.0 * a, 100.0 * b)))
        .or(numbers.agreement.map(|a| format!("same class {:.2} %", 100.0 * a)))
        .or(numbers.max_abs_diff.map(|d| format!("outputs differ by {d:.0e}")));
    let layers = numbers
        .moved
        .iter()
        .take(3)
        .map(|m| format!("{}: {} → {}", short(&m.layer), m.before, m.after));
    let layers: Vec<String> = layers.collect();
    let more = numbers.moved.len().saturating_sub(layers.len());
    ZooRow {
        name: entry.name.clone(),
        link: page.cloned().unwrap_or_default(),
        state: match (entry.state, entry.failure) {
            (State::Failed, Some(failure)) => failure.word(),
            (state, _) => word(state),
        },
        class: match entry.state {
            State::Written | State::Planned => "faster",
            State::Failed => "slower",
            _ => "muted",
        },
        ratio: match (numbers.ratio, numbers.predicted_ratio) {
            (Some((r, noise)), _) => format!("{r:.3} ± {noise:.3}"),
            (None, Some(r)) if is_faster(entry) => format!("{r:.3} predicted"),
            _ => String::new(),
        },
        share: ratio
            .filter(|_| is_faster(entry))
            .map_or(String::new(), |r| format!("{:.1}", 100.0 * r.clamp(0.0, 1.0))),
        times: numbers.latency_ms.map_or(String::new(), |(b, a)| {
            format!("{} → {} ms", milliseconds(b), milliseconds(a))
        }),
        outputs: accuracy.unwrap_or_default(),
        moved: match (layers.is_empty(), more) {
            (true, _) => String::new(),
            (false, 0) => layers.join(", "),
            (false, more) => format!("{} and {more} more", layers.join(", ")),
        },
        why: entry.reason.clone().unwrap_or_else(|| numbers.unverified.join("; ")),
    }
}
