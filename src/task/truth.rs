//! What labels say is right.

use super::alphabet::Letters;
use super::answers::Truth;
use super::detect::{Rect, TrueBox};
use super::kind::TaskKind;
use super::reading::{How, Reading};
use crate::data::{BoxLabels, LabelBox, Labels, Mask, SampleRun};

impl Truth {
    /// What the labels of sample `i` of a run say, as `reading` reads the model's outputs; `None` where they say nothing.
    pub fn labelled(run: &SampleRun, i: usize, reading: &Reading) -> Option<Self> {
        if let Some(boxes) = run.boxes(i) {
            return Some(Self::Boxes(boxes.iter().map(TrueBox::from).collect()));
        }
        if let Some(mask) = run.mask(i) {
            return Some(Self::Map(mask.clone()));
        }
        text_classes(run.text(i)?, reading.letters()).map(Self::Text)
    }
}

impl From<&LabelBox> for TrueBox {
    fn from(there: &LabelBox) -> Self {
        Self {
            class: there.class,
            rect: Rect::corners(there.x, there.y, there.x + there.width, there.y + there.height),
            crowd: there.crowd,
        }
    }
}

/// Why labels do not serve a model; `None` where they do.
pub fn unfit(labels: &Labels, reading: &Reading) -> Option<String> {
    let serves = match labels {
        Labels::Classes(_) => TaskKind::Classify,
        Labels::Boxes(_) => TaskKind::Detect,
        Labels::Masks(_) => TaskKind::Segment,
        Labels::Texts(_) => TaskKind::Ctc,
    };
    if serves != reading.kind {
        return Some(format!(
            "it holds {}, which serve the task {serves}; this model's is {}",
            labels.kind(),
            reading.kind
        ));
    }
    match (labels, &reading.how) {
        (Labels::Boxes(boxes), _) => unfit_boxes(boxes, reading),
        (
            Labels::Masks(masks),
            How::Maps {
                classes, chosen: false, ..
            },
        ) => unfit_masks(masks, (*classes).max(2)),
        (Labels::Texts(texts), how) => {
            let classes = match how {
                How::Steps { classes, blank, .. } => Some((*classes, *blank)),
                _ => None,
            };
            unfit_texts(texts, reading.letters(), classes)
        }
        _ => None,
    }
}

fn unfit_boxes(labels: &BoxLabels, reading: &Reading) -> Option<String> {
    if !labels.images.iter().flatten().any(|b| !b.crowd) {
        return Some("it holds no box in any of the samples' images, or crowds only".to_owned());
    }
    // What the graph has selected does not tell how many classes there are.
    let classes = reading.layout().filter(|l| l.is_dense())?.classes;
    let mut all = labels.images.iter().enumerate();
    let (sample, class) = all.find_map(|(i, boxes)| Some((i, boxes.iter().find(|b| b.class >= classes)?.class)))?;
    let name = labels
        .categories
        .get(class)
        .map(|n| format!(" ('{n}')"))
        .unwrap_or_default();
    Some(format!(
        "sample {sample} has a box of class {class}{name}, and {}: give the model's classes as categories, in their order",
        has_classes(classes)
    ))
}

fn unfit_masks(masks: &[Mask], classes: usize) -> Option<String> {
    let beyond = |mask: &Mask| {
        let mut all = mask.classes.iter().copied();
        all.find(|c| *c != Mask::IGNORED && usize::from(*c) >= classes)
    };
    let (sample, class) = masks.iter().enumerate().find_map(|(i, m)| Some((i, beyond(m)?)))?;
    Some(format!(
        "the mask of sample {sample} holds class {class}, and {}: give masks of the model's classes, and 255 for what is to be ignored",
        has_classes(classes)
    ))
}

fn unfit_texts(texts: &[String], letters: Option<&Letters>, classes: Option<(usize, usize)>) -> Option<String> {
    let shown = |text: &str| text.chars().take(40).collect::<String>();
    for (sample, text) in texts.iter().enumerate() {
        if let Some(letter) = letters.and_then(|l| l.classes(text).err()) {
            return Some(format!(
                "the text of sample {sample} is '{}': the alphabet lacks '{letter}' (U+{:04X})",
                shown(text),
                u32::from(letter)
            ));
        }
        let Some(own) = text_classes(text, letters) else {
            return Some(format!(
                "the text of sample {sample} is '{}': a model does not tell which letters its classes are; give its alphabet, or write texts \
                 as the numbers of their classes, with spaces between",
                shown(text)
            ));
        };
        let Some((classes, blank)) = classes else { continue };
        let outside = |c: &&u32| usize::try_from(**c).is_ok_and(|c| c >= classes || c == blank);
        if let Some(class) = own.iter().find(outside) {
            return Some(format!(
                "the text of sample {sample} holds class {class}, and {}, of which number {blank} is the blank",
                has_classes(classes)
            ));
        }
    }
    None
}

fn has_classes(classes: usize) -> String {
    match classes {
        1 => "the model has one class, 0".to_owned(),
        n => format!("the model has {n} classes, 0 to {}", n.saturating_sub(1)),
    }
}

/// The classes of a text: those of its letters, or those whose numbers it holds.
fn text_classes(text: &str, letters: Option<&Letters>) -> Option<Vec<u32>> {
    match letters {
        Some(letters) => letters.classes(text).ok(),
        None => text.split_whitespace().map(|number| number.parse().ok()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{text_classes, unfit};
    use crate::data::{BoxLabels, LabelBox, Labels, Mask};
    use crate::task::detect::{DetectLayout, LayoutKind};
    use crate::task::{Alphabet, How, Reading, TaskKind};

    fn steps(letters: Option<&str>) -> Reading {
        let letters = letters.and_then(|l| Alphabet::parsed(l).ok()?.of_classes(5, 0).ok());
        let how = How::Steps {
            output: "y".to_owned(),
            steps_first: false,
            blank: 0,
            classes: 5,
            letters,
        };
        Reading::new(TaskKind::Ctc, how, String::new())
    }

    fn detector(classes: usize) -> Reading {
        let layout = DetectLayout {
            kind: LayoutKind::ClassScores,
            name: "",
            outputs: Vec::new(),
            classes,
            attributes_first: true,
            logits: false,
            score: 0.25,
            scale: (1.0, 1.0),
            suppression: None,
        };
        Reading::new(TaskKind::Detect, How::Detections(layout), String::new())
    }

    #[test]
    fn labels_serve_their_own_task() {
        let texts = Labels::Texts(vec!["3 1 4".to_owned(), String::new()]);
        assert_eq!(unfit(&texts, &steps(None)), None);
        assert!(unfit(&texts, &detector(1)).is_some_and(|why| why.contains("detect")));
        assert!(unfit(&Labels::Classes(vec![1]), &steps(None)).is_some_and(|why| why.contains("classes")));
        assert_eq!(text_classes(" 12  7 ", None), Some(vec![12, 7]));
    }

    #[test]
    fn a_label_that_is_no_class_of_the_model_is_named() {
        let said = |labels: Labels, reading: &Reading| unfit(&labels, reading).unwrap();
        let texts = |all: &[&str]| Labels::Texts(all.iter().map(|t| (*t).to_owned()).collect());
        let words = said(texts(&["3 1", "hello"]), &steps(None));
        assert!(words.contains("sample 1") && words.contains("alphabet"), "{words}");
        let blank = said(texts(&["3 0"]), &steps(None));
        assert!(
            blank.contains("class 0") && blank.contains("number 0 is the blank"),
            "{blank}"
        );
        assert!(said(texts(&["5"]), &steps(None)).contains("5 classes, 0 to 4"));
        assert_eq!(unfit(&texts(&["bad", ""]), &steps(Some("abcd"))), None);
        let lacking = said(texts(&["ab", "a né"]), &steps(Some("abc ")));
        assert!(
            lacking.contains("sample 1 is 'a né'") && lacking.contains("lacks 'n' (U+006E)"),
            "{lacking}"
        );

        let there = |class| LabelBox {
            class,
            x: 0.0,
            y: 0.0,
            width: 4.0,
            height: 4.0,
            crowd: false,
        };
        let boxes = Labels::Boxes(BoxLabels {
            images: vec![vec![there(0)], vec![there(1)]],
            categories: vec!["cat".to_owned(), "kite".to_owned()],
        });
        assert_eq!(unfit(&boxes, &detector(2)), None);
        let kite = said(boxes, &detector(1));
        assert!(
            kite.contains("sample 1 has a box of class 1 ('kite')") && kite.contains("one class"),
            "{kite}"
        );

        let how = How::Maps {
            output: "y".to_owned(),
            classes: 1,
            classes_last: false,
            chosen: false,
            logits: false,
        };
        let maps = Reading::new(TaskKind::Segment, how, String::new());
        let mask = |class| Mask {
            width: 2,
            height: 1,
            classes: vec![Mask::IGNORED, class],
        };
        assert_eq!(unfit(&Labels::Masks(vec![mask(1)]), &maps), None);
        let third = said(Labels::Masks(vec![mask(1), mask(7)]), &maps);
        assert!(
            third.contains("sample 1 holds class 7") && third.contains("2 classes, 0 to 1"),
            "{third}"
        );
    }
}
