//! What a video file says of itself: its frames, its states and its stages, as a metadata property.

use serde::{Deserialize, Serialize};

use crate::onnx::proto::{ModelProto, StringStringEntryProto};
use crate::{Error, Result};

/// The name of the metadata property.
pub const PROPERTY: &str = "snapprune.video";
/// The version of [`Manifest`] that this program writes and reads.
pub const VERSION: u32 = 2;
/// The output with the tiles of each stage that changed and were left, int64 \[stages\].
pub const CHANGED: &str = "snapprune_changed";

/// The input of a file that computes tiles with how much each cell of the frame changed, float32 \[1, 1, rows, columns\] of cells.
pub const CHANGE: &str = "snapprune_change";

/// What a file computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The whole frame; it reads no states and makes all of them.
    Dense,
    /// The tiles that changed; it reads the states of the frame before.
    Tiles,
}

/// The input that holds the frame, and how it is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameInput {
    /// Name of the model's input.
    pub input: String,
    /// Its extents: 1, channels, rows, columns.
    pub shape: Vec<usize>,
    /// Rows and columns of the frame that a tile of the first stage stands for, without its halo.
    pub tile: [usize; 2],
    /// Rows and columns around a tile that it depends on, too.
    pub halo: [usize; 2],
    /// Rows and columns of tiles; where they do not divide the frame, the last of a row or column ends with it.
    pub tiles: [usize; 2],
    /// Rows and columns of the cells that are taken over together.
    pub cell: [usize; 2],
    /// The input of files that compute tiles with the largest |difference| of each cell to what it was computed from last, in the numbers of the frame;
    /// 0 where the frame that is given still holds that.
    pub change: String,
}

/// A value that one run makes and the next reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Name of the graph's input; a dense file has none of them.
    pub input: String,
    /// Name of the graph's output.
    pub output: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// Element type as NumPy calls it: `float32`, `int64`.
    #[serde(rename = "type")]
    pub dtype: String,
    /// Whether a run may write it where it reads it: nothing reads what it was once it is written.
    #[serde(default)]
    pub in_place: bool,
}

/// A stretch of the model that is computed by tiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTiles {
    /// Name for people: the last map that it makes.
    pub name: String,
    /// Tiles of its map.
    pub tiles: usize,
    /// Tiles that a run computes.
    pub computed: usize,
}

/// What a video file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// What the file computes.
    pub role: Role,
    /// Share of the tiles that a run computes; 1 of a dense file.
    pub share: f64,
    /// Change that counts, as a share of the range of the values; 0 is exact.
    pub threshold: f64,
    /// The same in the numbers of the frame's input: |difference| above it is change.
    pub frame_threshold: f64,
    /// The frame.
    pub frame: FrameInput,
    /// Share of changed tiles of the frame from which the plain model is faster.
    pub limit: f64,
    /// What a run hands to the next.
    pub states: Vec<State>,
    /// The stages, front to back.
    pub stages: Vec<StageTiles>,
    /// The output that counts tiles that changed and were left.
    pub changed: String,
    /// What a run takes over what the plain model takes; 0 where it was not timed.
    #[serde(default)]
    pub ratio: f64,
    /// A hash of the model and of how it was cut: files of one job have one, and no others go together.
    #[serde(default)]
    pub set: String,
}

impl Manifest {
    /// What a model says of itself; `None` of a model that is no video file.
    ///
    /// # Errors
    /// When the property cannot be read, or is of a newer version.
    pub fn of(model: &ModelProto) -> Result<Option<Self>> {
        let entry = model.metadata_props.iter().find(|p| p.key() == PROPERTY);
        entry.map(|p| Self::parse(p.value())).transpose()
    }

    /// Reads the property's text.
    ///
    /// # Errors
    /// When it is no such text, or of a newer version.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::Model(format!("metadata property {PROPERTY}: {why}"));
        let manifest: Self = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        if manifest.version != VERSION {
            return Err(wrong(format!("version {} is not known", manifest.version)));
        }
        Ok(manifest)
    }

    /// Writes the property into a model.
    ///
    /// # Errors
    /// When a number of it is not finite.
    pub fn write(&self, model: &mut ModelProto) -> Result<()> {
        let text =
            serde_json::to_string(self).map_err(|e| Error::Model(format!("metadata property {PROPERTY}: {e}")))?;
        model.metadata_props.retain(|p| p.key() != PROPERTY);
        model.metadata_props.push(StringStringEntryProto {
            key: Some(PROPERTY.to_owned()),
            value: Some(text),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{CHANGE, CHANGED, FrameInput, Manifest, PROPERTY, Role, StageTiles, State, VERSION};
    use crate::onnx::proto::ModelProto;

    fn manifest() -> Manifest {
        Manifest {
            version: VERSION,
            role: Role::Tiles,
            share: 0.125,
            threshold: 0.0,
            frame_threshold: 0.0,
            frame: FrameInput {
                input: "images".to_owned(),
                shape: vec![1, 3, 240, 320],
                tile: [32, 32],
                halo: [7, 7],
                tiles: [8, 10],
                cell: [4, 4],
                change: CHANGE.to_owned(),
            },
            limit: 0.4,
            states: vec![State {
                input: "snapprune_map_0".to_owned(),
                output: "snapprune_map_0_next".to_owned(),
                shape: vec![4801, 16],
                dtype: "float32".to_owned(),
                in_place: true,
            }],
            stages: vec![StageTiles {
                name: "stem".to_owned(),
                tiles: 80,
                computed: 10,
            }],
            changed: CHANGED.to_owned(),
            ratio: 0.4,
            set: "of one job".to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut model = ModelProto::default();
        assert_eq!(Manifest::of(&model).ok(), Some(None));
        for _ in 0..2 {
            assert!(manifest().write(&mut model).is_ok());
        }
        assert_eq!(model.metadata_props.len(), 1);
        assert_eq!(Manifest::of(&model).ok(), Some(Some(manifest())));
    }

    #[test]
    fn other_texts_and_versions_are_refused() {
        let mut newer = manifest();
        newer.version = VERSION + 1;
        let text = serde_json::to_string(&newer).unwrap_or_default();
        for text in [text.as_str(), "{}", ""] {
            assert!(Manifest::parse(text).is_err_and(|e| e.to_string().contains(PROPERTY)));
        }
    }
}
