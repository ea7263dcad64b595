//! The endpoints of a task as targets: each endpoint belongs to the first convention and container that has it, and all
//! of them fit into a fixed number of bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::address::{Reachable, Reached};
use crate::conventions::environment::endpoints::DEFAULT_PATH;
use crate::conventions::{Endpoint, Said, Scheme, Scrape, Style};
use crate::finding::{Problem, Reason};
use crate::groups;
use crate::labels::VALUE_BYTES;
use crate::target::{Asked, Machine, Origin, ScrapeEndpoint, Target};
use crate::task_view::Placement;
use crate::text::brief;

use super::Rules;

/// The maximum number of bytes that one task may publish. A definition has up to 64 KiB, and each of its targets could
/// repeat all of it.
const TASK_BYTES: usize = 1024 * 1024;

/// The number of documents that contain a target: a target file, and the list that is served.
const DOCUMENTS: usize = 2;

/// The result of one endpoint.
pub(crate) enum Made {
    /// A target, and how it is reached.
    Target(Box<Target>, Reached),
    /// None, and why.
    Problem(Problem),
    /// None, since this convention has the endpoint already; nobody needs to act.
    GivenUp(Arc<str>),
}

/// The addresses and bytes that the containers of a task examined so far use.
pub(super) struct Taken {
    /// The endpoints that are scraped already.
    places: BTreeMap<ScrapeEndpoint, Owner>,
    /// Bytes that are left in one document.
    room: usize,
}

/// Whose endpoint it is.
struct Owner {
    /// Which of the definition's containers.
    container: usize,
    convention: Arc<str>,
}

impl Taken {
    pub(super) fn new() -> Self {
        Self { places: BTreeMap::new(), room: TASK_BYTES / DOCUMENTS }
    }

    /// The target of each endpoint of a container, or why there is none.
    pub(super) fn endpoints(
        &mut self,
        at: &Reachable<'_>,
        scrape: &Scrape,
        is_asked_for: bool,
        rules: &Rules,
        warnings: &mut Vec<String>,
    ) -> Vec<Made> {
        let (mut is_full, mut too_long) = (false, BTreeSet::new());
        let endpoint = |endpoint: &Result<Endpoint, Problem>| {
            let endpoint = endpoint.as_ref().map_err(Problem::clone)?;
            let reached = at.reach(endpoint.port)?;
            let place = place(endpoint, reached);
            if let Some(owner) = self.places.get(&place) {
                return owner
                    .refuses(&place, at, &scrape.said, is_asked_for)
                    .map_or_else(|owner| Ok(Made::GivenUp(owner)), Err);
            }
            let is_variables = matches!(scrape.said.style, Style::Variables { .. });
            let target = Target {
                endpoint: place,
                interval: endpoint.interval.as_ref().unwrap_or(rules.intervals.default_interval()).clone(),
                asked: Asked {
                    interval: endpoint.interval.is_some(),
                    path: endpoint.path.is_some(),
                    // The variables publish no scheme that is Prometheus's own.
                    scheme: endpoint.scheme.is_some_and(|scheme| !is_variables || scheme == Scheme::Https),
                },
                origin: origin(at, reached, &scrape.said, rules),
            };
            // After the first endpoint that does not fit nothing is measured, so the work is proportional to the
            // published bytes.
            is_full = is_full || !self.fits(&target, &mut too_long);
            if is_full {
                let detail = format!(
                    "its task would publish more than {TASK_BYTES} bytes; use fewer endpoints, or shorter labels and tags"
                );
                return Err(Problem::new(Reason::InvalidEndpoint, detail));
            }
            let container = at.container_definition;
            let owner = Owner { container, convention: scrape.said.convention.clone() };
            self.places.insert(target.endpoint.clone(), owner);
            Ok(Made::Target(Box::new(target), reached))
        };
        let endpoints = scrape.endpoints.iter().map(endpoint);
        let endpoints = endpoints.map(|made| made.unwrap_or_else(Made::Problem)).collect();
        warnings.extend(shortened(&too_long));
        endpoints
    }

    /// Reserves the bytes of a target if there are enough, and records which of its labels are too long.
    fn fits(&mut self, target: &Target, too_long: &mut BTreeSet<String>) -> bool {
        let labels = target.all_labels();
        let Some(room) = self.room.checked_sub(groups::size(target, &labels)) else { return false };
        self.room = room;
        too_long.extend(labels.too_long().iter().map(|name| brief(name).into_owned()));
        true
    }
}

/// A warning about labels that are cut or left out.
fn shortened(labels: &BTreeSet<String>) -> Option<String> {
    let first = labels.first()?;
    let others = match labels.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Some(format!("labels longer than {VALUE_BYTES} bytes are cut or left out: {first:?}{others}"))
}

/// Where the endpoint is scraped. What it leaves open is compared as Prometheus's default.
fn place(endpoint: &Endpoint, reached: Reached) -> ScrapeEndpoint {
    let path = endpoint.path.as_ref();
    let query = path.map_or_else(String::new, |path| {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&path.parameters).finish()
    });
    ScrapeEndpoint {
        address: reached.address,
        path: path.map_or_else(|| DEFAULT_PATH.into(), |path| path.path.clone()),
        query: query.into(),
        scheme: endpoint.scheme.unwrap_or(Scheme::Http),
    }
}

impl Owner {
    /// The problem of another container or convention that asks for the owner's endpoint; or the owner's convention, if
    /// that is no problem.
    fn refuses(
        &self,
        place: &ScrapeEndpoint,
        at: &Reachable<'_>,
        said: &Said,
        is_asked_for: bool,
    ) -> Result<Problem, Arc<str>> {
        let is_variables = matches!(said.style, Style::Variables { .. });
        let is_own = self.container == at.container_definition;
        if !is_asked_for || (is_own && (!is_variables || self.convention != said.convention)) {
            return Err(self.convention.clone());
        }
        let (place, name) = (place.to_string(), brief(&at.definition.containers[self.container].name));
        let place = brief(&place);
        let detail = format!("{place} is scraped already, for the container {name:?} of the same task");
        Ok(Problem::new(Reason::DuplicateEndpoint, detail))
    }
}

fn origin(at: &Reachable<'_>, reached: Reached, said: &Arc<Said>, rules: &Rules) -> Origin {
    let machine = match (at.task.placement, at.task.placement.instance()) {
        (Placement::Host(host), _) => Machine::Known(host.clone()),
        (_, Some(id)) => Machine::Named(id.clone()),
        (_, None) => Machine::None,
    };
    Origin {
        cluster: at.task.cluster.clone(),
        task: at.task.task.clone(),
        definition: at.definition.clone(),
        machine,
        service: at.task.service.known().cloned(),
        container_definition: at.container_definition,
        container: at.container,
        container_port: reached.container_port,
        said: said.clone(),
        tags_to_labels: rules.tags_to_labels.clone(),
        meta_labels: rules.meta_labels.clone(),
    }
}
