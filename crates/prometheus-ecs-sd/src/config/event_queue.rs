//! The address of a queue of events, as an ARN or as a URL.
//!
//! A URL of SQS says what an ARN says, so both are the same address. Any other URL is that of a stand-in for SQS, or of a
//! VPC endpoint, and is used as it is.

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
    if let Some(region) = region_of(host).filter(|_| scheme == "https" && url.port().is_none()) {
        let ["", account, name] = path[..] else { return None };
        return QueueAddress::new(region, account, name);
    }
    let (name, path) = path.split_last()?;
    let account = path.last().filter(|account| is_account(account)).map(|account| account.to_string());
    let url = Some(text.to_owned());
    is_name(name).then(|| QueueAddress { region: None, account, name: name.to_string(), url })
}

/// The region of the host `sqs.REGION.SUFFIX`. (Each partition has different suffixes.)
fn region_of(host: &str) -> Option<&str> {
    let (region, suffix) = host.strip_prefix("sqs.")?.split_once('.')?;
    (region.contains('-') && suffix.contains('.')).then_some(region)
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
    fn any_other_url_is_used_as_it_is() {
        let sqs = format!("sqs.eu-west-1.amazonaws.com/{ACCOUNT}/events");
        for (url, account) in [
            (format!("http://127.0.0.1:4566/{ACCOUNT}/events"), Some(ACCOUNT)),
            (format!("https://localhost/queue/{ACCOUNT}/events"), Some(ACCOUNT)),
            ("http://[::1]:9324/queue/events".to_owned(), None),
            ("http://sqs:9324/events".to_owned(), None),
            (format!("http://{sqs}"), Some(ACCOUNT)),
            (format!("https://vpce-1.{sqs}"), Some(ACCOUNT)),
            (format!("https://{sqs}").replace(".com", ".com:443"), Some(ACCOUNT)),
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
