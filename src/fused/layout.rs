//! Where a tiled convolution reads and writes, as one list of integers in the model.

/// Extents and places of one convolution on tiles. Pairs are rows and columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Whether the source is a batch of tiles; a map otherwise.
    pub from_tiles: bool,
    /// Input and output channels.
    pub channels: [i64; 2],
    /// Extents of the source: a map's, or a tile's.
    pub source: [i64; 2],
    /// Extents of an output tile.
    pub tile: [i64; 2],
    /// Extents of the kernel.
    pub kernel: [i64; 2],
    /// Steps between output places.
    pub strides: [i64; 2],
    /// Steps between taps.
    pub dilations: [i64; 2],
    /// Places by which the first tap lies before a tile's own start.
    pub before: [i64; 2],
    /// Distance between tiles in the source.
    pub step: [i64; 2],
    /// Tiles side by side in a row of the map.
    pub across: i64,
    /// Whether negative results become zero.
    pub relu: bool,
    /// Whether results outside of the map become zero, the map's extents, and where output tiles lie in it.
    pub masked: bool,
    /// Extents of the map that the output tiles are part of.
    pub map: [i64; 2],
    /// Distance between output tiles in that map.
    pub map_step: [i64; 2],
    /// Places by which an output tile begins before its own start in that map.
    pub map_before: [i64; 2],
}

/// Integers of a layout.
const LENGTH: usize = 26;

impl Layout {
    /// As an attribute.
    pub fn to_ints(self) -> Vec<i64> {
        let flag = i64::from;
        let mut all = vec![flag(self.from_tiles)];
        for pair in [
            self.channels,
            self.source,
            self.tile,
            self.kernel,
            self.strides,
            self.dilations,
            self.before,
            self.step,
        ] {
            all.extend(pair);
        }
        all.extend([self.across, flag(self.relu), flag(self.masked)]);
        for pair in [self.map, self.map_step, self.map_before] {
            all.extend(pair);
        }
        all
    }

    /// From an attribute; `None` when it is none of ours, or has extents that make no sense.
    pub fn of_ints(ints: &[i64]) -> Option<Self> {
        if ints.len() != LENGTH {
            return None;
        }
        let pair = |at: usize| [ints[at], ints[at + 1]];
        let found = Self {
            from_tiles: ints[0] != 0,
            channels: pair(1),
            source: pair(3),
            tile: pair(5),
            kernel: pair(7),
            strides: pair(9),
            dilations: pair(11),
            before: pair(13),
            step: pair(15),
            across: ints[17],
            relu: ints[18] != 0,
            masked: ints[19] != 0,
            map: pair(20),
            map_step: pair(22),
            map_before: pair(24),
        };
        let positive = [
            found.channels,
            found.source,
            found.tile,
            found.kernel,
            found.strides,
            found.dilations,
        ];
        let sound = positive.iter().flatten().all(|&v| (1..1 << 20).contains(&v));
        let others = [found.before, found.step, found.map, found.map_step, found.map_before];
        let small = others.iter().flatten().all(|v| (0..1 << 20).contains(v));
        (sound && small && found.across > 0).then_some(found)
    }

    /// Weights of one output channel.
    pub fn depth(&self) -> i64 {
        self.channels[0] * self.kernel[0] * self.kernel[1]
    }

    /// Places of an output tile.
    pub fn places(&self) -> i64 {
        self.tile[0] * self.tile[1]
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;

    #[test]
    fn a_layout_survives_its_list_and_nonsense_is_refused() {
        let layout = Layout {
            from_tiles: true,
            channels: [3, 4],
            source: [5, 6],
            tile: [3, 6],
            kernel: [3, 1],
            strides: [1, 1],
            dilations: [1, 1],
            before: [1, 0],
            step: [2, 0],
            across: 1,
            relu: true,
            masked: false,
            map: [9, 6],
            map_step: [3, 0],
            map_before: [1, 0],
        };
        assert_eq!(Layout::of_ints(&layout.to_ints()), Some(layout));
        let mut wrong = layout.to_ints();
        wrong[3] = 0;
        assert_eq!(Layout::of_ints(&wrong), None);
        assert_eq!(Layout::of_ints(&[1, 2]), None);
    }
}
