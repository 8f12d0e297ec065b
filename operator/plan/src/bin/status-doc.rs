//! Prints `docs/status.md`.

fn main() {
    print!("{}", ccos_plan::wire::unheld::status_page());
}
