//! Reading and setting a node's attributes.

use super::proto::{AttributeProto, NodeProto, TensorProto, attribute_proto::AttributeType};

/// Typed access to the attributes of a node.
pub trait Attributes {
    /// The attribute called `name`.
    fn attr(&self, name: &str) -> Option<&AttributeProto>;
    /// An integer attribute, or `default` when absent.
    fn int(&self, name: &str, default: i64) -> i64;
    /// A float attribute, or `default` when absent.
    fn float(&self, name: &str, default: f32) -> f32;
    /// A list of integers; `None` when absent.
    fn ints(&self, name: &str) -> Option<Vec<i64>>;
    /// A string attribute, or `default` when absent or not UTF-8.
    fn text(&self, name: &str, default: &str) -> String;
    /// A tensor attribute.
    fn tensor(&self, name: &str) -> Option<&TensorProto>;
    /// Sets an integer attribute, adding it if absent.
    fn set_int(&mut self, name: &str, value: i64);
    /// Sets a list of integers, adding it if absent.
    fn set_ints(&mut self, name: &str, value: Vec<i64>);
    /// Sets a string, adding it if absent.
    fn set_text(&mut self, name: &str, value: &str);
    /// Whether the operator is one of the ONNX standard.
    fn is_standard(&self) -> bool;
}

fn slot<'a>(node: &'a mut NodeProto, name: &str, kind: AttributeType) -> &'a mut AttributeProto {
    let at = match node.attribute.iter().position(|a| a.name() == name) {
        Some(at) => at,
        None => {
            node.attribute.push(AttributeProto {
                name: Some(name.to_owned()),
                ..Default::default()
            });
            node.attribute.len() - 1
        }
    };
    let attribute = &mut node.attribute[at];
    attribute.r#type = Some(kind as i32);
    attribute
}

impl Attributes for NodeProto {
    fn attr(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|a| a.name() == name)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.attr(name).and_then(|a| a.i).unwrap_or(default)
    }

    fn float(&self, name: &str, default: f32) -> f32 {
        self.attr(name).and_then(|a| a.f).unwrap_or(default)
    }

    fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attr(name).map(|a| a.ints.clone())
    }

    fn text(&self, name: &str, default: &str) -> String {
        self.attr(name)
            .and_then(|a| a.s.as_deref())
            .and_then(|s| std::str::from_utf8(s).ok())
            .unwrap_or(default)
            .to_owned()
    }

    fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.attr(name).and_then(|a| a.t.as_ref())
    }

    fn set_int(&mut self, name: &str, value: i64) {
        slot(self, name, AttributeType::Int).i = Some(value);
    }

    fn set_ints(&mut self, name: &str, value: Vec<i64>) {
        slot(self, name, AttributeType::Ints).ints = value;
    }

    fn set_text(&mut self, name: &str, value: &str) {
        slot(self, name, AttributeType::String).s = Some(value.as_bytes().to_vec());
    }

    fn is_standard(&self) -> bool {
        matches!(self.domain(), "" | "ai.onnx")
    }
}
