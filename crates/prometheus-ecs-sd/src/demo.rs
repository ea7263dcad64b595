//! A simulated fleet for the demo: the simulated AWS, and containers that answer real scrapes.
//!
//! The program itself runs unchanged; only the connector below its AWS client differs.

pub mod containers;
pub mod fleet;
pub mod ports;
