//! The JSON of Prometheus' `file_sd_configs`: one group a target, one line a group.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config>

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::labels::Labels;
use crate::target::Target;

/// Writes the groups of `targets` in their order; `[]` when there is none. Fails only where `out` does.
pub fn write<'a>(out: &mut impl Write, targets: impl IntoIterator<Item = &'a Target>) -> io::Result<()> {
    let mut any = false;
    for target in targets {
        out.write_all(if any { b",\n" } else { b"[\n" })?;
        serde_json::to_writer(&mut *out, &Group(target)).map_err(io::Error::from)?;
        any = true;
    }
    out.write_all(if any { b"\n]\n" } else { b"[]\n" })
}

struct Group<'a>(&'a Target);

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut group = serializer.serialize_struct("Group", 2)?;
        group.serialize_field("targets", &[self.0.endpoint.address])?;
        group.serialize_field("labels", &LabelMap(self.0.labels()))?;
        group.end()
    }
}

struct LabelMap<'a>(Labels<'a>);

impl Serialize for LabelMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}
