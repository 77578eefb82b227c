//! The command line of containerarchive.

fn main() {}
