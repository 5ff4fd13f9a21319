//! fanwire.
