//! The files that reports go to: tried before anything is measured, so that no run is made in vain.

use std::fs::{self, OpenOptions};
use std::path::Path;

use crate::error::{Error, Result};

/// Sees whether a report can be written to `path`; leaves what is there alone.
///
/// # Errors
/// When it cannot, with the path.
pub fn check(path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let is_new = !path.exists();
    // Opened for appending, which finds out as much as writing would and leaves an earlier report as it is.
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|source| failed(path, &source))?;
    if is_new {
        // It is written when there is something to say.
        let _ = fs::remove_file(path);
    }
    Ok(())
}

/// Writes a report.
///
/// # Errors
/// When it cannot be written, with the path.
pub fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|source| failed(path, &source))
}

fn failed(path: &Path, source: &std::io::Error) -> Error {
    Error::Usage(format!("writing the report to {}: {source}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_tried_without_a_trace() {
        let path = std::env::temp_dir().join(format!("loadtest-output-{}", std::process::id()));
        check(Some(&path)).unwrap();
        assert!(!path.exists());
        write(&path, "before").unwrap();
        check(Some(&path)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        fs::remove_file(&path).unwrap();
        let error = check(Some(Path::new("/nonexistent/report.json"))).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/report.json"), "{error}");
        assert!(write(Path::new("/dev/full"), "text").unwrap_err().to_string().contains("/dev/full"));
    }
}
