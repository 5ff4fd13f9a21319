//! A broker with two API keys: one that may control connections of others, and one that may not.

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

/// Signs tokens.
pub(crate) const SECRET: &str = "a secret for these tests, long enough";
/// A key that may do everything.
pub(crate) const ADMIN: &str = "fwk_admin_of_these_tests";
/// A key that may publish.
pub(crate) const WRITER: &str = "fwk_writer_of_these_tests";

/// The configuration of both, in which the writer may publish to this pattern.
pub(crate) fn with_keys(writer_publishes: &str) -> String {
    let hash = |key: &str| HEXLOWER.encode(digest(&SHA256, key.as_bytes()).as_ref());
    format!(
        "auth_hmac_secret = \"{SECRET}\"\n\
         [[key]]\nname = \"admin\"\nhash = \"sha256:{}\"\npublish = [\"**\"]\nsubscribe = [\"**\"]\nadmin = true\n\
         [[key]]\nname = \"writer\"\nhash = \"sha256:{}\"\npublish = [\"{writer_publishes}\"]\n",
        hash(ADMIN),
        hash(WRITER)
    )
}
