//! As people see it: what it shows, how it searches, and how it keeps up.

use std::net::{Ipv4Addr, TcpListener};

use ecs_simulator::{Aws, ContainerDefinition, Placement, TaskDefinition};
use serde_json::Value;

use super::Served;
use crate::browser::{Browser, Scripts, is_of_the_browser};
use crate::simulated::{REGION, fleet, opted_in};
use crate::tools::wait;

/// Waits until an element's text has this.
fn shows(browser: &Browser, selector: &str, words: &str) {
    wait(|| {
        let text = browser.text(selector);
        // A number is not the end of a larger one.
        let is_there = if selector == "#count" { text.starts_with(words) } else { text.contains(words) };
        if is_there { Ok(()) } else { Err(format!("{words:?} in {text:?}")) }
    });
}

/// A quarter as many tasks, with four endpoints each.
fn ten_thousand_targets() -> Aws {
    let mut world = fleet(&[]);
    let region = world.own(REGION);
    let endpoints = "15s:/metrics,30s:/metrics/half,1m:/metrics/slow,5m:/metrics/slowest";
    let definitions = ["search", "checkout", "basket", "login", "catalogue"].map(|family| {
        let app = ContainerDefinition::new("app", "shop/app:1").env("PROMETHEUS", "true").port(8080);
        let app = app.env("PROMETHEUS_ENDPOINT", endpoints);
        region.register(TaskDefinition::new(family).network_mode("awsvpc").container(app))
    });
    for number in 0..2_500 {
        let cluster = ["production", "staging"][usize::from(number % 10 == 0)];
        region.run(cluster, &definitions[number % 5], Placement::Fargate);
    }
    Aws::new(world)
}

#[test]
fn every_section_is_there_in_light_and_dark_on_a_desk_and_on_a_phone() {
    let mut world = fleet(&[("production", 3)]);
    let region = world.own(REGION);
    let broken = region.register(opted_in("broken").network_mode("none"));
    region.run("production", &broken, Placement::Fargate);
    let served = Served::ready(&Aws::new(world));
    let browser = Browser::open(Scripts::Run);
    for (scheme, back) in [("light", "rgb(244, 245, 248)"), ("dark", "rgb(16, 19, 26)")] {
        for width in [1280, 360] {
            browser.scheme(scheme);
            browser.size(width, 800);
            browser.go(&served.url("/"));
            for (section, words) in [
                ("#verdict", "1 container is not scraped"),
                ("#clusters", "own account eu-central-1"),
                ("#clusters", "production"),
                ("#changes", "first publication"),
                ("#find", "3 targets, 1 container not scraped"),
                ("#skipped", "network mode none"),
                ("#skipped", "What to do: use the network mode awsvpc, bridge or host"),
                ("#targets", "http://10.0.0.4:8080/metrics"),
                ("#rate-limits", "ListTasks"),
                ("#configuration", "Configuration"),
                ("#live", "Live"),
            ] {
                assert!(browser.text(section).contains(words), "{words:?} in {section} at {width}");
            }
            assert_eq!(browser.value("getComputedStyle(document.body).backgroundColor"), back);
            let fits = "document.documentElement.scrollWidth <= innerWidth";
            assert_eq!(browser.value(fits), true, "{scheme} {width}");
        }
    }
    browser.click("#targets tbody a");
    shows(&browser, "#target", "__meta_ecs_task_arn");
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_edge_of_a_field_stands_out_from_what_is_around_and_in_it() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 1)])));
    let browser = Browser::open(Scripts::Run);
    browser.go(&served.url("/"));
    // The contrast of WCAG.
    let contrast = "(() => {
        const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
            .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0.05);
        const style = (selector) => getComputedStyle(document.querySelector(selector));
        const ratios = ['#q', '#job'].flatMap((field) => [field, '#find'].map((back) => {
            const both = [light(style(field).borderTopColor), light(style(back).backgroundColor)];
            return Math.max(...both) / Math.min(...both);
        }));
        return Math.min(...ratios);
    })()";
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        let contrast = browser.value(contrast).as_f64().unwrap();
        assert!(contrast >= 3.0, "{contrast} in {scheme}");
    }
}

#[test]
fn ten_thousand_targets_are_searched_while_one_types() {
    let served = Served::ready(&ten_thousand_targets());
    let browser = Browser::open(Scripts::Run);
    browser.go(&served.url("/"));
    assert_eq!(browser.text("#number-of-targets"), "10,000");
    assert!(browser.text("#changes").contains("10,000 targets in 2 clusters"));
    assert_eq!(browser.count("#targets tbody tr"), 100);
    browser.value("window.loaded = true");
    browser.keys("#q", "basket");
    shows(&browser, "#count", "2,000 of 10,000 targets");
    assert!(browser.text("#targets tbody tr").contains("basket"));
    browser.keys("#q", " slowest");
    shows(&browser, "#count", "500 of 10,000 targets");
    browser.choose("#interval", "15s");
    shows(&browser, "#count", "0 of 10,000 targets");
    assert!(browser.text("#targets").contains("None match."));
    browser.click("#clear");
    shows(&browser, "#count", "10,000 targets");
    assert_eq!(browser.value("location.search"), "");
    for (list, value, count) in
        [("#interval", "5m", "2,500"), ("#job", "search", "500"), ("#cluster", "staging", "250")]
    {
        browser.choose(list, value);
        shows(&browser, "#count", &format!("{count} of 10,000 targets"));
    }
    browser.choose("#state", "fresh");
    shows(&browser, "#count", "250 of 10,000 targets");
    assert_eq!(
        browser.value("location.search"),
        "?interval=5m&cluster=staging&job=search&state=fresh",
        "the address can be passed on"
    );
    assert_eq!(browser.value("window.loaded"), true, "nothing was reloaded");
    browser.click(".pages a[rel=next]");
    shows(&browser, "#targets .pages", "101 to 200 of 250");
    assert_eq!(browser.value("document.getElementById('job').value"), "search");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn it_follows_a_change_and_leaves_one_alone() {
    let aws = Aws::new(fleet(&[("production", 60)]));
    let served = Served::ready(&aws);
    let browser = Browser::open(Scripts::Run);
    browser.size(1280, 600);
    browser.go(&served.url("/"));
    browser.keys("#q", "web");
    // What is found has come before the rest.
    wait(|| match browser.count("#targets ~ .columns #clusters") {
        1 => Ok(()),
        count => Err(count.to_string()),
    });
    browser.value("(window.row = document.querySelectorAll('#targets tbody tr')[30]).scrollIntoView()");
    browser.value("document.querySelector('#q').setSelectionRange(1, 2)");
    let first_two =
        "[...document.querySelectorAll('#targets code')].slice(0, 2).map((task) => task.textContent)";
    let first_two = browser.value(first_two);
    let position = "Math.round(window.row.getBoundingClientRect().top)";
    let before = browser.value(position);
    aws.change(|world| {
        let region = world.own(REGION);
        let definition = region.register(opted_in("web-two"));
        region.run("production", &definition, Placement::Fargate);
        let above = |arn: &&String| {
            first_two.as_array().unwrap().iter().any(|id| arn.ends_with(id.as_str().unwrap()))
        };
        let above: Vec<_> = region.clusters["production"].tasks.keys().filter(above).cloned().collect();
        above.iter().for_each(|arn| region.stop(arn));
    });
    shows(&browser, "#count", "59 targets");
    shows(&browser, "#changes", "target gone");
    assert_eq!(browser.text("#number-of-targets"), "59");
    assert_eq!(browser.count("#targets tbody tr"), 59);
    assert_eq!(browser.count("#job option[value=web-two]"), 1);
    assert!(browser.text("#targets").contains("web-two"));
    let moved = browser.value(position).as_i64().unwrap() - before.as_i64().unwrap();
    assert!(moved.abs() <= 2, "what one looks at moved by {moved}");
    assert_eq!(browser.value("document.activeElement.id"), "q");
    assert_eq!(browser.value("document.activeElement.selectionEnd"), 2);
    assert_eq!(browser.value("document.getElementById('q').value"), "web");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn what_is_found_comes_first_and_the_form_keeps_the_focus() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 60)])));
    let browser = Browser::open(Scripts::Run);
    browser.size(1280, 800);
    browser.go(&served.url("/"));
    let order = "[...document.querySelectorAll('main > [id], main > .columns > section')].map(({ id }) => id).join(' ')";
    assert_eq!(
        browser.value(order),
        "verdict find clusters changes skipped targets rate-limits configuration"
    );
    browser.value("document.querySelectorAll('#targets tbody tr')[30].scrollIntoView()");
    // The driver scrolls to what it types in.
    browser.value("document.getElementById('q').focus({ preventScroll: true })");
    let typed =
        "(document.activeElement.value = 'web', document.activeElement.dispatchEvent(new Event('input')))";
    browser.value(typed);
    wait(|| match browser.value(order).as_str().unwrap() {
        "verdict find targets skipped clusters changes rate-limits configuration" => Ok(()),
        order => Err(order.to_owned()),
    });
    assert_eq!(browser.value("document.activeElement.id"), "q");
    let top =
        browser.value("document.getElementById('targets').getBoundingClientRect().top").as_f64().unwrap();
    assert!((0.0..800.0).contains(&top), "the targets are in view: {top}");
    browser.click("header nav a:nth-child(3)");
    assert_eq!(browser.value("location.search + location.hash"), "?q=web#targets", "the search stays");
    browser.click("#clear");
    wait(|| match browser.value(order).as_str().unwrap() {
        "verdict find clusters changes skipped targets rate-limits configuration" => Ok(()),
        order => Err(order.to_owned()),
    });
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn what_changes_while_one_reads_is_marked_quietly() {
    let aws = Aws::new(fleet(&[("production", 60)]));
    let served = Served::ready(&aws);
    served.shows("/", "first publication");
    let browser = Browser::open(Scripts::Run);
    for width in [1280, 390] {
        browser.size(width, 600);
        browser.go(&served.url("/"));
        let marks = "#news:not([hidden]), #changes .new";
        assert_eq!(browser.count(marks), 0);
        browser.value("window.loaded = true");
        let top = "document.querySelector('main').getBoundingClientRect().top";
        let before = browser.value(top);
        aws.change(|world| {
            let region = world.own(REGION);
            let definition = region.register(opted_in("web-two"));
            region.run("production", &definition, Placement::Fargate);
        });
        shows(&browser, "#news:not([hidden])", "New changes");
        assert_eq!(browser.value(top), before, "nothing moves");
        assert_eq!(browser.count("#changes .new"), 1);
        assert!(browser.text("#changes .new").contains("target appeared"));
        browser.click("#news");
        assert_eq!(browser.count(marks), 1, "the change is still marked");
        assert_eq!(browser.value("location.hash"), "#changes");
        assert_eq!(browser.value("window.loaded"), true, "nothing was reloaded");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_page_that_nobody_sees_asks_for_nothing() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 1)])));
    let browser = Browser::open(Scripts::Run);
    browser.go(&served.url("/"));
    // From here on time stands still, and requests are only counted.
    browser.value(
        "(window.plans = [], window.requests = 0,
          window.setTimeout = (plan, wait) => wait === 5000 && window.plans.push(plan),
          window.fetch = async () => { window.requests++; return new Response('', { status: 304 }); },
          window.seen = (hidden) => {
            Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
            document.dispatchEvent(new Event('visibilitychange'));
          }, true)",
    );
    let is = |expected: (u64, u64)| {
        wait(|| {
            let of = |name: &str| browser.value(name).as_u64().unwrap();
            let found = (of("window.requests"), of("window.plans.length"));
            if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
        });
    };
    browser.value("window.seen(false)");
    is((1, 1));
    browser.value("(window.seen(true), window.plans.at(-1)(), true)");
    is((1, 1));
    browser.value("window.seen(false)");
    is((2, 2));
}

#[test]
fn ages_go_on_while_nothing_changes() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 1)])));
    let browser = Browser::open(Scripts::Run);
    browser.go(&served.url("/"));
    for (seconds, age) in [
        (0, "just now"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7199, "1 h ago"),
        (172_799, "47 h ago"),
        (200_000, "2 days ago"),
    ] {
        // An answer of that time, and another question.
        browser.value(&format!(
            "(window.fetch = async () => {{
                const then = Date.parse(document.querySelector('#verdict time').dateTime) + {seconds} * 1000;
                return new Response(null, {{ status: 304, headers: {{ Date: new Date(then).toUTCString() }} }});
              }}, document.dispatchEvent(new Event('visibilitychange')))"
        ));
        shows(&browser, "#verdict time", age);
    }
}

#[test]
fn it_says_when_the_program_does_not_answer_any_more() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 1)])));
    let browser = Browser::open(Scripts::Run);
    browser.go(&served.url("/"));
    shows(&browser, "#live", "Live");
    drop(served);
    shows(&browser, "#live", "No answer since");
    assert!(browser.text("#targets").contains("10.0.0.4"));
}

#[test]
fn it_says_what_the_server_answers_instead_of_the_page_also_in_older_browsers() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 1)])));
    let browser = Browser::open(Scripts::Run);
    browser.go(&served.url("/"));
    browser.value("(delete AbortSignal.any, delete AbortSignal.timeout, window.loaded = true)");
    let answer = |text: &str, status: u32| {
        browser.value(&format!(
            "(window.fetch = async () => new Response({text}, {{ status: {status} }}),
              document.dispatchEvent(new Event('visibilitychange')))"
        ));
    };
    let page = "document.documentElement.outerHTML";
    for (text, status, words) in [
        ("'too many pages are requested; try again'", 503, "The server has answered 503 since "),
        (page, 200, "Live"),
        ("''", 401, "Sign in again: reload the page"),
        ("'Forbidden'", 403, "The server has answered 403 since "),
        ("'<form>Password</form>'", 200, "Sign in again: reload the page"),
        (page, 404, "Live"),
    ] {
        answer(text, status);
        shows(&browser, "#live", words);
        for width in [320, 1280] {
            browser.size(width, 600);
            assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), true, "{words}");
        }
    }
    assert_eq!(browser.value("window.loaded"), true, "nothing was reloaded");
    answer(&format!("{page}.replace('src=\"script-', 'src=\"script-1')"), 200);
    wait(|| match browser.value("window.loaded ?? 'another version'").as_str() {
        Some(_) => Ok(()),
        None => Err("the page is that of the version before".to_owned()),
    });
}

#[test]
fn what_a_page_does_wrong_is_noticed() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 1)])));
    let browser = Browser::open(Scripts::Run);
    browser.go(&served.url("/"));
    for (wrong, words) in [
        ("console.error('said')", "said"),
        ("void setTimeout(() => { throw new Error('thrown') })", "thrown"),
        ("void fetch('/nowhere')", "404"),
        (
            "document.body.append(Object.assign(document.createElement('script'), { text: 1 }))",
            "Security Policy",
        ),
    ] {
        browser.value(wrong);
        let complaints = wait(|| match &browser.complaints()[..] {
            [] => Err(format!("no complaint of {wrong}")),
            complaints => Ok(complaints.join("\n")),
        });
        assert!(complaints.contains(words), "{wrong}: {complaints}");
    }
}

#[test]
fn what_the_browser_says_of_a_slow_network_is_not_the_pages_fault() {
    // It accepts, but does not answer.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let font = format!("http://{}/font.woff2", silent.local_addr().unwrap());
    let browser = Browser::open_with(Scripts::Run, &["--force-effective-connection-type=Slow-2G"]);
    let style = format!("@font-face{{font-family:f;src:url({font})}}body{{font-family:f}}");
    browser.go(&format!("data:text/html,<style>{style}</style>text"));
    let said = wait(|| {
        let log = browser.log();
        let is_of_the_font = |entry: &&Value| entry["message"].as_str().unwrap().contains(&font);
        log.iter().find(is_of_the_font).cloned().ok_or_else(|| format!("{log:?}"))
    });
    assert!(said["message"].as_str().unwrap().contains("Slow network is detected"), "{said}");
    assert!(is_of_the_browser(&said), "{said}");
}

#[test]
fn without_scripts_a_form_is_a_form() {
    let mut world = fleet(&[("production", 3), ("staging", 2)]);
    let region = world.own(REGION);
    let other = region.register(opted_in("other"));
    region.run("staging", &other, Placement::Fargate);
    let served = Served::ready(&Aws::new(world));
    let browser = Browser::open(Scripts::Off);
    browser.go(&served.url("/"));
    assert_eq!(browser.text("#live"), "", "scripts are off");
    assert_eq!(browser.count("#targets tbody tr"), 6);
    for (list, value, count) in
        [("#interval", "1m", 6), ("#state", "fresh", 6), ("#cluster", "staging", 3), ("#job", "other", 1)]
    {
        // As one does from the keyboard: a driver's click on an option is a script.
        browser.keys(list, value);
        browser.click("#find button");
        wait(|| match browser.value("location.search").as_str() {
            Some(query) if query.contains(&format!("{}={value}", &list[1..])) => Ok(()),
            query => Err(format!("{query:?}")),
        });
        assert_eq!(browser.count("#targets tbody tr"), count, "{list}");
    }
    browser.click("#clear");
    browser.keys("#q", "staging web\u{e007}");
    shows(&browser, "#count", "2 of 6 targets");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
