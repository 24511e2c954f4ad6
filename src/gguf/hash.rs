//! The SHA-256 of a whole file, which is how a model is named in caches and run headers.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

/// The SHA-256 of a file's bytes in lower-case hexadecimal; read in pieces of 1 MiB, so files of any size will do.
///
/// ```
/// let sum = tripos::gguf::sha256_file(std::path::Path::new("models/tripos-tiny.gguf"))?;
/// assert_eq!(sum.len(), 64);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn sha256_file(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => hash.update(piece.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ```sh
    /// python3 -c "import sys; sys.stdout.write('abc' * 1000000)" | sha256sum
    /// ```
    #[test]
    fn equals_sha256sum_across_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc".repeat(1_000_000)).unwrap();
        assert_eq!(sha256_file(&path).unwrap(), "f4096a131e7e6ebfa7a512b5c299e13b065df34d15624ee1202ab394cc4d7e90");
        assert!(sha256_file(&folder.path().join("b")).is_err());
    }
}
