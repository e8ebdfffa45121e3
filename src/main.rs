//! The `snapprune` command.

fn main() -> std::process::ExitCode {
    snapprune::cli::main()
}
