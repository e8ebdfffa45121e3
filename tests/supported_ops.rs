//! `SUPPORTED-OPS.md` is what the registry says. `make ops` writes it anew.

#[test]
fn the_table_of_operators_is_current() -> std::io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/SUPPORTED-OPS.md");
    let table = snapprune::channels::supported_ops_table();
    if std::env::var_os("SNAPPRUNE_UPDATE").is_some() {
        std::fs::write(path, &table)?;
    }
    assert!(
        std::fs::read_to_string(path)? == table,
        "SUPPORTED-OPS.md is stale: run `make ops`"
    );
    Ok(())
}
