//! A command as it is repeated.

/// The command as it was typed, without folders: they are nobody's business but the user's.
pub fn typed(words: impl Iterator<Item = String>) -> String {
    let word = |arg: String| {
        let last = arg.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        if last.contains(char::is_whitespace) {
            format!("'{last}'")
        } else {
            last
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
    }
}
