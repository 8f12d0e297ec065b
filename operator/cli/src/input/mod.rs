//! What verbs are given: files to texts, texts to documents that know their lines, documents to the objects of a world.

pub(crate) mod document;
mod octal;
pub mod place;
pub mod sources;
pub mod world;

pub use place::{Fault, Place};
pub use sources::Text;
pub use world::World;
