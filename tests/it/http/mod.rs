//! What the HTTP layer is made of, and the layer.

mod fingerprints;
mod keys;
