//! Displays the configuration in effect, without values that may be secret.

use std::time::Duration;

use ecs_discovery::inventory::selection::ClusterPattern;
use ecs_discovery::labels::TagSelection;

use super::{Account, Config, QueueAddress, conventions, queue_labels};

impl Config {
    /// Names, as the configuration file has them, and values.
    pub fn shown(&self) -> Vec<(String, String)> {
        let path = |path: &Option<std::path::PathBuf>| {
            path.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string())
        };
        let listen = self.listen.as_ref().map_or("none", |listen| listen.address());
        let intervals = &self.rules.intervals;
        let offered: Vec<_> = intervals.offered().iter().map(ToString::to_string).collect();
        let tags = match &*self.rules.tags_to_labels {
            TagSelection::None => "none".to_owned(),
            TagSelection::All => "*".to_owned(),
            TagSelection::Keys(keys) => keys.iter().cloned().collect::<Vec<_>>().join(", "),
        };
        let allowed_hosts = match &self.allowed_hosts {
            none if none.is_empty() => "none".to_owned(),
            hosts => hosts.iter().cloned().collect::<Vec<_>>().join(", "),
        };
        let event_queues = match &self.event_queues[..] {
            [] => "none".to_owned(),
            queues => {
                let labels = queue_labels(queues).into_iter().zip(queues);
                labels.map(|(label, queue)| self.shown_queue(&label, queue)).collect::<Vec<_>>().join(", ")
            }
        };
        let mut shown: Vec<(String, String)> = vec![
            ("directory".to_owned(), path(&self.directory)),
            ("file_layout".to_owned(), self.file_layout.to_string()),
            ("state_file".to_owned(), path(&self.state_file)),
            ("listen_address".to_owned(), listen.to_owned()),
            ("allowed_host".to_owned(), allowed_hosts),
            ("web_config_file".to_owned(), path(&self.web_config_file)),
            ("enable_lifecycle".to_owned(), self.enable_lifecycle.to_string()),
            ("allow_empty".to_owned(), self.allow_empty.to_string()),
            ("interval".to_owned(), length(self.interval)),
            ("event_queue".to_owned(), event_queues),
            ("reconcile_interval".to_owned(), length(self.reconcile_interval)),
            ("recheck_interval".to_owned(), length(self.recheck_interval)),
            ("max_staleness".to_owned(), length(self.max_staleness)),
            (
                "sts_region".to_owned(),
                self.sts_region.clone().unwrap_or_else(|| "the default region".to_owned()),
            ),
            ("api_share".to_owned(), self.api_share.to_string()),
            ("conventions".to_owned(), conventions::shown(&self.rules.conventions)),
            ("scrape_intervals".to_owned(), offered.join(", ")),
            ("default_scrape_interval_prefix".to_owned(), intervals.default_interval().to_string()),
            ("tags_to_labels".to_owned(), tags),
            ("meta_labels".to_owned(), self.rules.meta_labels.to_string()),
            ("service_tags".to_owned(), self.rules.service_tags.to_string()),
        ];
        let sources = self.accounts.iter().enumerate();
        shown.extend(sources.map(|(index, account)| (format!("sources[{index}]"), account.shown())));
        shown
    }

    /// A queue, and the credentials that it is read with.
    fn shown_queue(&self, label: &str, queue: &QueueAddress) -> String {
        match self.queue_role(queue) {
            Some(role) => format!("{label} (role of {})", role.account()),
            None => format!("{label} (own credentials)"),
        }
    }
}

impl Account {
    fn shown(&self) -> String {
        let account = self.role.as_ref().map_or("own account", |role| role.as_str());
        let regions = match &self.regions[..] {
            [] => "the default region".to_owned(),
            regions => regions.join(", "),
        };
        let clusters = match self.clusters.patterns() {
            [] => "all clusters".to_owned(),
            patterns => patterns.iter().map(ClusterPattern::as_str).collect::<Vec<_>>().join(", "),
        };
        // AWS does not treat an external id as a secret, but some users do.
        let external_id = if self.external_id.is_some() { "; with an external id" } else { "" };
        let session = self.session_name.as_ref().map(|name| format!("; session {name}")).unwrap_or_default();
        format!("{account}; {regions}; {clusters}{external_id}{session}")
    }
}

/// A duration in the format of Prometheus.
fn length(length: Duration) -> String {
    match length.as_secs() {
        _ if length == Duration::MAX => "never".to_owned(),
        seconds if length.subsec_millis() > 0 => format!("{seconds}s{}ms", length.subsec_millis()),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}
