//! A command as it is repeated.

/// The command as it was typed, without folders: they are nobody's business but the user's.
pub fn typed(words: impl Iterator<Item = String>) -> String {
    let word = |arg: String| {
        let last = arg
            .trim_end_matches(['/', '\\'])
            .rsplit(['/', '\\'])
            .next()
            .unwrap_or_default()
            .to_owned();
        let plain = |c: char| c.is_alphanumeric() || "_@%+=:,.-".contains(c);
        match !last.is_empty() && last.chars().all(plain) {
            true => last,
            false => format!("'{}'", last.replace('\'', r"'\''")),
        }
    };
    let words: Vec<String> = words.map(word).collect();
    format!("snapprune {}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn a_command_is_repeated_without_folders() {
        let words = ["/home/a/model.onnx", "--cpu", "-o", "../out/my model.onnx"];
        let command = typed(words.into_iter().map(str::to_owned));
        assert_eq!(command, "snapprune model.onnx --cpu -o 'my model.onnx'");
        let command = typed(["a l's $(x).onnx".to_owned()].into_iter());
        assert_eq!(command, r"snapprune 'a l'\''s $(x).onnx'");
    }
}
