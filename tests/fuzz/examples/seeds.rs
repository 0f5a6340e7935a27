//! Writes the seeds of every target into a folder, a folder each.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_default());
    for target in fuzz::TARGETS {
        let folder = folder.join(target.name);
        fs_err::create_dir_all(&folder)?;
        for (index, seed) in (target.seeds)().iter().enumerate() {
            fs_err::write(folder.join(format!("seed-{index}")), seed)?;
        }
    }
    Ok(())
}
