//! Frames played through a video's files: which file a frame takes, and the states that go from one frame to the next.

mod changes;
mod choice;
mod files;
mod seen;
mod stream;
mod timeline;
mod video;

pub use changes::FrameTiles;
pub use choice::{Choice, Chooser, Step};
pub use files::VideoFiles;
pub use stream::{Outputs, Stream};
pub use timeline::{Taken, Timeline, TimelineFrame, play};
pub use video::{Frame, Video};
