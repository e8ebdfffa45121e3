use snapprune::profile::Row;

/// Whatever the text of an export, a profile or a plan: it is refused, or written and read again it is the same.
pub fn db_import(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(rows) = Row::of_lines(text, "fuzz") {
        let again =
            Row::of_lines(&Row::lines(&rows), "again").expect("what was read is written so that it can be read");
        assert_eq!(rows.len(), again.len());
    }
}
