//! The nodes of a stage of single places: rows are gathered, layers are matrix products.

use std::collections::HashMap;

use super::depends::Depends;
use super::emitter::{Emitter, map_state, next};
use super::local::Local;
use super::stage::Stage;
use super::taps::{Outside, Taps};
use crate::onnx::proto::NodeProto;
use crate::onnx::{Attributes, Tensor};

/// Rows of what a stage reads and makes, by value; those of an input by what is read of it, too.
struct Rows<'a> {
    stage: &'a Stage,
    /// Indices of the places.
    chosen: &'a str,
    made: HashMap<String, String>,
    read: HashMap<(String, Taps, Outside), String>,
}

impl Emitter<'_> {
    /// The greatest change that each place of a stage depends on, one number a place.
    pub(super) fn place_change(&mut self, stage: &Stage) -> Option<String> {
        let mut scores: Vec<String> = Vec::new();
        for Depends { input, taps, spread } in &stage.depends {
            let mut change = self.changes.get(input)?.clone();
            let mut own = *taps;
            if taps.up != [1; 2] {
                let flat = self.nodes.builder.reshape(&change, &[-1]);
                let table = self.table(taps, Outside::Zeros);
                let at = self.nodes.builder.reshape(&table, &[-1]);
                let flat = self.nodes.rows(&flat, &at);
                change = self
                    .nodes
                    .builder
                    .reshape(&flat, &[1, 1, taps.to[0] as i64, taps.to[1] as i64]);
                own = Taps::same(taps.to);
            }
            let wide = own.widened(*spread);
            if !wide.is_same() {
                change = self.greatest_around(&change, &wide);
            }
            scores.push(change);
        }
        let most = match scores.as_slice() {
            [one] => one.clone(),
            several => {
                let several: Vec<&str> = several.iter().map(String::as_str).collect();
                self.nodes.builder.op("Max", &several, &[])
            }
        };
        Some(self.nodes.builder.reshape(&most, &[-1]))
    }

    /// The greatest of the places that are read of 1×1×rows×columns.
    fn greatest_around(&mut self, x: &str, taps: &Taps) -> String {
        let pads = [taps.before[0], taps.before[1], taps.behind(0), taps.behind(1)].map(|n| n as i64);
        let (kernel, strides) = (taps.kernel.map(|n| n as i64), taps.strides.map(|n| n as i64));
        let lists: [(&str, &[i64]); 3] = [("kernel_shape", &kernel), ("strides", &strides), ("pads", &pads)];
        self.nodes.builder.op("MaxPool", &[x], &lists)
    }

    /// Scores that count as change, and how far layers of the stage carry what they stand for.
    pub(super) fn carried(&mut self, left: &str, stage: &Stage, limit: &str) -> String {
        let plane = [0, 1].map(|a| stage.axes[a].starts.len());
        let above = self.nodes.builder.op("Greater", &[left, limit], &[]);
        let zero = self.nodes.floats(&[], &[0.0]);
        let counted = self.nodes.builder.op("Where", &[&above, left, &zero], &[]);
        let shape = [1, 1, plane[0] as i64, plane[1] as i64];
        let shaped = self.nodes.builder.reshape(&counted, &shape);
        let most = self.greatest_around(&shaped, &Taps::same(plane).widened(stage.spread()));
        self.nodes.builder.reshape(&most, &[-1])
    }

    /// The nodes of a stage, for places by index.
    pub(super) fn computed_rows(&mut self, stage: &Stage, chosen: &str) -> Option<()> {
        let at = self.nodes.builder.reshape(chosen, &[-1, 1]);
        let mut rows = Rows {
            stage,
            chosen,
            made: HashMap::new(),
            read: HashMap::new(),
        };
        for (local, taps) in stage.nodes.iter().zip(&stage.taps) {
            let node = self.graph.proto.node.get(local.node)?;
            match node.op_type() {
                "Conv" => self.layer(&mut rows, node, local, taps)?,
                "MaxPool" => {
                    let read = self.read(&mut rows, local.maps.first()?, taps, Outside::Inside)?;
                    let most = match taps.count() {
                        1 => read,
                        _ => self.nodes.greatest(&read, 1, 0),
                    };
                    rows.made.insert(node.output.first()?.clone(), most);
                }
                "Resize" | "Identity" => {
                    let read = self.read(&mut rows, local.maps.first()?, taps, Outside::Inside)?;
                    rows.made.insert(node.output.first()?.clone(), read);
                }
                _ => self.at_place(&mut rows, node, local, taps)?,
            }
            for name in node
                .output
                .iter()
                .filter(|o| stage.inner.contains(o) || stage.outputs.contains(o))
            {
                let made = rows.made.get(name)?.clone();
                self.replace(name, &made, &at, chosen, stage)?;
            }
        }
        Some(())
    }

    /// Rows of a map: places × channels, or places × taps × channels.
    fn read(&mut self, rows: &mut Rows, name: &str, taps: &Taps, outside: Outside) -> Option<String> {
        if let Some(made) = rows.made.get(name).filter(|_| taps.is_same()) {
            return Some(made.clone());
        }
        let key = (name.to_owned(), *taps, outside);
        if let Some(read) = rows.read.get(&key) {
            return Some(read.clone());
        }
        let at = match taps.is_same() {
            true => rows.chosen.to_owned(),
            false => {
                let table = self.table(taps, outside);
                let table = match taps.count() {
                    1 => self.nodes.builder.reshape(&table, &[-1]),
                    _ => table,
                };
                self.nodes.rows(&table, rows.chosen)
            }
        };
        let read = self.nodes.rows(&next(&map_state(self.kept(name)?)), &at);
        rows.read.insert(key, read.clone());
        Some(read)
    }

    /// The constant with the taps of all places.
    fn table(&mut self, taps: &Taps, outside: Outside) -> String {
        if let Some(name) = self.tables.get(&(*taps, outside)) {
            return name.clone();
        }
        let dims = [taps.to[0] * taps.to[1], taps.count()];
        let name = self.nodes.builder.table(&dims, &taps.table(outside));
        self.tables.insert((*taps, outside), name.clone());
        name
    }

    /// A convolution as one matrix product; one of single channels as a weighted sum.
    fn layer(&mut self, rows: &mut Rows, node: &NodeProto, local: &Local, taps: &Taps) -> Option<()> {
        let read = self.read(rows, local.maps.first()?, taps, Outside::Zeros)?;
        let weights = self.graph.stored(node.input.get(1)?)?;
        let &[outputs, each, ..] = weights.dims.as_slice() else {
            return None;
        };
        let values = weights.to_f32()?;
        let count = taps.count();
        let bias = match node.input.get(2).filter(|b| !b.is_empty()) {
            Some(name) => self.graph.stored(name)?.to_f32()?,
            None => vec![0.0; outputs],
        };
        let bias = self.nodes.floats(&[outputs], &bias);
        let channels = rows.stage.maps.get(local.maps.first()?)?.dims[0];
        let made = if each == channels {
            let mut turned = vec![0.0; values.len()];
            for (n, own) in values.chunks_exact((each * count).max(1)).enumerate() {
                for (c, of) in own.chunks_exact(count).enumerate() {
                    for (t, value) in of.iter().enumerate() {
                        *turned.get_mut((t * each + c) * outputs + n)? = *value;
                    }
                }
            }
            let width = count * each;
            let weights = self.nodes.floats(&[width, outputs], &turned);
            let flat = match count {
                1 => read,
                _ => self.nodes.builder.reshape(&read, &[-1, width as i64]),
            };
            self.nodes.builder.op("Gemm", &[&flat, &weights, &bias], &[])
        } else {
            let turned: Vec<f32> = (0..count)
                .flat_map(|t| values.iter().skip(t).step_by(count).copied())
                .collect();
            let weights = self.nodes.floats(&[count, outputs], &turned);
            let weighted = match count {
                1 => {
                    let flat = self.nodes.builder.reshape(&weights, &[-1]);
                    self.nodes.builder.op("Mul", &[&read, &flat], &[])
                }
                _ => {
                    let each = self.nodes.builder.op("Mul", &[&read, &weights], &[]);
                    self.nodes.sum(&each, 1)
                }
            };
            self.nodes.builder.op("Add", &[&weighted, &bias], &[])
        };
        rows.made.insert(node.output.first()?.clone(), made);
        Some(())
    }

    /// A node that computes each place from the same place of its maps.
    fn at_place(&mut self, rows: &mut Rows, node: &NodeProto, local: &Local, taps: &Taps) -> Option<()> {
        let mut own = node.clone();
        let op = node.op_type();
        let spread = matches!(op, "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "PRelu");
        for name in own.input.iter_mut().filter(|n| !n.is_empty()) {
            if local.maps.contains(name) {
                *name = self.read(rows, name, taps, Outside::Zeros)?;
            } else if spread {
                let values = self.graph.stored(name)?;
                let values = Tensor {
                    dims: vec![values.len()],
                    ..values
                };
                *name = self.nodes.builder.constant(&values);
            }
        }
        if matches!(op, "Concat" | "Split") {
            own.set_int("axis", 1);
        }
        for (k, name) in own.output.iter_mut().enumerate() {
            let made = self.nodes.builder.fresh(op);
            rows.made.insert(node.output.get(k)?.clone(), made.clone());
            *name = made;
        }
        own.name = Some(format!("{}_node", own.output.first()?));
        self.nodes.builder.nodes.push(own);
        Some(())
    }
}
