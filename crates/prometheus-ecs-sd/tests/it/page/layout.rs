//! The page fits each width, from a small phone to a large screen, whatever it has to show.

use ecs_simulator::{
    Aws, Calls, ContainerDefinition, Fault, OWN_ACCOUNT, Placement, Region, Run, TaskDefinition,
};

use super::Served;
use crate::browser::{Browser, Scripts};
use crate::simulated::{REGION, fleet};

/// A small phone, a common one, a large one, two tablets, two laptops, a large screen.
const WIDTHS: [u32; 9] = [320, 390, 600, 768, 900, 960, 1024, 1280, 1920];

/// What is wrong with the layout at the window's width.
const FAULTS: &str = include_str!("layout.js");

const ROLE: &str =
    "arn:aws:iam::222222222222:role/a-path/of-a-platform-team/PrometheusServiceDiscoveryReadOnlyRole";
const FAR: &str = "ap-southeast-2";

/// As long as ECS lets a name be.
fn long_name(start: &str) -> String {
    format!("{start}{}", "_customer_facing_recommendation".repeat(9))[..255].to_owned()
}

/// A long path, many labels, several intervals, a finding of each sort.
fn run_long(region: &mut Region, cluster: &str) {
    let family = long_name("checkout");
    let path = format!("/actuator/prometheus/{}", "VeryLongPathWithoutAnyBreak".repeat(6));
    let endpoints = format!("15s:/metrics,30s:{path},1m:/slow?collect[]=a&collect[]=b,5m:/slowest");
    let mut app = ContainerDefinition::new(&long_name("app"), "registry.example.com/shop/checkout:1")
        .env("PROMETHEUS", "true")
        .env("PROMETHEUS_ENDPOINT", &endpoints)
        .port(8080);
    for number in 0..40 {
        let key = format!("com.example.platform.team/{}-{number}", "cost-centre".repeat(number % 7 + 1));
        app = app.label(&key, &long_name("value"));
    }
    let short = ContainerDefinition::new("proxy", "proxy:1")
        .env("PROMETHEUS", "true")
        .env("PROMETHEUS_ENDPOINT", "32781/metrics,32781/actuator/prometheus?collect[]=cpu&collect[]=memory")
        .port(32_781);
    let unfit = ContainerDefinition::new("unfit", "unfit:1")
        .env("PROMETHEUS", "true")
        .env("PROMETHEUS_CONTAINER_PORT", &long_name("port"));
    let stopped = ContainerDefinition::new("stopped", "stopped:1").env("PROMETHEUS", "false").port(1);
    let odd = ContainerDefinition::new("odd", "odd:1")
        .env("PROMETHEUS", "true")
        .env("PROMETHEUS_ENDPOINT", &format!("9103/ok,{}:/metrics", long_name("9x")))
        .port(9103);
    let definition = TaskDefinition::new(&family).network_mode("awsvpc").container(app).container(short);
    let definition = definition.container(unfit).container(stopped).container(odd);
    let definition = region.register(definition);
    for last in 210..214 {
        let run = Run::new(cluster, &definition, Placement::Fargate).service(&long_name("service"));
        region.run_with(run.ipv4(&format!("10.123.234.{last}")));
    }
}

/// Two clusters of the own account, one with a name as long as can be; a role's, one of which is denied; a region that
/// cannot be read, since AWS throttles one account and denies the other.
fn long_everything() -> Aws {
    let mut world = fleet(&[("production", 3)]);
    run_long(world.own(REGION), "production");
    run_long(world.own(REGION), &long_name("staging"));
    let queue = world.own(REGION).create_queue(&long_name("events")[..80]);
    for body in ["", "text", r#"{"source":"aws.ecs","detail-type":"ECS Task State Change"}"#] {
        world.own(REGION).queue(&queue).send(body);
    }
    world.allow_role(ROLE, None);
    let region = world.region("222222222222", REGION);
    run_long(region, "data-science-and-machine-learning-platform");
    region.cluster("denied");
    let aws = Aws::new(world);
    aws.inject(Fault::Denied, Calls::all().in_cluster("denied"));
    aws.inject(Fault::Denied, Calls::all().in_region(FAR).in_account("222222222222"));
    aws.inject(Fault::Throttled, Calls::all().in_region(FAR).in_account(OWN_ACCOUNT));
    aws
}

/// A queue that can be read and has messages, and one that does not exist, both with names as long as can be.
fn long_queues() -> [String; 2] {
    [OWN_ACCOUNT, "222222222222"]
        .map(|account| format!("arn:aws:sqs:{REGION}:{account}:{}", &long_name("events")[..80]))
}

#[test]
fn nothing_is_wider_than_the_page_cut_off_or_squeezed_at_any_width() {
    let regions = format!("{REGION},{FAR}");
    let (aws, queues) = (long_everything(), long_queues());
    let queues = queues.join(",");
    let arguments = ["--region", &regions, "--role", ROLE, "--event-queue", &queues];
    let served = Served::with(&aws, &arguments);
    served.shows("/", "not readable");
    served.shows("/", ">readable<");
    let browser = Browser::open(Scripts::Run);
    browser.go(&served.url("/"));
    assert_eq!(browser.count("#clusters tbody tr[data-key]"), 4);
    assert_eq!(browser.count("#clusters .problem"), 3);
    assert_eq!(browser.count("#rate-limits .badge"), 1);
    assert!(browser.count("#skipped .group") > 1 && browser.count("#targets tbody tr") > 40);
    let target = "[...document.querySelectorAll('#targets tbody a')].find(({ href }) => href.includes('actuator')).href";
    let target = browser.value(target).as_str().unwrap().to_owned();
    let pages =
        ["/", "/?q=checkout&interval=30s", "/?q=nothing", "/changes", "/target"].map(|path| served.url(path));
    let mut faults = Vec::new();
    for page in pages.iter().chain([&target]) {
        for width in WIDTHS {
            browser.size(width, 900);
            browser.go(page);
            let found = browser.value(&format!("({FAULTS})()"));
            let found = found.as_array().unwrap().iter().map(|fault| fault.as_str().unwrap());
            faults.extend(found.map(|fault| format!("{width} px: {fault} on {page}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_form_that_stays_covers_nothing_that_is_scrolled_to_or_focused() {
    let served = Served::ready(&Aws::new(fleet(&[("production", 60)])));
    let browser = Browser::open(Scripts::Run);
    let is_free = "document.activeElement.getBoundingClientRect().top - document.getElementById('find').getBoundingClientRect().bottom";
    for width in [1280, 1920] {
        browser.size(width, 900);
        for section in ["clusters", "changes", "skipped", "targets"] {
            browser.go("about:blank");
            browser.go(&served.url(&format!("/#{section}")));
            let top = format!("document.getElementById('{section}').getBoundingClientRect().top");
            let bottom = "document.getElementById('find').getBoundingClientRect().bottom";
            let gap = browser.value(&format!("{top} - {bottom}")).as_f64().unwrap();
            assert!(gap >= 0.0, "#{section} begins {gap} px below the form at {width} px");
        }
        browser.value("(window.scrollTo(0, document.body.scrollHeight), true)");
        browser.value("document.querySelectorAll('#targets tbody a')[5].focus()");
        let gap = browser.value(is_free).as_f64().unwrap();
        assert!(gap >= 0.0, "a link has the focus {gap} px below the form at {width} px");
    }
}
