//! Elements below a byte: several in each, the first in the lowest bits.

use bytes::Bytes;

use super::dtype::Dtype;

/// Whether a packed type has a sign.
pub(super) fn is_signed(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::Int4 | Dtype::Int2)
}

/// `count` elements of `bits` bits as a byte each, fewer where `raw` holds fewer; the sign extended where there is one.
pub(super) fn unpack(raw: &[u8], bits: usize, signed: bool, count: usize) -> Bytes {
    let each = 8 / bits;
    let mask = (1u8 << bits) - 1;
    let fits = raw.len() == count.div_ceil(each);
    let elements = raw
        .iter()
        .flat_map(|&byte| (0..each).map(move |k| byte >> (k * bits) & mask));
    let extended = elements.map(|v| match signed && v >> (bits - 1) == 1 {
        true => v | !mask,
        false => v,
    });
    // More bytes than the elements need are as wrong as too few.
    extended.take(if fits { count } else { count + 1 }).collect()
}

/// The reverse of [`unpack`].
pub(super) fn pack(elements: &[u8], bits: usize) -> Bytes {
    let mask = (1u8 << bits) - 1;
    let byte = |part: &[u8]| (part.iter().enumerate()).fold(0, |all, (k, &v)| all | (v & mask) << (k * bits));
    elements.chunks(8 / bits).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};

    #[test]
    fn what_is_unpacked_packs_to_the_same() {
        let raw = [0x8f, 0x71, 0x05];
        let signed = unpack(&raw, 4, true, 5);
        let values: Vec<i8> = signed.iter().map(|&b| b as i8).collect();
        assert_eq!(values, [-1, -8, 1, 7, 5]);
        assert_eq!(pack(&signed, 4).as_ref(), raw);
        assert_eq!(unpack(&raw, 4, false, 5).as_ref(), [15, 8, 1, 7, 5]);
        let two = unpack(&[0b11_10_01_00], 2, true, 4);
        assert_eq!(two.iter().map(|&b| b as i8).collect::<Vec<_>>(), [0, 1, -2, -1]);
        assert_eq!(pack(&two, 2).as_ref(), [0b11_10_01_00]);
        assert_ne!(unpack(&raw, 4, true, 8).len(), 8, "too few bytes");
        assert_ne!(unpack(&raw, 4, true, 4).len(), 4, "too many bytes");
    }
}
