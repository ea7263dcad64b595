//! What happens to tasks besides their own way: containers that stop and restart, Spot interruptions, hosts that die.

use super::region::Region;
use super::task::{Container, Task};

impl Region {
    /// Changes a task as `change` does, under the next version, and tells of it by an event.
    ///
    /// # Panics
    /// When there is no such task.
    pub fn change_task(&mut self, task_arn: &str, change: impl FnOnce(&mut Task)) {
        self.tick();
        change(self.task_mut(task_arn));
        self.changed(task_arn);
    }

    /// Lets a container stop, while its task goes on.
    ///
    /// # Panics
    /// When there is no such task.
    pub fn stop_container(&mut self, task_arn: &str, name: &str) {
        self.change_task(task_arn, |task| {
            for container in task.containers.iter_mut().filter(|container| container.name == name) {
                container.last_status = Some("STOPPED".to_owned());
                container.exit_code = Some(1);
            }
        });
    }

    /// Lets a container stop and start again, by its restart policy: with another runtime id, and in bridge mode with
    /// other dynamic ports.
    ///
    /// # Panics
    /// When there is no such task.
    pub fn restart_container(&mut self, task_arn: &str, name: &str) {
        self.stop_container(task_arn, name);
        let runtime_id = self.ids.hex("runtime", 64);
        self.bind_ports(task_arn, |container: &Container| container.name == name);
        self.change_task(task_arn, |task| {
            for container in task.containers.iter_mut().filter(|container| container.name == name) {
                container.last_status = Some("RUNNING".to_owned());
                container.exit_code = None;
                container.runtime_id = Some(runtime_id.clone());
            }
        });
    }

    /// Begins to end a task because Spot capacity is needed elsewhere; `Region::advance` and `Region::stop` go on.
    ///
    /// # Panics
    /// When there is no such task.
    pub fn begin_spot_stop(&mut self, task_arn: &str) {
        self.begin_end(task_arn, "SpotInterruption", "Your Spot Task was interrupted.");
    }

    /// Ends an EC2 host or an external machine: its tasks are stopped, without the steps in between.
    ///
    /// # Panics
    /// When there is no such container instance.
    pub fn terminate_host(&mut self, container_instance_arn: &str) {
        let now = self.tick();
        let host = self.container_instance_mut(container_instance_arn);
        host.status = "INACTIVE".to_owned();
        host.agent_connected = false;
        let machine = host.ec2_instance_id.clone().unwrap_or_default();
        if let Some(instance) = self.instances.get_mut(&machine) {
            instance.state = "terminated".to_owned();
            instance.private_ip_address = None;
            instance.public_ip_address = None;
            instance.ipv6_address = None;
            instance.private_dns_name = None;
            instance.subnet_id = None;
            instance.vpc_id = None;
        }
        if let Some(node) = self.managed_nodes.get_mut(&machine) {
            node.ping_status = Some("ConnectionLost".to_owned());
        }
        let all = self.clusters.values().flat_map(|cluster| cluster.tasks.values());
        let is_there = |task: &&Task| {
            task.container_instance_arn.as_deref() == Some(container_instance_arn)
                && task.last_status != "STOPPED"
        };
        let tasks: Vec<_> = all.filter(is_there).map(|task| task.task_arn.clone()).collect();
        for arn in tasks {
            self.release(&arn, now);
            let task = self.task_mut(&arn);
            task.desired_status = "STOPPED".to_owned();
            task.last_status = "STOPPED".to_owned();
            task.stopping_at.get_or_insert(now);
            task.stop_code = Some("TerminationNotice".to_owned());
            task.stopped_reason = Some(format!("Host EC2 (instance {machine}) terminated."));
            self.changed(&arn);
        }
    }
}
