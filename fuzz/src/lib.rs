//! What the fuzz targets have in common.
//!
//! A target, one file each in `targets`, is a function of bytes that panics where a property does not hold.
//! With the feature `libfuzzer` its program is libFuzzer's. Without it the program takes the files of inputs that it
//! is to run, for a debugger, and needs no C++ compiler.

pub mod facts;
pub mod published;
pub mod wire;

use std::{env, fs, io};

/// Makes a program of a target.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! target {
    ($target:path) => {
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $target(input));
    };
}

/// Makes a program of a target.
#[cfg(not(feature = "libfuzzer"))]
#[macro_export]
macro_rules! target {
    ($target:path) => {
        fn main() -> std::io::Result<()> {
            $crate::run($target)
        }
    };
}

/// Runs the inputs whose files the command line names.
pub fn run(target: fn(&[u8])) -> io::Result<()> {
    for path in env::args_os().skip(1) {
        target(&fs::read(path)?);
    }
    Ok(())
}
