//! Writes the licence texts of all that the programs are linked from: `cargo run -p tests --bin third-party`.

use anyhow::{Context as _, Result};
use tests::{third_party, workspace};

fn main() -> Result<()> {
    let path = workspace::root().join(third_party::FILE);
    let text = third_party::text(&workspace::targets()?)?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
