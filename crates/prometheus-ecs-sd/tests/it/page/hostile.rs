//! A task definition whose every text tries to be more than text.

use ecs_simulator::{Aws, ContainerDefinition, ContainerOverride, Placement, Run, TaskDefinition, World};

use super::Served;
use crate::browser::{Browser, Scripts};
use crate::simulated::REGION;
use crate::tools::wait;

/// Each of them would show itself by changing the title, if it ran.
const TEXTS: [&str; 8] = [
    "<script>document.title='owned'</script>",
    "\"><img src=x onerror=\"document.title='owned'\">",
    "'><svg onload=document.title='owned'>",
    "javascript:document.title='owned'",
    "</td></tr></table></main><iframe srcdoc=\"<script>parent.document.title='owned'</script>\">",
    "&lt;script&gt;document.title='owned'&lt;/script&gt;<!-- --><style>*{display:none}</style>",
    "\u{202e}detrevni\u{2066}\u{200b}\u{0}\u{7}\u{1b}[31m\u{feff}",
    "{{constructor.constructor('document.title=1')()}}${document.title='owned'}",
];

fn world() -> World {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let path =
        |text: &str| format!("15s:/metrics,1m:/p/{0},5m:/q?a={0}", text.replace([',', '?', '&', ' '], ""));
    for (number, text) in TEXTS.iter().enumerate() {
        let good = ContainerDefinition::new(&format!("{text}app"), &format!("{text}image"))
            .env("PROMETHEUS", "true")
            .env("PROMETHEUS_ENDPOINT", &path(text))
            .env("PROMETHEUS_TAGS", text)
            .label(text, text)
            .label("long", &format!("{text}{}", "A<b>&\"".repeat(11_000)))
            .port(8080);
        let bad = ContainerDefinition::new(&format!("{text}bad"), text)
            .env("PROMETHEUS", "true")
            .env("PROMETHEUS_CONTAINER_PORT", text);
        let odd = ContainerDefinition::new(&format!("{text}odd"), text)
            .env("PROMETHEUS", "true")
            .env("PROMETHEUS_ENDPOINT", &format!("{text}:/metrics,9102/ok"))
            .env("PROMETHEUS_SCHEME", text);
        let definition = TaskDefinition::new(&format!("family{number}{text}"))
            .network_mode("awsvpc")
            .container(good)
            .container(bad)
            .container(odd)
            .tag(text, text);
        let definition = region.register(definition);
        let overriding = ContainerOverride::new(&format!("{text}app")).env("PROMETHEUS_TAGS", text);
        let run = Run::new("production", &definition, Placement::Fargate);
        region.run_with(run.service(text).tag(text, text).overriding(overriding));
    }
    world
}

#[test]
fn a_hostile_definition_is_text_on_every_page() {
    let served = Served::ready(&Aws::new(world()));
    let browser = Browser::open(Scripts::Run);
    browser.go(&served.url("/"));
    let targets = browser.count("#targets tbody tr");
    assert!(targets >= TEXTS.len() as u64, "{targets} {}", browser.text("#skipped"));
    let links = browser.value("[...document.querySelectorAll('#targets a')].map((link) => link.href)");
    let links: Vec<_> =
        links.as_array().unwrap().iter().map(|link| link.as_str().unwrap().to_owned()).collect();
    let check = |url: &str| {
        browser.go(url);
        assert_eq!(
            browser.count("main :is(script, style, iframe, object, svg, img, base, link, meta)"),
            0,
            "{url}"
        );
        assert_eq!(browser.count("script"), 1, "{url}");
        let listening = "[...document.querySelectorAll('*')].flatMap((one) => [...one.attributes]).filter(({ name }) => \
                         name.startsWith('on') || name === 'style').length";
        assert_eq!(browser.value(listening), 0, "{url}");
        let links = "[...document.querySelectorAll('a')].filter(({ protocol }) => !/^https?:$/.test(protocol)).length";
        assert_eq!(browser.value(links), 0, "{url}");
        // What turns text around or is not seen is written out.
        let text = browser.value("document.body.innerText");
        let hidden = |c: char| "\u{202e}\u{2066}\u{200b}\u{0}\u{7}\u{1b}\u{feff}".contains(c);
        assert!(!text.as_str().unwrap().contains(hidden), "{url}");
        assert!(browser.value("document.title").as_str().unwrap().ends_with(" · prometheus-ecs-sd"));
        assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), true, "{url}");
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{url}");
    };
    browser.size(360, 800);
    for path in ["/", "/changes", "/?q=%3Cscript%3E", "/?job=%22%3E%3Cimg+src%3Dx+onerror%3Dalert(1)%3E"] {
        check(&served.url(path));
    }
    for link in &links {
        check(link);
    }
    // What was typed comes back as it was, also by way of the script.
    browser.go(&served.url("/"));
    browser.keys("#q", TEXTS[1]);
    wait(|| match browser.text("#count") {
        count if count.contains(" of ") => Ok(()),
        count => Err(count),
    });
    assert_eq!(browser.value("document.getElementById('q').value"), TEXTS[1]);
    assert_eq!(browser.count("main img"), 0);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
