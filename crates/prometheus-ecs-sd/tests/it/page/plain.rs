//! What the page says, and that it needs no script for it.

use std::io::{Read, Write};
use std::net::TcpStream;

use ecs_discovery::derive::Rules;
use ecs_discovery::finding::Verdict;
use ecs_simulator::{Aws, ContainerDefinition, Placement, Region, Response, TaskDefinition, worlds};
use prometheus_ecs_sd::config::Listen;
use prometheus_ecs_sd::published::SnapshotStore;
use prometheus_ecs_sd::sinks::http::{Auth, Server, Site};

use super::{Served, rows, unescaped};
use crate::simulated::{REGION, every_case, fleet, opted_in};
use crate::tools::get;

#[test]
fn before_anything_is_published_it_says_so_and_why() {
    let aws = Aws::new(fleet(&[("production", 1)]));
    aws.on_call(|call| Some(Response::denied(call)));
    let served = Served::start(&aws);
    let page = served.shows("/", "Nothing is published yet");
    assert!(
        page.contains("own account <span class=\"region\">eu-central-1<")
            && page.contains("not read in full"),
        "{page}"
    );
    assert!(page.contains("ecs:ListClusters"), "{page}");
    assert!(page.contains("<dt>tried</dt>"), "{page}");
    aws.heal();
    assert!(served.shows("/", "All is well").contains("<dt>refreshed</dt>"));
}

#[test]
fn a_fleet_of_nothing_is_said_to_be_one() {
    let served = Served::ready(&Aws::new(fleet(&[])));
    served.shows("/", "There is no cluster");
}

#[test]
fn a_list_is_shown_in_pages() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 230)])));
    let check = |path: &str, shown: usize, words: &str| {
        let page = served.page(path);
        assert_eq!(rows(&page), shown, "{path}");
        assert!(page.contains(words), "{path}");
    };
    check("/", 100, "1 to 100 of 230");
    check("/?page=3", 30, "201 to 230 of 230");
    check("/?page=99", 30, "201 to 230 of 230");
    check("/?page=0", 100, "1 to 100 of 230");
    check("/?q=10.0.0.1", 100, "of 230 targets");
}

#[test]
fn filters_leave_out_what_they_say() {
    let mut world = fleet(&[("production", 3), ("staging", 2)]);
    let region = world.own(REGION);
    let mut other = opted_in("other");
    other.container_definitions[0] =
        other.container_definitions[0].clone().env("PROMETHEUS_ENDPOINT", "15s:/metrics,5m:/slow");
    let other = region.register(other);
    region.run("staging", &other, Placement::Fargate);
    let broken = region.register(opted_in("broken").network_mode("none"));
    region.run("production", &broken, Placement::Fargate);
    let aws = Aws::new(world);
    let served = Served::ready(&aws);
    let count = |query: &str| rows(&served.page(&format!("/?{query}")));
    assert_eq!(count(""), 7);
    assert_eq!((count("cluster=staging"), count("cluster=production")), (4, 3));
    assert_eq!((count("job=other"), count("interval=5m"), count("interval=5m&job=web")), (2, 1, 0));
    assert_eq!((count("q=STAGING+slow"), count("q=nothing"), count("q=15s")), (1, 0, 0));
    let page = served.page("/?q=network+mode");
    assert_eq!(rows(&page), 0);
    assert!(page.contains("broken") && page.contains("network mode none"), "{page}");
    assert!(page.contains(">0 of 7 targets</a>, <a href=\"#skipped\">1 container not scraped"), "{page}");
    assert_eq!(count("state=fresh"), 7);

    let is_staging =
        |call: &ecs_simulator::Call| call.cluster.as_deref().is_some_and(|arn| arn.ends_with("staging"));
    aws.on_call(move |call| is_staging(call).then(|| Response::throttled(call)));
    let page = served.shows("/?state=stale", "1 cluster could not be read");
    assert_eq!((rows(&page), count("state=fresh")), (4, 3));
    assert!(!page.contains("badge warn\">denied"), "{page}");
    aws.on_call(move |call| is_staging(call).then(|| Response::denied(call)));
    let page = served.shows("/?state=stale", "Access to 1 cluster is denied");
    assert_eq!((rows(&page), count("state=fresh")), (4, 3));
    assert!(page.contains("badge warn\">denied"), "{page}");
}

/// A world with two targets of the variables, and two containers that other tools scrape.
fn of_several_tools() -> Aws {
    let mut world = fleet(&[("production", 2)]);
    let region = world.own(REGION);
    for label in ["PROMETHEUS_EXPORTER_PORT", "PROMETHEUS_SCRAPES"] {
        let app = ContainerDefinition::new("app", "shop/app:1").label(label, "8080");
        let definition = region.register(TaskDefinition::new("other").network_mode("awsvpc").container(app));
        region.run("production", &definition, Placement::Fargate);
    }
    Aws::new(world)
}

#[test]
fn targets_are_shown_and_filtered_by_convention_if_there_are_several() {
    let aws = of_several_tools();
    let alone = Served::ready(&aws);
    let page = alone.shows("/", "2 targets");
    assert!(!page.contains("data-label=\"convention\""), "{page}");
    for convention in ["teralytics", "sepich"] {
        let hint = format!("the convention <code>{convention}</code>, which is not turned on");
        assert!(page.contains(&hint), "{page}");
    }
    drop(alone);
    let served = Served::with(&aws, &["--convention", "teralytics", "environment"]);
    let page = served.shows("/", "3 targets");
    assert_eq!(page.matches("data-label=\"convention\"").count(), 3);
    assert!(!page.contains("<code>teralytics</code>, which") && page.contains("<code>sepich</code>, which"));
    let count = |query: &str| rows(&served.page(&format!("/?{query}")));
    assert_eq!((count("convention=teralytics"), count("convention=environment")), (1, 2));
    let metrics = served.page("/metrics");
    for line in [
        "ecs_sd_convention_targets{convention=\"environment\"} 2",
        "ecs_sd_convention_targets{convention=\"teralytics\"} 1",
        "ecs_sd_hinted_containers{convention=\"sepich\"} 1",
        "ecs_sd_hinted_containers{convention=\"promed\"} 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} in {metrics}");
    }
    assert_eq!(served.page("/sd?convention=tera*").matches("\"targets\"").count(), 1);
}

#[test]
fn targets_that_match_come_before_containers_that_match_and_the_counts_lead_to_both() {
    let mut world = fleet(&[("production", 2)]);
    let region = world.own(REGION);
    let broken = region.register(opted_in("web-broken").network_mode("none"));
    (0..30).for_each(|_| drop(region.run("production", &broken, Placement::Fargate)));
    let served = Served::ready(&Aws::new(world));
    for (query, sections) in [
        ("", ["skipped", "targets"]),
        ("?q=web", ["targets", "skipped"]),
        ("?q=none", ["skipped", "targets"]),
    ] {
        let page = served.page(&format!("/{query}"));
        let mut found = sections.map(|id| (page.find(&format!("<section id=\"{id}\"")).unwrap(), id));
        found.sort_unstable();
        assert_eq!(found.map(|(_, id)| id), sections, "{query}");
        for link in ["<a href=\"#targets\">", "<a href=\"#skipped\">"] {
            assert!(page.split("id=\"count\"").nth(1).unwrap().contains(link), "{page}");
        }
    }
}

#[test]
fn the_same_mistake_in_many_tasks_is_one_row() {
    let mut world = fleet(&[]);
    let region = world.own(REGION);
    for (family, tasks) in [("many", 1_030), ("few", 2), ("one", 1)] {
        let broken = region.register(opted_in(family).network_mode("none"));
        (0..tasks).for_each(|_| drop(region.run("production", &broken, Placement::Fargate)));
    }
    let served = Served::ready(&Aws::new(world));
    let page = served.page("/");
    let section = page.split("<section id=\"skipped\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(section.matches("<th scope=\"row\"").count(), 3);
    for words in ["1,033 containers", " and 1,029 more tasks", " and 1 more task<"] {
        assert!(section.contains(words), "{words:?} in {section}");
    }
    assert!(!section.contains("pages"), "all are on one page: {section}");
}

#[test]
fn every_page_has_a_link_to_its_content() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 1)])));
    let page = served.page("/");
    let link = unescaped(page.split("href=\"target?").nth(1).unwrap().split('"').next().unwrap());
    for path in ["/", "/?q=nothing", "/changes", &format!("/target?{link}")] {
        let page = served.page(path);
        let skip = page.split("class=\"skip\" href=\"#").nth(1).unwrap().split('"').next().unwrap();
        assert!(page.contains(&format!("<main id=\"{skip}\" tabindex=\"-1\">")), "{page}");
    }
}

#[test]
fn there_is_one_number_of_containers_that_are_not_scraped() {
    let mut world = fleet(&[("production", 3)]);
    let region = world.own(REGION);
    let run = |region: &mut Region, container: ContainerDefinition, mode: &str| {
        let definition = TaskDefinition::new(&container.name).network_mode(mode).container(container);
        let definition = region.register(definition);
        region.run("production", &definition, Placement::Fargate);
    };
    let app =
        |name: &str, opts_in: &str| ContainerDefinition::new(name, "x:1").env("PROMETHEUS", opts_in).port(80);
    run(region, app("out", "false"), "awsvpc");
    run(region, app("odd", "true").env("PROMETHEUS_ENDPOINT", "/a,/a"), "awsvpc");
    let check = |aws: &Aws, words: &[&str]| {
        let served = Served::ready(aws);
        let page = served.page("/");
        let text =
            page.split('<').filter_map(|tag| tag.split_once('>')).map(|(_, text)| text).collect::<String>();
        for words in words {
            assert!(text.contains(words), "{words:?} in {text}");
        }
    };
    check(&Aws::new(world.clone()), &["All is well", "no container needs attention", "not scraped1"]);
    run(world.own(REGION), app("none", "true"), "none");
    check(
        &Aws::new(world),
        &[
            "2 containers are not scraped",
            "1 of them needs attention",
            "not scraped2",
            "2 containers not scraped, 1 warning",
        ],
    );
}

#[test]
fn targets_are_counted_by_interval() {
    let mut world = fleet(&[("production", 3)]);
    let region = world.own(REGION);
    let mut fast = opted_in("fast");
    fast.container_definitions[0] =
        fast.container_definitions[0].clone().env("PROMETHEUS_ENDPOINT", "15s:/metrics,5m:/slow");
    let fast = region.register(fast);
    region.run("production", &fast, Placement::Fargate);
    let served = Served::ready(&Aws::new(world));
    let counts = |query: &str| {
        let page = served.page(query);
        let counts = page.split("By interval: ").nth(1).unwrap().split("</p>").next().unwrap();
        counts
            .replace("</span>", "")
            .replace("</a>", "")
            .split("<span><a href=\"")
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        counts("/"),
        [
            "./?interval=15s#targets\">15s 1 ",
            "./?interval=1m#targets\">1m 3 ",
            "./?interval=5m#targets\">5m 1 ",
        ]
    );
    assert_eq!(counts("/?q=slow"), ["./?q=slow&amp;interval=5m#targets\">5m 1 "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_has_not_changed_is_not_sent_again() {
    let store = SnapshotStore::default();
    let server = Server::bind(&Listen::At("127.0.0.1:0".to_owned()), false).await.unwrap();
    let address = server.address().unwrap();
    let site = Site::new(store.reader(), store.metrics(), None);
    let serving = tokio::spawn(server.serve(site, Auth::default()));
    let ask = |path: &'static str, version: &str| {
        let version = format!("\"another\", {version},W/\"one-more\"");
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nIf-None-Match: {version}\r\n\r\n");
        tokio::task::block_in_place(|| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let version =
                answer.split("etag: ").nth(1).unwrap_or_default().split("\r\n").next().unwrap_or_default();
            let version = version.to_owned();
            (answer, version)
        })
    };
    for path in ["/", "/changes"] {
        let (page, version) = ask(path, "");
        assert!(page.starts_with("HTTP/1.0 200 ") && page.contains("</html>"), "{page}");
        let (same, _) = ask(path, &version);
        assert!(same.starts_with("HTTP/1.0 304 ") && same.ends_with("\r\n\r\n"), "{same}");
        assert!(same.contains("date: "), "the script counts ages on: {same}");
        store.show(vec![("option".to_owned(), path.to_owned())], Rules::default());
        let (page, version) = ask(path, &version);
        assert!(page.starts_with("HTTP/1.0 200 "), "{page}");
        let other = if path == "/" { "/?q=x" } else { "/changes?q=x" };
        assert!(ask(other, &version).0.starts_with("HTTP/1.0 200 "));
        assert!(ask("/target", &version).0.starts_with("HTTP/1.0 404 "), "another page");
    }
    serving.abort();
}

#[test]
fn what_changed_is_on_the_time_line_which_has_an_end() {
    let aws = Aws::new(fleet(&[("production", 1)]));
    let served = Served::ready(&aws);
    served.shows("/", "1 target in 1 cluster, 0 containers not scraped");
    aws.change(|world| {
        let region = world.own(REGION);
        let task = region.clusters["production"].tasks.keys().next().unwrap().clone();
        region.stop(&task);
        let definition = region.register(opted_in("many"));
        (0..50).for_each(|_| drop(region.run("production", &definition, Placement::Fargate)));
    });
    served.shows("/changes", "and 30 more");
    let page = served.shows("/changes", "target gone");
    assert_eq!(page.matches("target appeared").count(), 21);
}

#[test]
fn a_target_has_a_page_with_its_labels_until_it_is_gone() {
    let aws = Aws::new(fleet(&[("production", 1)]));
    let served = Served::ready(&aws);
    let page = served.page("/");
    let link = page.split("href=\"target?").nth(1).unwrap().split('"').next().unwrap();
    let path = format!("/target?{}", unescaped(link));
    let labels = served.page(&path);
    for words in ["__address__", "10.0.0.4:8080", "__scrape_interval__", "__meta_ecs_cluster_arn", "FARGATE"]
    {
        assert!(labels.contains(words), "{words}");
    }
    for path in ["/target", "/target?task=x&container=app&endpoint=y", "/target/", "/nothing", "/style.css"] {
        let error = get(served.address, path).unwrap_err().to_string();
        assert!(error.starts_with("HTTP/1.0 404"), "{error}");
    }
}

#[test]
fn the_page_of_a_target_has_the_labels_of_the_list() {
    let intervals = ["--scrape-intervals", "5s,1m", "--default-scrape-interval-prefix", "5s"];
    let served = Served::with(&Aws::new(fleet(&[("production", 1)])), &intervals);
    let page = served.page("/");
    let link = unescaped(page.split("href=\"target?").nth(1).unwrap().split('"').next().unwrap());
    let page = served.page(&format!("/target?{link}"));
    let rows = page.split("<tr><th scope=\"row\"><code>").skip(1);
    let row = |row: &str| {
        let (name, value) = row.split_once("</code></th><td>").unwrap();
        (name.to_owned(), unescaped(value.split("</td>").next().unwrap()))
    };
    let shown: Vec<_> = rows.map(row).collect();
    let list: serde_json::Value = serde_json::from_str(&served.page("/sd")).unwrap();
    let labels = list[0]["labels"].as_object().unwrap();
    assert_eq!((&labels["__scrape_interval__"], &labels["__scrape_timeout__"]), (&"5s".into(), &"5s".into()));
    let address = ("__address__".to_owned(), list[0]["targets"][0].as_str().unwrap().to_owned());
    let listed = labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
    assert_eq!(shown, [address].into_iter().chain(listed).collect::<Vec<_>>());
}

#[test]
fn the_browser_is_told_to_run_nothing_but_the_pages_own_files() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 1)])));
    let head = |path: &str| {
        let mut stream = TcpStream::connect(served.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().0.to_lowercase()
    };
    for path in ["/", "/?q=x", "/changes", "/target"] {
        let head = head(path);
        let (_, policy) = head.split_once("content-security-policy: ").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
        for line in
            ["x-content-type-options: nosniff", "referrer-policy: no-referrer", "cache-control: no-store"]
        {
            assert!(head.contains(line), "{path}: {head}");
        }
    }
    let page = served.page("/");
    for inline in ["style=", "<style", "onclick", "javascript:", "http-equiv"] {
        assert!(!page.contains(inline), "{inline}");
    }
    for (kind, start) in [
        ("text/css", "href=\"style-"),
        ("text/javascript", "src=\"script-"),
        ("image/svg+xml", "src=\"icon-"),
    ] {
        let name = page.split(start).nth(1).unwrap().split('"').next().unwrap();
        let (_, prefix) = start.split_once('"').unwrap();
        let head = head(&format!("/{prefix}{name}"));
        assert!(head.contains(&format!("content-type: {kind}")) && head.contains("nosniff"), "{head}");
    }
}

/// The words of the log and of the documents, whatever they are.
#[tokio::test(flavor = "multi_thread")]
async fn every_finding_is_there_in_the_words_it_has_everywhere() {
    let stage = every_case();
    let store = SnapshotStore::default();
    let server = Server::bind(&Listen::At("127.0.0.1:0".to_owned()), false).await.unwrap();
    let address = server.address().unwrap();
    let site = Site::new(store.reader(), store.metrics(), None);
    let serving = tokio::spawn(server.serve(site, Auth::default()));
    let mut reader = store.reader();
    let running = stage.run_into(store).await;
    reader.published.wait_for(|published| published.complete).await.unwrap();
    let snapshot = reader.published.borrow().snapshot.clone();
    let pages = tokio::task::spawn_blocking(move || {
        let pages = (1..9).map(|page| get(address, &format!("/?skipped={page}")).unwrap());
        unescaped(&pages.collect::<String>())
    });
    let pages = pages.await.unwrap();
    let mut reasons = 0;
    for finding in snapshot.findings() {
        let words = match &finding.verdict {
            Verdict::NotScraped(problem) => {
                reasons += 1;
                vec![problem.reason.as_str(), problem.reason.advice(), &problem.detail]
            }
            Verdict::Warning(detail) => vec![&**detail],
        };
        for words in words.into_iter().chain([finding.job(), finding.task.last_part()]) {
            assert!(pages.contains(words), "{words:?}");
        }
    }
    assert!(reasons > 10);
    assert!(pages.contains(worlds::PARTNER_ACCOUNT));
    drop(running);
    serving.abort();
}
