//! The configuration in effect; the caller removes secrets.

use ecs_discovery::text::clipped;
use maud::{Markup, html};

/// Names and their values.
pub(super) fn section(configuration: &[(String, String)]) -> Markup {
    html! {
        section #configuration aria-labelledby="configuration-heading" {
            h2 #configuration-heading { "Configuration" }
            @if configuration.is_empty() {
                p.none { "Not known yet." }
            } @else {
                table.labels {
                    caption { "In effect, without secrets" }
                    thead { tr { th scope="col" { "option" } th scope="col" { "value" } } }
                    tbody {
                        @for (name, value) in configuration {
                            tr { th scope="row" { code { (name) } } td { (clipped(value)) } }
                        }
                    }
                }
            }
        }
    }
}
