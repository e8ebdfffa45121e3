//! Texts of an `.npz` file.

use super::npz_head::extents;

/// The texts of an array of the file format that NumPy writes (`.npy`, versions 1 to 3), one for each sample: of an element type `U12`
/// (UTF-32, padded with zeros) or `S12` (bytes, likewise).
///
/// # Errors
/// When it is cut off, has another shape, or holds what is no text.
pub(super) fn texts_of(member: &[u8], descr: &str) -> Result<Vec<String>, String> {
    let short = || "it ends too early".to_owned();
    let length = |bytes: &[u8]| bytes.iter().rev().fold(0_usize, |n, b| n << 8 | usize::from(*b));
    let (from, of): (usize, usize) = match member.get(6) {
        Some(1) => (10, length(member.get(8..10).ok_or_else(short)?)),
        _ => (12, length(member.get(8..12).ok_or_else(short)?)),
    };
    let head = member.get(from..from.saturating_add(of)).ok_or_else(short)?;
    let values = member.get(from + of..).ok_or_else(short)?;
    let head = String::from_utf8_lossy(head);
    let shape = extents(&head).ok_or("its shape cannot be read")?;
    let count = match shape.as_slice() {
        [count] | [count, 1] => usize::try_from(*count).map_err(|_| short())?,
        _ => return Err(format!("it has extents {shape:?}; a text for each sample is expected")),
    };
    let (kind, width) = descr.split_at(1);
    let width: usize = width.parse().map_err(|_| format!("'{descr}' is no type of texts"))?;
    let size = if kind == "U" { width.saturating_mul(4) } else { width };
    if size == 0 {
        return Err("its texts have no characters".to_owned());
    }
    let big = head.contains(&format!(">{descr}"));
    let text = |bytes: &[u8]| -> Result<String, String> {
        let wrong = || "it holds what is no text".to_owned();
        if kind == "S" {
            let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
            return Ok(text.trim_end_matches('\0').to_owned());
        }
        let number = |b: &[u8]| {
            let b: [u8; 4] = b.try_into().ok()?;
            char::from_u32(if big {
                u32::from_be_bytes(b)
            } else {
                u32::from_le_bytes(b)
            })
        };
        let text: Option<String> = bytes.chunks_exact(4).map(number).collect();
        Ok(text.ok_or_else(wrong)?.trim_end_matches('\0').to_owned())
    };
    let all: Vec<String> = values
        .chunks_exact(size)
        .take(count)
        .map(text)
        .collect::<Result<_, _>>()?;
    if all.len() == count { Ok(all) } else { Err(short()) }
}

#[cfg(test)]
mod tests {
    use super::texts_of;

    fn member(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = u16::try_from(head.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], head.as_bytes(), values].concat()
    }

    #[test]
    fn texts_are_read_in_both_byte_orders_and_nothing_beyond_the_end() {
        let wide = |text: &str, big: bool| -> Vec<u8> {
            let of = |c: char| {
                if big {
                    u32::from(c).to_be_bytes()
                } else {
                    u32::from(c).to_le_bytes()
                }
            };
            text.chars().flat_map(of).collect()
        };
        for (order, big) in [('<', false), ('>', true)] {
            let file = member(&format!("{order}U3"), "(2,)", &wide("né\0abc", big));
            assert_eq!(texts_of(&file, "U3"), Ok(vec!["né".to_owned(), "abc".to_owned()]));
            assert!(texts_of(&file[..file.len() - 1], "U3").is_err());
        }
        assert_eq!(
            texts_of(&member("|S2", "(2, 1)", b"a\0bc"), "S2"),
            Ok(vec!["a".to_owned(), "bc".to_owned()])
        );
        assert!(
            texts_of(&member("|S2", "(1, 2)", b"a\0bc"), "S2")
                .unwrap_err()
                .contains("a text for each sample")
        );
        assert!(texts_of(&member("<U1", "(1,)", &[0xff; 4]), "U1").is_err());
        assert!(texts_of(&member("<U9", "(99999999999999,)", &[0; 36]), "U9").is_err());
        assert!(texts_of(b"\x93NUMPY\x01\x00\xff\xff", "U1").is_err());
    }
}
