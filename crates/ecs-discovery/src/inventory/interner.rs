//! Interner that many tasks have in common, kept once: a thousand tasks of one service differ in little but their ids.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{Tags, Task};

/// The texts of one source's tasks. Only looked up, so that its order reaches no output.
#[derive(Debug, Default)]
pub struct Interner(HashSet<Arc<str>>);

impl Interner {
    /// Makes a task share what it has in common with others; ids and ARNs of its own are left alone.
    pub fn share(&mut self, task: &mut Task) {
        self.shared(task.definition.text_mut());
        if let Some(arn) = &mut task.container_instance {
            self.shared(arn.text_mut());
        }
        let interface = task.network_interface.as_mut().and_then(|interface| interface.subnet_id.as_mut());
        let texts = [
            task.capacity_provider.as_mut(),
            task.group.as_mut(),
            task.started_by.as_mut(),
            task.availability_zone.as_mut(),
            task.health_status.as_mut(),
            task.platform_family.as_mut(),
            task.platform_version.as_mut(),
            interface,
        ];
        texts.into_iter().flatten().for_each(|text| self.shared(text));
        for container in &mut task.containers {
            self.shared(&mut container.name);
            let texts = [container.image.as_mut(), container.health_status.as_mut()];
            texts.into_iter().flatten().for_each(|text| self.shared(text));
        }
        for (_, settings) in &mut task.overrides {
            settings.names_mut().for_each(|name| self.shared(name));
        }
        self.share_tags(&mut task.tags);
    }

    fn share_tags(&mut self, tags: &mut Tags) {
        for (key, value) in tags {
            self.shared(key);
            self.shared(value);
        }
    }

    fn shared(&mut self, text: &mut Arc<str>) {
        match self.0.get(&**text) {
            Some(known) => *text = known.clone(),
            None => {
                self.0.insert(text.clone());
            }
        }
    }

    /// Forgets what no task has any more.
    pub(super) fn collect(&mut self) {
        self.0.retain(|text| Arc::strong_count(text) > 1);
    }
}
