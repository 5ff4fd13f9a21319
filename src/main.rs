//! fanwire.
fn main() {}
