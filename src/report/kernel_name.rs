//! Names of kernels for people.

/// The beginning of a kernel's name, and its tile where the name tells it.
pub(super) fn short(name: &str) -> String {
    let plain = plain(name);
    let start: String = plain.chars().take(40).collect();
    let tile = plain.split_once("tilesize").map(|(_, rest)| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != 'x')
            .unwrap_or(rest.len());
        format!("… tile {}", &rest[..end])
    });
    format!("{start}{}", tile.unwrap_or_default())
}

/// The longest identifier of a mangled C++ name, which tells most; other names as they are. In mangled names each identifier
/// comes behind its length (Itanium C++ ABI, section 5.1.5).
fn plain(name: &str) -> &str {
    let Some(mut rest) = name.strip_prefix("_Z") else {
        return name;
    };
    let mut longest = "";
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = &rest[at..];
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let behind = &digits[end..];
        // Also literals are numbers; those are longer than what follows, or no identifier begins there.
        let word = digits[..end]
            .parse()
            .ok()
            .and_then(|length: usize| behind.get(..length));
        let is_name =
            |w: &&str| w.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !w.starts_with("_GLOBAL");
        match word.filter(is_name) {
            Some(word) => {
                longest = if word.len() > longest.len() { word } else { longest };
                rest = &behind[word.len()..];
            }
            None => rest = behind,
        }
    }
    if longest.is_empty() { name } else { longest }
}

#[cfg(test)]
mod tests {
    use super::{plain, short};

    #[test]
    fn a_mangled_name_is_told_by_its_longest_identifier() {
        let mangled = "_ZN11onnxruntime4cuda17_UnaryElementWiseINS0_7OP_ReluIfEELi256EEEvPKfPfi";
        assert_eq!(plain(mangled), "_UnaryElementWise");
        assert_eq!(
            plain("_ZN7cutlass7Kernel2I39cutlass_80_tensorop_s1688gemm_128x128_nEEvNT_6ParamsE"),
            "cutlass_80_tensorop_s1688gemm_128x128_n"
        );
        assert_eq!(plain("_Z"), "_Z");
        assert_eq!(plain("memset 32"), "memset 32");
    }

    #[test]
    fn the_tile_is_told_at_the_end() {
        let name = "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nchw_tilesize128x64x16_stage4";
        assert_eq!(short(name), "sm80_xmma_fprop_implicit_gemm_f32f32_tf3… tile 128x64x16");
    }
}
