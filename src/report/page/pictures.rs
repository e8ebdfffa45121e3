//! Samples as pictures, with what both models answer.

use super::data_uri::{differing, glass, photo};
use crate::data::{Mask, Picture};
use crate::optimize::{Pictures, SamplePicture};
use crate::task::{Answer, Detection, MapCounts, TaskKind, found_by_both};

/// What the page shows of the samples.
#[derive(Default)]
pub(super) struct Gallery {
    /// What it shows.
    pub about: String,
    /// How it is drawn.
    pub key: &'static str,
    /// How figures stand beside each other.
    pub layout: &'static str,
    pub figures: Vec<Figure>,
}

/// A sample.
pub(super) struct Figure {
    pub id: usize,
    pub photo: String,
    /// The part of the input that is shown: left, top, width and height.
    pub view: [usize; 4],
    /// Whether pixels are so few that they are drawn as squares.
    pub tiny: bool,
    /// One for each time that it stands there.
    pub sides: Vec<Side>,
    pub caption: String,
}

/// A sample with what one model answers.
pub(super) struct Side {
    pub title: &'static str,
    pub alt: String,
    pub boxes: Vec<DrawnBox>,
    pub overlay: Option<String>,
    /// Columns and rows of the input, which the overlay covers.
    pub input: [usize; 2],
}

/// A box on a picture, in pixels of the input.
pub(super) struct DrawnBox {
    pub class: &'static str,
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
    pub text: String,
    pub text_x: f32,
    pub text_y: f32,
    pub text_width: f32,
    pub text_height: f32,
    pub letters_x: f32,
    pub letters_y: f32,
    pub font: f32,
}

/// Bytes of all images together.
const MOST_BYTES: usize = 400_000;
/// Boxes that are drawn on one picture.
const MOST_BOXES: usize = 40;
/// Boxes that a text names.
const MOST_NAMED: usize = 5;
/// The size of letters over the width of a picture, and their own width over their size.
const LETTERS: (f32, f32) = (0.042, 0.6);
/// Pictures with fewer columns are drawn with their pixels as squares.
const TINY: usize = 97;

impl Gallery {
    /// Of what was found out; empty where there is nothing to look at.
    pub(super) fn of(pictures: &Pictures) -> Self {
        if pictures.of == 0 {
            return Self::default();
        }
        let mut figures = Vec::new();
        let mut left = MOST_BYTES;
        for one in &pictures.drawn {
            let figure = figure(figures.len(), one, pictures);
            if let Some(figure) = figure.filter(|f| f.bytes() <= left) {
                left -= figure.bytes();
                figures.push(figure);
            }
        }
        if figures.is_empty() {
            let about = "The samples are not shown: they are no images, or numbers that the scaling told for images does not turn back into \
                         pixels.";
            return Self {
                about: about.to_owned(),
                ..Self::default()
            };
        }
        Self {
            about: about(pictures, figures.len()),
            layout: match pictures.kind {
                TaskKind::Detect => "pairs",
                TaskKind::Segment => "maps",
                _ => "single",
            },
            key: match pictures.kind {
                TaskKind::Detect => {
                    "Boxes with class and score. Solid blue: both models find it (the same class, an IoU of 0.5). Dashed orange: this model alone."
                }
                TaskKind::Segment => {
                    "Each class but the first has a colour of its own; orange on the right: where the classes differ."
                }
                _ => "",
            },
            figures,
        }
    }
}

impl Figure {
    fn bytes(&self) -> usize {
        let overlays = self.sides.iter().filter_map(|s| s.overlay.as_ref());
        self.photo.len() + overlays.map(String::len).sum::<usize>()
    }
}

/// Which samples are shown.
fn about(pictures: &Pictures, shown: usize) -> String {
    let furthest = pictures
        .drawn
        .iter()
        .fold(0.0_f64, |most, one| most.max(one.shown.apart));
    if furthest <= 0.0 {
        return format!(
            "{shown} of {} samples that were held out; both models find the same in those that are shown.",
            pictures.of
        );
    }
    match shown == pictures.of {
        true => {
            format!("All {shown} samples that were held out; the first ones are those where the models differ most.")
        }
        false => format!(
            "{shown} of {} samples that were held out: first the ones where the models differ most, then others, spread evenly from there to \
             where they differ least.",
            pictures.of
        ),
    }
}

fn figure(id: usize, one: &SamplePicture, pictures: &Pictures) -> Option<Figure> {
    let picture = &one.picture;
    let (before, after) = (&one.shown.original, &one.shown.rewritten);
    let name = match &picture.name {
        Some(name) => name.clone(),
        None => format!("sample {}", one.shown.sample),
    };
    let (sides, told) = match (before, after) {
        (Answer::Boxes(a), Answer::Boxes(b)) => {
            let names = &pictures.names;
            let both = found_by_both(a, b).iter().filter(|same| **same).count();
            let told = format!(
                "{both} by both, {} by the original alone, {} by the written model alone",
                a.len() - both,
                b.len() - both
            );
            (
                vec![
                    boxed("original", picture, a, b, names),
                    boxed("written model", picture, b, a, names),
                ],
                told,
            )
        }
        (Answer::Map(a), Answer::Map(b)) => {
            let iou = MapCounts::new(a, b).mean_iou().unwrap_or(1.0);
            (mapped(picture, a, b), format!("mIoU {iou:.3}"))
        }
        (Answer::Class(a), Answer::Class(b)) => {
            let label = one.label.map(|l| format!(", label {l}")).unwrap_or_default();
            let told = match a == b {
                true => format!("both say class {a}{label}"),
                false => format!("original says class {a}, written model class {b}{label}"),
            };
            let side = Side {
                title: "",
                alt: format!("{name}: {told}"),
                boxes: Vec::new(),
                overlay: None,
                input: [picture.width, picture.height],
            };
            (vec![side], told)
        }
        _ => return None,
    };
    Some(Figure {
        id,
        photo: photo(&picture.pixels, picture.width, picture.height, picture.within)?,
        view: picture.within,
        tiny: picture.within[2].max(picture.within[3]) < TINY,
        sides,
        caption: format!("{name}: {told}"),
    })
}

/// What a detector found.
fn boxed(title: &'static str, picture: &Picture, own: &[Detection], other: &[Detection], names: &[String]) -> Side {
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| format!("class {class}"));
    // A number says as much as a word beside it would, and takes less of the picture.
    let short = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let same = found_by_both(own, other);
    let mut all: Vec<(&Detection, bool)> = own.iter().zip(same).collect();
    // What one finds alone stands out, so it comes first where there is no room for all, and last on top of the others.
    all.sort_by(|a, b| a.1.cmp(&b.1).then(b.0.score.total_cmp(&a.0.score)));
    all.truncate(MOST_BOXES);
    let mut told: Vec<String> = all
        .iter()
        .take(MOST_NAMED)
        .map(|(d, _)| format!("{} {:.2}", name(d.class), d.score))
        .collect();
    if own.len() > told.len() {
        told.push(format!("{} more", own.len() - told.len()));
    }
    let told = match own.len() {
        0 => "finds nothing".to_owned(),
        n => format!("finds {n}: {}", told.join(", ")),
    };
    Side {
        title,
        alt: format!("{title} {told}"),
        boxes: all
            .iter()
            .rev()
            .filter_map(|(d, same)| drawn(picture, d, *same, &short(d.class)))
            .collect(),
        overlay: None,
        input: [picture.width, picture.height],
    }
}

/// A box with its text; `None` where it lies beside the picture.
fn drawn(picture: &Picture, found: &Detection, same: bool, name: &str) -> Option<DrawnBox> {
    let [left, top, width, height] = picture.within.map(|n| n as f32);
    let (right, bottom) = (left + width, top + height);
    let (x1, x2) = (found.rect.x1.clamp(left, right), found.rect.x2.clamp(left, right));
    let (y1, y2) = (found.rect.y1.clamp(top, bottom), found.rect.y2.clamp(top, bottom));
    let seen = found.rect.is_finite() && x2 > x1 && y2 > y1;
    let font = LETTERS.0 * width;
    let most = (width / (LETTERS.1 * font)) as usize;
    let number = format!("{:.2}", found.score);
    let room = most.saturating_sub(number.len() + 3);
    let name: String = name.chars().take(room).collect();
    let text = format!("{name} {number}");
    let text_width = LETTERS.1 * font * text.chars().count() as f32 + 0.4 * font;
    let text_x = x1.min(right - text_width).max(left);
    let text_height = 1.25 * font;
    // Above the box where there is room, or below it, else within it.
    let text_y = match (y1 - text_height >= top, y2 + text_height <= bottom) {
        (true, _) => y1 - text_height,
        (false, true) => y2,
        (false, false) => y1.min(bottom - text_height).max(top),
    };
    seen.then_some(DrawnBox {
        class: if same { "both" } else { "alone" },
        x: x1,
        y: y1,
        width: x2 - x1,
        height: y2 - y1,
        text,
        text_x,
        text_y,
        text_width,
        text_height,
        letters_x: text_x + 0.2 * font,
        letters_y: text_y + 0.95 * font,
        font,
    })
}

/// What a segmenter found, and where the two differ.
fn mapped(picture: &Picture, a: &Mask, b: &Mask) -> Vec<Side> {
    let covered = |map: &Mask| {
        let some = map.classes.iter().filter(|c| **c != 0).count();
        100.0 * some as f64 / map.classes.len().max(1) as f64
    };
    let differ = a.classes.iter().zip(&b.classes).filter(|(a, b)| a != b).count();
    let differ = 100.0 * differ as f64 / a.classes.len().max(1) as f64;
    let side = |title, alt: String, overlay| Side {
        title,
        alt,
        boxes: Vec::new(),
        overlay,
        input: [picture.width, picture.height],
    };
    let of = |title: &'static str, map: &Mask| {
        let alt = format!(
            "{title}: {:.1} % of the places have another class than the first",
            covered(map)
        );
        side(title, alt, glass(map))
    };
    vec![
        of("original", a),
        of("written model", b),
        side(
            "where they differ",
            format!("{differ:.1} % of the places differ"),
            differing(a, b),
        ),
    ]
}
