//! Amazon Resource Names, parsed once and then trusted; nobody else slices an ARN.
//!
//! Every partition is read (`aws`, `aws-cn`, `aws-us-gov`, …), and both forms of task and container
//! instance ARNs: the long `task/CLUSTER/ID` and the `task/ID` of accounts that never opted in to it.

use std::fmt;
use std::sync::Arc;

use crate::text::brief;

/// The text is not an ARN of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidArn {
    text: String,
    kind: &'static str,
}

impl fmt::Display for InvalidArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not the ARN of a {}", brief(&self.text), self.kind)
    }
}

impl std::error::Error for InvalidArn {}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`
struct Parts<'a> {
    partition: &'a str,
    service: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let mut rest = text.strip_prefix("arn:")?;
    let mut field = || {
        let (field, after) = cut(rest, b':')?;
        rest = after;
        Some(field)
    };
    let (partition, service, region, account) = (field()?, field()?, field()?, field()?);
    Some(Parts { partition, service, region, account, resource: rest })
}

/// What precedes and what follows the first of that ASCII character. In texts as short as the fields of an ARN, looking
/// at each byte takes a third of the instructions of [`str::split_once`].
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let position = text.bytes().position(|byte| byte == at)?;
    Some((&text[..position], &text[position + 1..]))
}

/// Whether `text` is an ARN of `service` whose resource is `TYPE/…` with a non-empty last part.
fn is(text: &str, service: &str, types: &[&str]) -> bool {
    parts(text).is_some_and(|parts| {
        !parts.partition.is_empty()
            && parts.service == service
            && cut(parts.resource, b'/')
                .is_some_and(|(kind, rest)| types.contains(&kind) && !rest.is_empty() && !rest.ends_with('/'))
    })
}

macro_rules! arn {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $service:literal, $types:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the text of the ARN, or says that it is of another kind.
            pub fn parse(text: &str) -> Result<Self, InvalidArn> {
                if is(text, $service, $types) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidArn { text: text.to_owned(), kind: $kind })
                }
            }

            /// The whole ARN.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, to be replaced by an equal one.
            #[allow(dead_code, reason = "not every kind of ARN is shared")]
            pub(crate) fn text_mut(&mut self) -> &mut Arc<str> {
                &mut self.0
            }

            /// The region, empty for IAM.
            pub fn region(&self) -> &str {
                parts(&self.0).map_or("", |parts| parts.region)
            }

            /// The twelve-digit account id.
            pub fn account(&self) -> &str {
                parts(&self.0).map_or("", |parts| parts.account)
            }

            /// What follows the last `/`: an id, or a name.
            pub fn last_part(&self) -> &str {
                self.0.rsplit('/').next().unwrap_or_default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

arn!(
    /// `arn:…:cluster/NAME`; its last part is the cluster's name.
    ClusterArn, "cluster", "ecs", &["cluster"]
);
arn!(
    /// `arn:…:task/CLUSTER/ID` or `arn:…:task/ID`; its last part is the task's id.
    TaskArn, "task", "ecs", &["task"]
);
arn!(
    /// `arn:…:container/CLUSTER/TASK/ID` or `arn:…:container/ID`; its last part is the container's id.
    ContainerArn, "container", "ecs", &["container"]
);
arn!(
    /// `arn:…:container-instance/CLUSTER/ID` or `arn:…:container-instance/ID`.
    ContainerInstanceArn, "container instance", "ecs", &["container-instance"]
);
arn!(
    /// `arn:…:task-definition/FAMILY:REVISION`, or the `daemon-task-definition/…` of an ECS managed daemon.
    TaskDefinitionArn, "task definition", "ecs", &["task-definition", "daemon-task-definition"]
);
arn!(
    /// `arn:…:service/CLUSTER/NAME` or `arn:…:service/NAME`; its last part is the service's name.
    ServiceArn, "service", "ecs", &["service"]
);
arn!(
    /// `arn:…:iam::ACCOUNT:role/PATH/NAME`; its last part is the role's name.
    RoleArn, "role", "iam", &["role"]
);

impl ClusterArn {
    /// The ARN of the cluster of that name in the same account and region.
    pub(crate) fn with_name(&self, name: &str) -> Option<Self> {
        let Parts { partition, region, account, .. } = parts(&self.0)?;
        Self::parse(&format!("arn:{partition}:ecs:{region}:{account}:cluster/{name}")).ok()
    }
}

impl TaskArn {
    /// The ARN of its cluster, which the short form does not name.
    pub fn cluster(&self) -> Option<ClusterArn> {
        let parts = parts(&self.0)?;
        let ["task", cluster, _] = parts.resource.split('/').collect::<Vec<_>>()[..] else { return None };
        let Parts { partition, region, account, .. } = parts;
        ClusterArn::parse(&format!("arn:{partition}:ecs:{region}:{account}:cluster/{cluster}")).ok()
    }
}

impl TaskDefinitionArn {
    /// The family, the name that all revisions share.
    pub fn family(&self) -> &str {
        let name = self.last_part();
        cut(name, b':').map_or(name, |(family, _)| family)
    }

    /// The revision number as text; empty in the rare ARN that names none.
    pub fn revision(&self) -> &str {
        cut(self.last_part(), b':').map_or("", |(_, revision)| revision)
    }

    /// Whether this is the definition of an ECS managed daemon, which DescribeTaskDefinition does not serve.
    pub fn is_managed_daemon(&self) -> bool {
        parts(&self.0).is_some_and(|parts| parts.resource.starts_with("daemon-task-definition/"))
    }
}

impl RoleArn {
    /// Parses a role's ARN and insists on its twelve-digit account id, which people mistype.
    pub fn parse_strictly(text: &str) -> Result<Self, InvalidArn> {
        let arn = Self::parse(text)?;
        let account = arn.account();
        if account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit()) {
            Ok(arn)
        } else {
            Err(InvalidArn { text: text.to_owned(), kind: "role" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_and_all_partitions_are_read() {
        for (text, id, region) in [
            ("arn:aws:ecs:eu-west-1:123456789012:task/0f1e", "0f1e", "eu-west-1"),
            ("arn:aws:ecs:eu-west-1:123456789012:task/prod/0f1e", "0f1e", "eu-west-1"),
            ("arn:aws-cn:ecs:cn-north-1:123456789012:task/prod/0f1e", "0f1e", "cn-north-1"),
            ("arn:aws-us-gov:ecs:us-gov-west-1:123456789012:task/prod/0f1e", "0f1e", "us-gov-west-1"),
        ] {
            let arn = TaskArn::parse(text).expect("a task ARN");
            assert_eq!((arn.last_part(), arn.region(), arn.account()), (id, region, "123456789012"));
            let cluster = text.replace("task/prod/0f1e", "cluster/prod");
            let cluster = Some(cluster).filter(|cluster| cluster.ends_with("cluster/prod"));
            assert_eq!(arn.cluster().map(|arn| arn.to_string()), cluster);
        }
    }

    #[test]
    fn another_kind_of_arn_is_refused_by_name() {
        let error = TaskArn::parse("arn:aws:ecs:eu-west-1:123456789012:cluster/prod").expect_err("a cluster");
        assert_eq!(
            error.to_string(),
            r#""arn:aws:ecs:eu-west-1:123456789012:cluster/prod" is not the ARN of a task"#
        );
        for text in ["", "task/1", "arn:aws:ecs:r:1:task/", "arn:aws:ecs:r:1:task", "arn::ecs:r:1:task/1"] {
            assert!(TaskArn::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_definition_has_family_and_revision() {
        let arn = TaskDefinitionArn::parse("arn:aws:ecs:r:1:task-definition/web:17").expect("a definition");
        assert_eq!((arn.family(), arn.revision(), arn.is_managed_daemon()), ("web", "17", false));
        let arn =
            TaskDefinitionArn::parse("arn:aws:ecs:r:1:daemon-task-definition/agent:2").expect("a daemon");
        assert!(arn.is_managed_daemon());
    }

    #[test]
    fn a_role_needs_a_real_account() {
        assert!(RoleArn::parse_strictly("arn:aws:iam::123456789012:role/path/reader").is_ok());
        assert!(RoleArn::parse_strictly("arn:aws:iam::12345:role/reader").is_err());
        assert!(RoleArn::parse_strictly("arn:aws:iam::123456789012:user/me").is_err());
    }
}
