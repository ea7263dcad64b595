//! The address of a queue of events, as an ARN or as a URL.
//!
//! A URL of SQS names the region, the account and the queue, as an ARN does. If it is that of the region's usual endpoint,
//! both are the same address. With a FIPS or VPC endpoint it is used as it is, in its region. Any other URL is that of a
//! stand-in for SQS, and is used as it is, in the region of the AWS configuration.

use axum::http::Uri;

/// Longer than any ARN or URL of a queue: a name has up to 80 characters.
const MAX_LENGTH: usize = 2048;

const EXAMPLES: &str = "it looks like arn:aws:sqs:eu-west-1:123456789012:NAME or \
     https://sqs.eu-west-1.amazonaws.com/123456789012/NAME";

/// The partitions of AWS whose regions begin like this; all others are of `aws`.
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("eusc-", "aws-eusc"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
];

/// Where a queue is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueAddress {
    /// Its region; `None` for that of the AWS configuration.
    pub region: Option<String>,
    /// The account that owns it; `None` if the URL names none.
    pub account: Option<String>,
    /// Its name.
    pub name: String,
    /// Its URL if that is used as it is.
    pub url: Option<String>,
}

impl QueueAddress {
    /// Parses a value of the option.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let address = match text.starts_with("arn:") {
            true => of_arn(text),
            false => of_url(text),
        };
        let address = address.filter(|_| text.len() <= MAX_LENGTH);
        // A URL may have a password.
        let address = address.ok_or_else(|| match text.contains('@') {
            true => format!("it is not the ARN or the URL of a queue; {EXAMPLES}"),
            false => {
                let brief: String = text.chars().take(200).collect();
                format!("{brief:?} is not the ARN or the URL of a queue; {EXAMPLES}")
            }
        })?;
        if address.name.ends_with(".fifo") {
            let name = &address.name;
            return Err(format!("{name} is a FIFO queue, which is not supported; make a standard queue"));
        }
        Ok(address)
    }

    /// What logs and metrics call it: `REGION/NAME`, or `NAME` in the region of the AWS configuration.
    pub fn label(&self) -> String {
        match &self.region {
            Some(region) => format!("{region}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether both are the same queue, wherever it is asked.
    pub fn is_same(&self, other: &Self) -> bool {
        let queue = |one: &Self| Some((one.region.clone()?, one.account.clone()?, one.name.clone()));
        self == other || (queue(self).is_some() && queue(self) == queue(other))
    }

    /// What it may be called, from the shortest name to the one that no other queue has.
    fn names(&self) -> [String; 3] {
        let long = match (&self.region, &self.account) {
            (Some(region), Some(account)) => format!("{region}/{account}/{}", self.name),
            _ => self.label(),
        };
        let url = self.url.as_ref().and_then(|url| Some(url.split_once("://")?.1.to_owned()));
        [self.label(), long.clone(), url.unwrap_or(long)]
    }

    /// Its ARN, if the region and the account are known.
    pub fn arn(&self) -> Option<String> {
        let (region, account) = (self.region.as_ref()?, self.account.as_ref()?);
        let partition = PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix));
        let partition = partition.map_or("aws", |(_, partition)| partition);
        Some(format!("arn:{partition}:sqs:{region}:{account}:{}", self.name))
    }

    fn new(region: &str, account: &str, name: &str) -> Option<Self> {
        let region = super::region(region).ok().filter(|region| !region.is_empty())?;
        let is_valid = is_account(account) && is_name(name);
        is_valid.then(|| Self {
            region: Some(region),
            account: Some(account.to_owned()),
            name: name.to_owned(),
            url: None,
        })
    }
}

/// `arn:PARTITION:sqs:REGION:ACCOUNT:NAME`
fn of_arn(text: &str) -> Option<QueueAddress> {
    let fields: Vec<_> = text.split(':').collect();
    let ["arn", partition, "sqs", region, account, name] = fields[..] else { return None };
    QueueAddress::new(region, account, name).filter(|_| partition.starts_with("aws"))
}

fn of_url(text: &str) -> Option<QueueAddress> {
    let url: Uri = text.parse().ok()?;
    let host = url.host().filter(|host| !host.is_empty())?;
    let scheme = url.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    if url.query().is_some() || url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return None;
    }
    let path: Vec<_> = url.path().split('/').collect();
    if let Some((region, is_usual)) = region_of(host) {
        let ["", account, name] = path[..] else { return None };
        let is_usual = is_usual && scheme == "https" && url.port_u16().is_none_or(|port| port == 443);
        let address = QueueAddress::new(region, account, name)?;
        return Some(QueueAddress { url: (!is_usual).then(|| text.to_owned()), ..address });
    }
    let (name, path) = path.split_last()?;
    let account = path.last().filter(|account| is_account(account)).map(|account| account.to_string());
    let url = Some(text.to_owned());
    is_name(name).then(|| QueueAddress { region: None, account, name: name.to_string(), url })
}

/// The region of a host of SQS, and whether that is the region's usual endpoint. (Each partition has different suffixes.)
///
/// Usual are `sqs.REGION.SUFFIX`, and in URLs of an earlier protocol `REGION.queue.amazonaws.com`, without the region in
/// us-east-1. Others are `sqs-fips.REGION.SUFFIX` and `vpce-ID.sqs.REGION.vpce.SUFFIX`.
/// <https://docs.aws.amazon.com/general/latest/gr/sqs-service.html>
fn region_of(host: &str) -> Option<(&str, bool)> {
    if let Some(region) = host.strip_suffix("queue.amazonaws.com") {
        return match region.strip_suffix('.') {
            None => region.is_empty().then_some(("us-east-1", true)),
            Some(region) => region.contains('-').then_some((region, true)),
        };
    }
    let is_vpc_endpoint = |(id, _): &(&str, &str)| id.starts_with("vpce-");
    let endpoint = host.split_once('.').filter(is_vpc_endpoint).map(|(_, endpoint)| endpoint);
    let (service, rest) = endpoint.unwrap_or(host).split_once('.')?;
    let (region, suffix) = rest.split_once('.')?;
    let is_of_sqs = service == "sqs" || service == "sqs-fips";
    let is_usual = service == "sqs" && endpoint.is_none();
    (is_of_sqs && region.contains('-') && suffix.contains('.')).then_some((region, is_usual))
}

/// What logs and metrics call these queues: `REGION/NAME`; with the account, or as the URL, if several are called so.
pub(crate) fn labels(queues: &[QueueAddress]) -> Vec<String> {
    let names: Vec<_> = queues.iter().map(QueueAddress::names).collect();
    let is_only = |name: &String, at: usize| names.iter().filter(|other| other[at] == *name).count() == 1;
    let label = |names: &[String; 3]| {
        let mut shortest = names.iter().enumerate().filter(|(at, name)| is_only(name, *at));
        shortest.next().map_or_else(|| names[2].clone(), |(_, name)| name.clone())
    };
    names.iter().map(label).collect()
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>, where the suffix of
/// a FIFO queue is a part of its name.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix(".fifo").unwrap_or(text);
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && text.len() <= 80 && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "123456789012";

    fn address(text: &str) -> QueueAddress {
        QueueAddress::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    #[test]
    fn the_url_of_sqs_is_the_same_address_as_the_arn() {
        for (region, partition, suffix) in [
            ("eu-west-1", "aws", "amazonaws.com"),
            ("eu-west-1", "aws", "api.aws"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
        ] {
            let arn = format!("arn:{partition}:sqs:{region}:{ACCOUNT}:events");
            let of_arn = address(&arn);
            let url = format!(" https://sqs.{region}.{suffix}/{ACCOUNT}/events\n");
            assert_eq!((&address(&url), of_arn.arn()), (&of_arn, Some(arn)));
            assert_eq!(of_arn.label(), format!("{region}/events"));
            let expected = (Some(region.to_owned()), Some(ACCOUNT.to_owned()), "events".to_owned(), None);
            assert_eq!((of_arn.region, of_arn.account, of_arn.name, of_arn.url), expected);
        }
    }

    #[test]
    fn the_usual_endpoint_has_more_than_one_host() {
        for (host, region) in [
            ("sqs.eu-west-1.amazonaws.com:443", "eu-west-1"),
            ("eu-west-1.queue.amazonaws.com", "eu-west-1"),
            ("queue.amazonaws.com", "us-east-1"),
        ] {
            let arn = format!("arn:aws:sqs:{region}:{ACCOUNT}:events");
            assert_eq!(address(&format!("https://{host}/{ACCOUNT}/events")), address(&arn), "{host}");
        }
    }

    #[test]
    fn a_fips_or_vpc_endpoint_is_used_as_it_is_for_the_queue_of_the_arn() {
        for (host, partition, region) in [
            ("https://sqs-fips.us-east-1.amazonaws.com", "aws", "us-east-1"),
            ("https://sqs-fips.us-west-2.api.aws", "aws", "us-west-2"),
            ("https://vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com", "aws", "eu-west-1"),
            ("https://vpce-0a1b-2c3d-eu-west-1a.sqs.eu-west-1.vpce.amazonaws.com", "aws", "eu-west-1"),
            ("https://vpce-0a1b-2c3d.sqs.cn-north-1.vpce.amazonaws.com.cn", "aws-cn", "cn-north-1"),
            ("http://sqs.eu-west-1.amazonaws.com", "aws", "eu-west-1"),
            ("https://sqs.eu-west-1.amazonaws.com:8443", "aws", "eu-west-1"),
        ] {
            let url = format!("{host}/{ACCOUNT}/events");
            let arn = format!("arn:{partition}:sqs:{region}:{ACCOUNT}:events");
            let (found, of_arn) = (address(&url), address(&arn));
            assert!(found != of_arn && found.is_same(&of_arn), "{url}");
            assert_eq!((found.arn(), &found.url), (Some(arn), &Some(url)));
            assert_eq!(found.label(), of_arn.label());
        }
    }

    #[test]
    fn queues_of_one_name_are_told_apart() {
        let of = |texts: &[&str]| labels(&texts.iter().map(|text| address(text)).collect::<Vec<_>>());
        let (one, other) =
            ("arn:aws:sqs:eu-west-1:111111111111:events", "arn:aws:sqs:eu-west-1:222222222222:events");
        let stand_ins =
            ["http://localhost:4566/000000000000/events", "http://localhost:4567/000000000000/events"];
        assert_eq!(
            of(&[one, "arn:aws:sqs:eu-west-1:222222222222:more"]),
            ["eu-west-1/events", "eu-west-1/more"]
        );
        assert_eq!(of(&[one, other]), ["eu-west-1/111111111111/events", "eu-west-1/222222222222/events"]);
        assert_eq!(of(&stand_ins), stand_ins.map(|url| url.replace("http://", "")));
        let same_region = |text: &str| QueueAddress { region: Some("eu-west-1".to_owned()), ..address(text) };
        let all = labels(&[same_region(one), same_region(stand_ins[0]), same_region(stand_ins[1])]);
        let expected = ["eu-west-1/111111111111/events", "localhost:4566/000000000000/events"];
        assert_eq!(all[..2], expected);
    }

    #[test]
    fn any_other_url_is_used_as_it_is() {
        for (url, account) in [
            (format!("http://127.0.0.1:4566/{ACCOUNT}/events"), Some(ACCOUNT)),
            (format!("https://localhost/queue/{ACCOUNT}/events"), Some(ACCOUNT)),
            ("http://[::1]:9324/queue/events".to_owned(), None),
            ("http://sqs:9324/events".to_owned(), None),
            (format!("https://sqs.example.com/{ACCOUNT}/events"), Some(ACCOUNT)),
        ] {
            let found = address(&url);
            assert_eq!((found.label(), found.arn()), ("events".to_owned(), None), "{url}");
            let account = account.map(str::to_owned);
            let expected = QueueAddress { region: None, account, name: "events".into(), url: Some(url) };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_fifo_queue_is_refused_by_name() {
        for text in [
            format!("arn:aws:sqs:eu-west-1:{ACCOUNT}:events.fifo"),
            format!("https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/events.fifo"),
            "http://localhost:4566/000000000000/events.fifo".to_owned(),
        ] {
            let expected = "events.fifo is a FIFO queue, which is not supported; make a standard queue";
            assert_eq!(QueueAddress::parse(&text), Err(expected.to_owned()));
        }
    }

    #[test]
    fn what_is_neither_is_refused_and_a_password_is_not_quoted() {
        for text in [
            "",
            "events",
            "arn:aws:sns:eu-west-1:123456789012:events",
            "arn:aws:sqs:eu-west-1:123456789012",
            "arn:aws:sqs::123456789012:events",
            "arn:aws:sqs:eu-west-1::events",
            "arn:aws:sqs:eu-west-1:12345:events",
            "arn:aws:sqs:eu-west-1:123456789012:",
            "arn:aws:sqs:eu-west-1:123456789012:a:b",
            "arn:aws:sqs:eu west:123456789012:events",
            "arn:aws:sqs:eu-west-1:123456789012:a/b",
            "https://sqs.eu-west-1.amazonaws.com/events",
            "https://sqs-fips.us-east-1.amazonaws.com/events",
            "https://eu-west-1.queue.amazonaws.com/events",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/events/",
            "https://localhost/",
            "https://",
            "http:///events",
            "ftp://localhost/events",
            "/123456789012/events",
            "http://localhost/events?x=1",
        ] {
            let expected = format!("{text:?} is not the ARN or the URL of a queue; {EXAMPLES}");
            assert_eq!(QueueAddress::parse(text), Err(expected));
        }
        let problem = QueueAddress::parse("http://user:hunter2@localhost/events").expect_err("a password");
        assert_eq!(problem, format!("it is not the ARN or the URL of a queue; {EXAMPLES}"));
        let long = format!("http://localhost/{}/events", "x".repeat(MAX_LENGTH));
        let problem = QueueAddress::parse(&long).expect_err("too long");
        assert!(problem.len() < 400, "{problem}");
        let longest = |name: &str| QueueAddress::parse(&format!("arn:aws:sqs:eu-west-1:{ACCOUNT}:{name}"));
        assert!(longest(&"x".repeat(80)).is_ok() && longest(&"x".repeat(81)).is_err());
    }
}
