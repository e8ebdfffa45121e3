//! Numbers of any stored type as the elements of an input, where that changes no value.

use half::{bf16, f16};

use crate::onnx::Dtype;

/// One stored number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// An integer or a truth value.
    Whole(i128),
    /// A floating-point number.
    Real(f64),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(v) => write!(f, "{v}"),
            Self::Real(v) => write!(f, "{v}"),
        }
    }
}

/// An element type of arrays.
pub(super) trait Stored: Copy {
    /// The element as a number, without loss.
    fn number(self) -> Number;
}

macro_rules! stored {
    ($($kind:ty => $make:expr),*) => {$(
        impl Stored for $kind {
            fn number(self) -> Number {
                $make(self)
            }
        }
    )*};
}

stored!(
    f32 => |v: f32| Number::Real(v.into()),
    f64 => Number::Real,
    bool => |v: bool| Number::Whole(v.into()),
    i8 => |v: i8| Number::Whole(v.into()),
    i16 => |v: i16| Number::Whole(v.into()),
    i32 => |v: i32| Number::Whole(v.into()),
    i64 => |v: i64| Number::Whole(v.into()),
    u8 => |v: u8| Number::Whole(v.into()),
    u16 => |v: u16| Number::Whole(v.into()),
    u32 => |v: u32| Number::Whole(v.into()),
    u64 => |v: u64| Number::Whole(v.into())
);

/// Whether samples can be of this element type.
pub(super) fn is_handled(dtype: Dtype) -> bool {
    element(Number::Whole(0), dtype, &mut Vec::new())
}

/// Appends a number as an element of `dtype`, little-endian. `false`, with nothing appended, when the type cannot hold it:
/// a whole number that a float would round, a fraction in an integer, a value out of range, a type without numbers.
/// Floats of less precision round as usual; what is no number stays so.
pub(super) fn element(number: Number, dtype: Dtype, to: &mut Vec<u8>) -> bool {
    let real = match number {
        // Whole numbers up to 2 to the bits of the significand are exact.
        Number::Whole(v) => {
            let bits = match dtype {
                Dtype::Float => 24,
                Dtype::Float16 => 11,
                Dtype::Bfloat16 => 8,
                _ => 53,
            };
            (v.unsigned_abs() <= 1 << bits).then_some(v as f64)
        }
        Number::Real(v) => Some(v),
    };
    let whole = match number {
        Number::Whole(v) => Some(v),
        Number::Real(v) => (v.fract() == 0.0 && v.abs() < 1e18).then_some(v as i128),
    };
    macro_rules! real {
        ($made:expr, $finite:expr) => {
            match real {
                Some(v) => {
                    let made = $made(v);
                    if v.is_finite() && !$finite(made) {
                        return false;
                    }
                    to.extend_from_slice(&made.to_le_bytes());
                    true
                }
                None => false,
            }
        };
    }
    macro_rules! whole {
        ($kind:ty) => {
            match whole.and_then(|v| <$kind>::try_from(v).ok()) {
                Some(v) => {
                    to.extend_from_slice(&v.to_le_bytes());
                    true
                }
                None => false,
            }
        };
    }
    match dtype {
        Dtype::Float => real!(|v: f64| v as f32, f32::is_finite),
        Dtype::Double => real!(|v: f64| v, f64::is_finite),
        Dtype::Float16 => real!(f16::from_f64, f16::is_finite),
        Dtype::Bfloat16 => real!(bf16::from_f64, bf16::is_finite),
        Dtype::Int64 => whole!(i64),
        Dtype::Int32 => whole!(i32),
        Dtype::Int16 => whole!(i16),
        Dtype::Int8 => whole!(i8),
        Dtype::Uint16 => whole!(u16),
        Dtype::Uint8 => whole!(u8),
        Dtype::Bool => match whole {
            Some(v @ (0 | 1)) => {
                to.push(v as u8);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Number, element};
    use crate::onnx::Dtype;

    fn made(number: Number, dtype: Dtype) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        element(number, dtype, &mut bytes).then_some(bytes)
    }

    #[test]
    fn values_that_a_type_holds_are_kept_and_others_refused() {
        let bytes = |v: f32| Some(v.to_le_bytes().to_vec());
        assert_eq!(made(Number::Real(0.1), Dtype::Float), bytes(0.1));
        assert_eq!(made(Number::Whole(255), Dtype::Float), bytes(255.0));
        assert_eq!(made(Number::Whole((1 << 24) + 1), Dtype::Float), None);
        assert_eq!(made(Number::Real(1e300), Dtype::Float), None);
        assert_eq!(made(Number::Real(70000.0), Dtype::Float16), None);
        assert_eq!(made(Number::Real(2.0), Dtype::Int32), Some(vec![2, 0, 0, 0]));
        assert_eq!(made(Number::Real(2.5), Dtype::Int64), None);
        assert_eq!(made(Number::Whole(-1), Dtype::Uint8), None);
        assert_eq!(made(Number::Whole(1), Dtype::Bool), Some(vec![1]));
        assert_eq!(made(Number::Whole(2), Dtype::Bool), None);
        assert_eq!(made(Number::Real(f64::NAN), Dtype::Int64), None);
        assert!(made(Number::Real(f64::INFINITY), Dtype::Float).is_some());
        assert_eq!(made(Number::Whole(1), Dtype::String), None);
    }
}
