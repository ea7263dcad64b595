//! Restores facts from the records of the state file.

use std::collections::BTreeMap;
use std::sync::Arc;

use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::inventory::interner::Interner;
use ecs_discovery::inventory::saved::{Saved, SavedScope, SavedService, SavedTask};
use ecs_discovery::model::{ContainerInstance, Host, InstanceId, Names, ServiceName, TaskDefinition};

use super::record::{Kind, Lists, Publication, Record, parsed, service_name};

/// Collects records one after the other.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The newest publication.
    pub(super) publication: Option<Publication>,
    sources: BTreeMap<String, Source>,
    /// The source of the records that follow.
    source: Option<String>,
    /// The cluster of the services and tasks that follow.
    cluster: Option<ClusterArn>,
    /// The lists of names of this publication.
    lists: Lists,
    /// Shares equal texts: otherwise 100,000 tasks would take twice the memory until they are restored.
    texts: Interner,
}

#[derive(Debug, Default)]
struct Source {
    definitions: BTreeMap<TaskDefinitionArn, Arc<TaskDefinition>>,
    container_instances: BTreeMap<ContainerInstanceArn, ContainerInstance>,
    hosts: BTreeMap<InstanceId, Arc<Host>>,
    clusters: BTreeMap<ClusterArn, Cluster>,
}

/// A cluster, and its services and tasks.
#[derive(Debug)]
struct Cluster {
    /// Without services and tasks.
    scope: SavedScope,
    services: BTreeMap<ServiceName, SavedService>,
    tasks: BTreeMap<TaskArn, SavedTask>,
}

impl Reader {
    /// Takes the next record; an error says why it is invalid.
    pub(super) fn take(&mut self, record: Record<'_>) -> Result<(), String> {
        match record {
            Record::Revision(publication) => {
                self.publication = Some(publication);
                (self.source, self.cluster, self.lists) = (None, None, Lists::default());
            }
            Record::Source(name) => {
                self.sources.entry(name.clone().into_owned()).or_default();
                (self.source, self.cluster) = (Some(name.into_owned()), None);
            }
            Record::Gone(Kind::Source, name) => drop(self.sources.remove(&*name)),
            record => {
                let source = self.source.as_ref().and_then(|name| self.sources.get_mut(name));
                let source = source.ok_or("a record has no source")?;
                let has_names = self.publication.is_some_and(|publication| publication.has_names);
                let unnamed = if has_names { Names::all() } else { Names::default() };
                let names = (&mut self.lists, unnamed);
                source.take(record, &mut self.cluster, names, &mut self.texts)?;
            }
        }
        Ok(())
    }

    /// The facts by the name of their source.
    pub(super) fn sources(self) -> BTreeMap<String, Saved> {
        self.sources.into_iter().map(|(name, source)| (name, source.saved())).collect()
    }
}

impl Source {
    fn take(
        &mut self,
        record: Record<'_>,
        cluster: &mut Option<ClusterArn>,
        (lists, unnamed): (&mut Lists, Names),
        texts: &mut Interner,
    ) -> Result<(), String> {
        match record {
            Record::Definition(definition) => {
                let definition = definition.fact(lists)?;
                self.definitions.insert(definition.arn.clone(), Arc::new(definition));
            }
            Record::ContainerInstance { arn, instance } => {
                let arn = parsed(ContainerInstanceArn::parse(&arn))?;
                let instance = instance.map(|id| InstanceId::new(&id));
                self.container_instances.insert(arn.clone(), ContainerInstance { arn, instance });
            }
            Record::Host(host) => {
                let host = host.fact();
                self.hosts.insert(host.id.clone(), Arc::new(host));
            }
            Record::Cluster(scope) => {
                let scope = scope.fact()?;
                let arn = scope.cluster.arn.clone();
                match self.clusters.get_mut(&arn) {
                    Some(known) => known.scope = scope,
                    None => {
                        let (services, tasks) = (BTreeMap::new(), BTreeMap::new());
                        self.clusters.insert(arn.clone(), Cluster { scope, services, tasks });
                    }
                }
                *cluster = Some(arn);
            }
            Record::In(arn) => *cluster = Some(parsed(ClusterArn::parse(&arn))?),
            Record::Service(service) => {
                let saved = service.fact()?;
                self.cluster(cluster.as_ref())?.services.insert(saved.name.clone(), saved);
            }
            Record::Task(task) => {
                let mut saved = task.fact(lists, unnamed)?;
                texts.share(Arc::make_mut(&mut saved.task));
                self.cluster(cluster.as_ref())?.tasks.insert(saved.task.arn.clone(), saved);
            }
            Record::Gone(Kind::Definition, arn) => {
                self.definitions.remove(&parsed(TaskDefinitionArn::parse(&arn))?);
            }
            Record::Gone(Kind::ContainerInstance, arn) => {
                self.container_instances.remove(&parsed(ContainerInstanceArn::parse(&arn))?);
            }
            Record::Gone(Kind::Host, id) => drop(self.hosts.remove(&InstanceId::new(&id))),
            Record::Gone(Kind::Cluster, arn) => {
                self.clusters.remove(&parsed(ClusterArn::parse(&arn))?);
            }
            Record::Gone(Kind::Service, name) => {
                self.cluster(cluster.as_ref())?.services.remove(&service_name(&name)?);
            }
            Record::Gone(Kind::Task, arn) => {
                self.cluster(cluster.as_ref())?.tasks.remove(&parsed(TaskArn::parse(&arn))?);
            }
            Record::Revision(_) | Record::Source(_) | Record::Gone(Kind::Source, _) => {}
        }
        Ok(())
    }

    fn cluster(&mut self, cluster: Option<&ClusterArn>) -> Result<&mut Cluster, String> {
        let found = cluster.and_then(|arn| self.clusters.get_mut(arn));
        Ok(found.ok_or("a service or task has no cluster")?)
    }

    fn saved(self) -> Saved {
        let scope = |Cluster { scope, services, tasks }: Cluster| SavedScope {
            services: services.into_values().collect(),
            tasks: tasks.into_values().collect(),
            ..scope
        };
        Saved {
            scopes: self.clusters.into_values().map(scope).collect(),
            definitions: self.definitions.into_values().collect(),
            container_instances: self.container_instances.into_values().collect(),
            hosts: self.hosts.into_values().collect(),
        }
    }
}
