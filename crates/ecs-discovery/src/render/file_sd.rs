//! The JSON of Prometheus' `file_sd_configs`: one group a target, one line a group.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config>

use std::io::{self, Write};

use crate::target::Target;

/// Writes the groups of `targets` in their order; `[]` when there is none. Fails only where `out` does.
pub fn write<'a>(out: &mut impl Write, targets: impl IntoIterator<Item = &'a Target>) -> io::Result<()> {
    let mut group = Vec::new();
    for target in targets {
        let separator: &[u8] = if group.is_empty() { b"[\n" } else { b",\n" };
        group.clear();
        group.extend_from_slice(separator);
        write_group(&mut group, target)?;
        out.write_all(&group)?;
    }
    out.write_all(if group.is_empty() { b"[]\n" } else { b"\n]\n" })
}

/// Neither an address nor a label's name has a character that JSON escapes; values may have any.
fn write_group(group: &mut Vec<u8>, target: &Target) -> io::Result<()> {
    write!(group, r#"{{"targets":["{}"],"labels":{{"#, target.endpoint.address)?;
    for (position, (name, value)) in target.labels().iter().enumerate() {
        if position > 0 {
            group.push(b',');
        }
        group.push(b'"');
        group.extend_from_slice(name.as_bytes());
        group.extend_from_slice(b"\":");
        serde_json::to_writer(&mut *group, value)?;
    }
    group.extend_from_slice(b"}}");
    Ok(())
}
