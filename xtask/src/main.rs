//! Project tasks: `cargo xtask test | tidy`.

fn main() {}
