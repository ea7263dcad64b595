//! ARNs of all kinds: what is read is what was written, and nothing is two things at once.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::arn::{
    ClusterArn, ContainerArn, ContainerInstanceArn, RoleArn, TaskArn, TaskDefinitionArn,
};

fuzz::target!(arn);

/// A line is one ARN; all lines together are the fields of one.
fn arn(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let lines: Vec<_> = text.split('\n').collect();
    lines.iter().for_each(|line| read(line));
    if let [partition, service, region, account, kind, rest] = lines[..] {
        read(&format!("arn:{partition}:{service}:{region}:{account}:{kind}/{rest}"));
    }
}

/// What is known of an ARN of any kind.
struct Read {
    text: String,
    region: String,
    account: String,
    last_part: String,
}

macro_rules! read_as {
    ($kind:ident, $text:ident) => {
        $kind::parse($text).ok().map(|arn| Read {
            text: arn.to_string(),
            region: arn.region().to_owned(),
            account: arn.account().to_owned(),
            last_part: arn.last_part().to_owned(),
        })
    };
}

fn read(text: &str) {
    let found = [
        ("cluster", read_as!(ClusterArn, text)),
        ("task", read_as!(TaskArn, text)),
        ("container", read_as!(ContainerArn, text)),
        ("container-instance", read_as!(ContainerInstanceArn, text)),
        ("task-definition", read_as!(TaskDefinitionArn, text)),
        ("role", read_as!(RoleArn, text)),
    ];
    let kind = kind(text);
    for (name, read) in found {
        assert_eq!(read.is_some(), kind.map(|kind| kind.trim_start_matches("daemon-")) == Some(name));
        if let Some(read) = read {
            let fields: Vec<_> = text.split(':').collect();
            assert_eq!(read.text, text);
            assert_eq!((&*read.region, &*read.account), (fields[3], fields[4]));
            assert!(!read.last_part.is_empty() && !read.last_part.contains('/'));
            assert!(text.ends_with(&format!("/{}", read.last_part)));
        }
    }
    if let Ok(definition) = TaskDefinitionArn::parse(text) {
        let (family, revision) = (definition.family(), definition.revision());
        let (whole, colon) =
            (definition.last_part(), if definition.last_part().contains(':') { ":" } else { "" });
        assert_eq!([family, colon, revision].concat(), whole);
        assert!(!family.contains(':'));
        assert_eq!(definition.is_managed_daemon(), kind == Some("daemon-task-definition"));
    }
    let of_an_account = RoleArn::parse(text).is_ok_and(|role| is_account(role.account()));
    assert_eq!(RoleArn::parse_strictly(text).is_ok(), of_an_account);
}

/// What the text is the ARN of.
fn kind(text: &str) -> Option<&'static str> {
    let kinds = [
        ("ecs", "cluster"),
        ("ecs", "task"),
        ("ecs", "container"),
        ("ecs", "container-instance"),
        ("ecs", "task-definition"),
        ("ecs", "daemon-task-definition"),
        ("iam", "role"),
    ];
    let (partition, rest) = text.strip_prefix("arn:")?.split_once(':')?;
    let (service, rest) = rest.split_once(':')?;
    let (_region, rest) = rest.split_once(':')?;
    let (_account, resource) = rest.split_once(':')?;
    let (name, id) = resource.split_once('/')?;
    let valid = !partition.is_empty() && !id.is_empty() && !id.ends_with('/');
    let (_, kind) = kinds.into_iter().find(|kind| *kind == (service, name))?;
    valid.then_some(kind)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}
