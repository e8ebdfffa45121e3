//! What labels say is right.

use super::answers::Truth;
use super::detect::{Rect, TrueBox};
use super::kind::TaskKind;
use super::segment::ClassMap;
use crate::data::{LabelBox, Labels, SampleRun};

impl Truth {
    /// What the labels of sample `i` of a run say; `None` where they say nothing.
    pub fn labelled(run: &SampleRun, i: usize) -> Option<Self> {
        if let Some(boxes) = run.boxes(i) {
            return Some(Self::Boxes(boxes.iter().map(TrueBox::from).collect()));
        }
        if let Some(mask) = run.mask(i) {
            return Some(Self::Map(ClassMap {
                height: mask.height,
                width: mask.width,
                classes: mask.classes.clone(),
            }));
        }
        classes_of(run.text(i)?).map(Self::Text)
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

/// Why labels do not serve a task; `None` where they do, or where the task makes no use of them.
pub fn unfit(labels: &Labels, kind: TaskKind) -> Option<String> {
    let serves = match labels {
        Labels::Classes(_) => return None,
        Labels::Boxes(_) => TaskKind::Detect,
        Labels::Masks(_) => TaskKind::Segment,
        Labels::Texts(_) => TaskKind::Ctc,
    };
    if serves != kind {
        return Some(format!(
            "it holds {}, which serve the task {serves}; this model's is {kind}",
            labels.kind()
        ));
    }
    if let Labels::Boxes(boxes) = labels
        && !boxes.images.iter().flatten().any(|b| !b.crowd)
    {
        return Some("it holds no box in any of the samples' images, or crowds only".to_owned());
    }
    let Labels::Texts(texts) = labels else {
        return None;
    };
    let (at, text) = texts.iter().enumerate().find(|(_, t)| classes_of(t).is_none())?;
    Some(format!(
        "the text of sample {at} is '{}': a model does not tell which letters its classes are; write texts as the numbers of their \
         classes, with spaces between",
        text.chars().take(40).collect::<String>()
    ))
}

/// The classes of a text that is written as their numbers.
fn classes_of(text: &str) -> Option<Vec<u32>> {
    text.split_whitespace().map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::{classes_of, unfit};
    use crate::data::Labels;
    use crate::task::TaskKind;

    #[test]
    fn labels_serve_their_own_task() {
        let texts = Labels::Texts(vec!["3 1 4".to_owned(), String::new()]);
        assert_eq!(unfit(&texts, TaskKind::Ctc), None);
        assert!(unfit(&texts, TaskKind::Detect).is_some_and(|why| why.contains("detect")));
        let letters = Labels::Texts(vec!["3 1".to_owned(), "hello".to_owned()]);
        assert!(unfit(&letters, TaskKind::Ctc).is_some_and(|why| why.contains("sample 1")));
        assert_eq!(unfit(&Labels::Classes(vec![1]), TaskKind::Segment), None);
        assert_eq!(classes_of(" 12  7 "), Some(vec![12, 7]));
    }
}
