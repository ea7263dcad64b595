//! Tests which lists are rendered and how much memory they take: the test controls the turn, the memory and the
//! readers.

use std::net::Ipv4Addr;

use axum::body::Bytes;
use ecs_discovery::arn::{ClusterArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::derive::{Derived, Rules, derive};
use ecs_discovery::interval::Intervals;
use ecs_discovery::model::{
    Cluster, Container, ContainerDefinition, NetworkInterface, NetworkMode, Settings, Status, Task,
    TaskDefinition,
};
use ecs_discovery::snapshot::Scope;
use ecs_discovery::task_view::{Definition, Placement, TaskService, TaskView};
use futures_util::FutureExt;
use hyper::body::Body;

use super::kept::{ALLOWANCE, NEW, UNDISTURBED};
use super::*;
use crate::sinks::http::connection_limit::Hangup;

const CLUSTERS: usize = 8;
const TASKS: usize = 24;

/// Clusters of equal size.
struct Fleet {
    cache: RenderCache,
    snapshot: Snapshot,
    number: u64,
}

impl Fleet {
    fn new() -> Self {
        let mut fleet = Self { cache: RenderCache::default(), snapshot: Snapshot::default(), number: 0 };
        fleet.change(0..CLUSTERS);
        fleet
    }

    /// Derives clusters again, and publishes that.
    fn change(&mut self, clusters: impl IntoIterator<Item = usize>) {
        for number in clusters {
            let (arn, derived) = cluster(&format!("c{number}"), |_| 4000);
            self.snapshot.scopes.insert(arn, Scope::fresh(Arc::new(derived), Duration::ZERO));
        }
        self.number += 1;
    }

    fn published(&self) -> Published {
        let snapshot = Arc::new(self.snapshot.clone());
        Published { snapshot, number: self.number, ..Published::default() }
    }

    async fn ask(&self, query: &str) -> Option<Arc<List>> {
        self.ask_for(query, Encoding::Identity).await
    }

    async fn ask_for(&self, query: &str, encoding: Encoding) -> Option<Arc<List>> {
        let filter = Filter::parse(query, &Intervals::default()).unwrap();
        self.cache.list(&self.published(), &filter, encoding).await
    }

    fn renew(&self) {
        self.cache.renew(&self.published());
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.cache.0.kept()
    }

    fn taken(&self) -> usize {
        self.cache.0.memory.taken()
    }

    /// Nothing is rendered until the turn is given back.
    fn take_turn(&self) {
        assert!(!std::mem::replace(&mut self.kept().is_making, true));
    }

    fn give_turn_back(&self) {
        let mut kept = self.kept();
        kept.is_making = false;
        self.cache.0.start(&mut kept);
    }

    /// The number of clusters of each waiting list, in the order of rendering.
    fn queue(&self) -> Vec<(usize, Encoding)> {
        let kept = self.kept();
        let clusters = |selection: &Selection| selection.unordered().count() / TASKS;
        kept.queue.values().map(|job| (clusters(&job.key.0), job.key.1)).collect()
    }

    /// Waits until nothing is being rendered and nothing waits.
    async fn idle(&self) {
        while self.kept().is_making {
            tokio::task::yield_now().await;
        }
    }
}

/// A cluster whose targets have the given sizes, and about a kilobyte more.
fn cluster(name: &str, size: impl Fn(usize) -> usize) -> (ClusterArn, Derived) {
    let place = "eu-west-1:123456789012";
    let arn = ClusterArn::parse(&format!("arn:aws:ecs:{place}:cluster/{name}")).unwrap();
    let about = Arc::new(Cluster { arn: arn.clone(), tags: Vec::new() });
    let running = |number: usize| {
        let definition =
            TaskDefinitionArn::parse(&format!("arn:aws:ecs:{place}:task-definition/web:{}", number + 1));
        let settings = [("PROMETHEUS", "true"), ("PROMETHEUS_TAGS", &*"x".repeat(size(number)))];
        let container = ContainerDefinition {
            name: "app".into(),
            environment: Settings::from_pairs(settings, &ecs_discovery::model::Names::default()),
            secrets: Vec::new(),
            docker_labels: Vec::new(),
            port_mappings: Vec::new(),
        };
        let definition = Arc::new(TaskDefinition {
            arn: definition.unwrap(),
            network_mode: NetworkMode::Awsvpc,
            containers: vec![container],
            tags: Vec::new(),
            names: ecs_discovery::model::Names::default(),
        });
        let address = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap());
        let interface = NetworkInterface { private_ipv4: Some(address), ..NetworkInterface::default() };
        let container = Container {
            name: "app".into(),
            arn: None,
            image: None,
            runtime_id: None,
            last_status: Status::Running,
            health_status: None,
            private_ipv4: Some(address),
            ipv6: None,
            network_bindings: Vec::new(),
        };
        let task = Task {
            arn: TaskArn::parse(&format!("arn:aws:ecs:{place}:task/{name}/{number}")).unwrap(),
            definition: definition.arn.clone(),
            launch_type: None,
            capacity_provider: None,
            group: None,
            started_by: None,
            availability_zone: None,
            desired_status: Status::Running,
            last_status: Status::Running,
            health_status: None,
            platform_family: None,
            platform_version: None,
            container_instance: None,
            network_interface: Some(interface),
            containers: vec![container],
            overrides: Vec::new(),
            tags: Vec::new(),
            names: ecs_discovery::model::Names::default(),
        };
        (Arc::new(task), definition)
    };
    let running: Vec<_> = (0..TASKS).map(running).collect();
    let views = running.iter().map(|(task, definition)| TaskView {
        cluster: &about,
        task,
        definition: Definition::Known(definition),
        placement: Placement::Nowhere,
        service: TaskService::None,
        partial: None,
    });
    let derived = derive(views, &Rules::default());
    assert_eq!((derived.targets.len(), derived.findings.len()), (TASKS, 0));
    (arn, derived)
}

/// A filter for some of the clusters, a different one for each number below 2⁸ - 1.
fn some(number: usize) -> String {
    let chosen = (0..CLUSTERS).filter(|cluster| (number + 1) >> cluster & 1 == 1);
    chosen.map(|cluster| format!("cluster=c{cluster}")).collect::<Vec<_>>().join("&")
}

fn bytes(list: Arc<List>) -> Vec<u8> {
    let mut reading = list.read(Hangup::default());
    let mut at = std::task::Context::from_waker(std::task::Waker::noop());
    let mut all = Vec::new();
    while let std::task::Poll::Ready(Some(Ok(frame))) = std::pin::Pin::new(&mut reading).poll_frame(&mut at) {
        all.extend(frame.into_data().unwrap());
    }
    assert!(reading.is_end_stream());
    all
}

fn is_hung_up(connection: &Hangup) -> bool {
    connection.hung_up().now_or_never().is_some()
}

#[tokio::test]
async fn a_list_is_made_once_and_again_when_targets_change() {
    let mut fleet = Fleet::new();
    let first = fleet.ask("").await.unwrap();
    assert!(Arc::ptr_eq(&fleet.ask("").await.unwrap(), &first));
    // A refresh without changes.
    fleet.change([]);
    fleet.renew();
    assert!(Arc::ptr_eq(&fleet.ask("").await.unwrap(), &first));
    let before = fleet.published();
    fleet.change([0]);
    fleet.renew();
    let second = fleet.ask("").await.unwrap();
    assert!(!Arc::ptr_eq(&second, &first));
    // A request that read the snapshot before it changed.
    let late = fleet.cache.list(&before, &Filter::default(), Encoding::Identity).await;
    assert!(Arc::ptr_eq(&late.unwrap(), &second));
    assert_eq!(bytes(first), bytes(second));
}

#[tokio::test]
async fn a_list_that_is_not_requested_any_more_is_not_rendered_again() {
    let mut fleet = Fleet::new();
    fleet.ask("").await;
    fleet.change([0]);
    fleet.renew();
    fleet.idle().await;
    assert_eq!(fleet.kept().lists.len(), 1);
    fleet.change([0]);
    fleet.renew();
    fleet.idle().await;
    assert_eq!((fleet.kept().lists.len(), fleet.taken()), (0, 0));
}

#[tokio::test]
async fn filters_that_select_the_same_targets_share_a_list_until_it_changes() {
    let mut fleet = Fleet::new();
    let whole = fleet.ask("").await.unwrap();
    for number in 0..70 {
        let everything = format!("cluster=*&cluster=none-{number}&interval=1m");
        assert!(Arc::ptr_eq(&fleet.ask(&everything).await.unwrap(), &whole));
    }
    let one = fleet.ask("cluster=c1").await.unwrap();
    assert!(Arc::ptr_eq(&fleet.ask("cluster=*1&cluster=c1&region=eu-*").await.unwrap(), &one));
    assert_eq!((fleet.kept().lists.len(), fleet.taken()), (2, whole.bytes() + one.bytes()));
    fleet.change([0, 2, 3]);
    fleet.renew();
    assert!(Arc::ptr_eq(&fleet.ask("cluster=c1").await.unwrap(), &one));
    fleet.change([1]);
    assert!(!Arc::ptr_eq(&fleet.ask("cluster=c1").await.unwrap(), &one));
}

#[tokio::test]
async fn a_filter_that_currently_selects_everything_has_its_own_place() {
    let mut fleet = Fleet::new();
    let named = some(254);
    let list = fleet.ask(&named).await.unwrap();
    assert!(Arc::ptr_eq(&fleet.ask(&named).await.unwrap(), &list));
    let (arn, derived) = cluster("other", |_| 0);
    fleet.snapshot.scopes.insert(arn, Scope::fresh(Arc::new(derived), Duration::ZERO));
    fleet.number += 1;
    fleet.take_turn();
    fleet.renew();
    assert_eq!(fleet.queue(), [(CLUSTERS + 1, Encoding::Identity)]);
    // Nothing in it has changed.
    assert!(Arc::ptr_eq(&fleet.ask(&named).await.unwrap(), &list));
    fleet.change([0]);
    fleet.renew();
    assert_eq!(fleet.queue(), [(CLUSTERS, Encoding::Identity)]);
}

#[tokio::test]
async fn new_lists_wait_behind_the_whole_list_and_repeated_ones() {
    let mut fleet = Fleet::new();
    for query in ["", "cluster=c1", "cluster=c1&cluster=c2", "cluster=c1&cluster=c2", "cluster=c1"] {
        fleet.ask(query).await.unwrap();
    }
    fleet.ask_for("", Encoding::Gzip).await.unwrap();
    fleet.take_turn();
    let many = |query: &String| query.matches('&').count() > 2;
    let queries: Vec<_> = (2..254).map(some).filter(many).collect();
    let [earlier, later] = [&queries[..70], &queries[70..140]];
    let mut new: Vec<_> = earlier.iter().map(|query| Box::pin(fleet.ask(query))).collect();
    let refused: Vec<_> = new.iter_mut().filter_map(|asking| asking.now_or_never()).collect();
    assert!(refused.iter().all(Option::is_none) && refused.len() == 70 - NEW);
    drop(new);

    fleet.change(0..CLUSTERS);
    fleet.renew();
    let [identity, gzip] = [Encoding::Identity, Encoding::Gzip];
    // Waiting lists of the previous snapshot are not rendered any more.
    assert_eq!(fleet.queue(), [(8, identity), (8, gzip), (2, identity), (1, identity)]);
    let mut new: Vec<_> = later.iter().map(|query| Box::pin(fleet.ask(query))).collect();
    assert_eq!(new.iter_mut().filter_map(|asking| asking.now_or_never()).count(), 70 - NEW);
    // A place covers both encodings, and no new list comes before it.
    let known = fleet.ask_for("cluster=c1", gzip);
    let mut known = Box::pin(known);
    assert!((&mut known).now_or_never().is_none());
    assert_eq!(fleet.queue()[..5], [(8, identity), (8, gzip), (2, identity), (1, identity), (1, gzip)]);
    assert_eq!(fleet.queue().len(), 5 + NEW);

    fleet.give_turn_back();
    assert!(fleet.ask("").await.is_some() && known.await.is_some());
    assert!(fleet.ask("cluster=c1&cluster=c2").await.is_some() && fleet.ask("cluster=c1").await.is_some());
    assert!(fleet.kept().queue.len() >= NEW - 1, "nothing new was made before");
    drop(new);
    fleet.idle().await;
}

#[tokio::test]
async fn any_number_of_lists_takes_no_more_than_two_whole_ones() {
    let mut fleet = Fleet::new();
    let whole = fleet.ask("").await.unwrap();
    let size = whole.bytes();
    fleet.ask("cluster=c1").await.unwrap();
    let known = fleet.ask("cluster=c1").await.unwrap();
    for number in 0..40 {
        let new = fleet.ask(&some(number)).await;
        // There is memory for half of the clusters: that of the earlier new lists.
        assert!(new.is_some() || some(number).matches('=').count() > CLUSTERS / 2, "{number}");
        drop(new);
        assert!(fleet.taken() <= 2 * size + ALLOWANCE);
        assert!(fleet.kept().lists.len() <= 2 + NEW + 1);
    }
    assert!(Arc::ptr_eq(&fleet.ask("").await.unwrap(), &whole));
    assert!(Arc::ptr_eq(&fleet.ask("cluster=c1").await.unwrap(), &known));
    drop((whole, known));
    // Lists that are requested again are rendered, one in the memory of another.
    for _ in 0..2 {
        for number in 3..9 {
            fleet.ask(&some(number)).await;
            assert!(fleet.ask(&some(number)).await.is_some());
            assert!(fleet.taken() <= 2 * size + ALLOWANCE);
        }
    }
    fleet.change(0..CLUSTERS);
    fleet.renew();
    fleet.idle().await;
    assert!(fleet.taken() <= 2 * size + ALLOWANCE);
    let whole = fleet.ask("").await.unwrap();
    assert_eq!(whole.bytes(), size);
    // It stays as long as anything else can be dropped: these two are seven eighths of it each.
    let weak = Arc::downgrade(&whole);
    drop(whole);
    for number in [126, 253] {
        fleet.ask(&some(number)).await;
    }
    for number in [126, 253, 126, 253] {
        assert!(fleet.ask(&some(number)).await.is_some());
    }
    assert!(Arc::ptr_eq(&fleet.ask("").await.unwrap(), &weak.upgrade().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn slow_readers_of_old_lists_are_cut_off_when_a_new_one_needs_the_memory() {
    let mut fleet = Fleet::new();
    let connections: [_; 2] = Default::default();
    let mut readings = Vec::new();
    for connection in &connections {
        let list = fleet.ask("").await.unwrap();
        readings.push(list.read(Hangup::clone(connection)));
        fleet.change(0..CLUSTERS);
    }
    let size = fleet.taken() / 2;
    let began = Instant::now();
    let asking = async { fleet.ask("").await.unwrap() };
    let cutting = async {
        connections[0].hung_up().await;
        assert!((UNDISTURBED..UNDISTURBED * 2).contains(&began.elapsed()));
        assert!(fleet.taken() <= 2 * size + ALLOWANCE);
        // The connection ends.
        readings.remove(0);
    };
    let (made, ()) = tokio::join!(asking, cutting);
    assert_eq!((made.bytes(), fleet.taken()), (size, 2 * size));
    assert!(!is_hung_up(&connections[1]));
    // Bytes that were handed out are counted until they are written.
    let piece = first_piece(&mut readings[0]);
    readings.clear();
    assert_eq!(fleet.taken(), 2 * size);
    drop(piece);
    assert_eq!(fleet.taken(), size);
}

fn first_piece(reading: &mut list::Reading) -> Bytes {
    let mut at = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(reading).poll_frame(&mut at) {
        std::task::Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_list_with_a_place_takes_memory_from_readers() {
    let fleet = Fleet::new();
    let half = "cluster=c0&cluster=c1&cluster=c2&cluster=c3";
    let other = "cluster=c1&cluster=c2&cluster=c3&cluster=c4&cluster=c5";
    let connection = Hangup::default();
    let whole = fleet.ask("").await.unwrap();
    let reading = fleet.ask(half).await.unwrap().read(connection.clone());
    // The whole list is being read too.
    assert!(fleet.ask(other).await.is_none());
    assert!(!is_hung_up(&connection));
    // After a second request it has a place.
    let asking = fleet.ask(other);
    let cutting = async {
        connection.hung_up().await;
        drop(reading);
    };
    let (made, ()) = tokio::join!(asking, cutting);
    assert!(made.is_some() && fleet.taken() <= 2 * whole.bytes() + ALLOWANCE);
    // While it waits for memory, a more important list does not wait for it.
    let kept = made.unwrap().read(connection.clone());
    let third = "cluster=c2&cluster=c3&cluster=c4&cluster=c5&cluster=c6";
    assert!(fleet.ask(third).await.is_none());
    let mut waiting = Box::pin(fleet.ask(third));
    assert!((&mut waiting).now_or_never().is_none());
    tokio::time::advance(UNDISTURBED / 2).await;
    let began = Instant::now();
    assert!(fleet.ask_for("", Encoding::Gzip).await.is_some());
    assert!(began.elapsed() < UNDISTURBED / 2);
    drop((kept, waiting));
}

#[tokio::test]
async fn a_list_that_is_longer_than_estimated_is_rendered() {
    let mut fleet = Fleet::new();
    fleet.snapshot.scopes.clear();
    for name in ["a", "b", "c", "d", "e", "f"] {
        // Of this many targets every third is sampled.
        let (arn, derived) = cluster(name, |number| if number % 3 == 1 { 4000 } else { 0 });
        fleet.snapshot.scopes.insert(arn, Scope::fresh(Arc::new(derived), Duration::ZERO));
    }
    fleet.number += 1;
    for encoding in [Encoding::Gzip, Encoding::Identity] {
        let list = fleet.ask_for("", encoding).await.unwrap();
        let size = list.bytes();
        assert_eq!(size, bytes(list).len());
        assert!(fleet.taken() <= fleet.kept().limit());
    }
}
