//! What holds for any text and any world. A case that once failed is pasted in as a named test.

mod bounds;
mod events;
mod texts;
mod worlds;
