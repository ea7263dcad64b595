"""An AWS of moto's on a free port of the loopback, with two accounts that run something.

Its argument is the policy that discovery is given, which is also all that it may do. Prints one line of JSON
when it is ready: the endpoint, a user's access key, and what moto made up (ids, addresses). From then on
every request must bear a right signature and be allowed. Ends when its standard input does, so that no
server outlives the test that started it.
"""

import json
import sys

from server import REGION, allow, create_user, endpoint, policy, require_permissions

import boto3

OWN, OTHER = "123456789012", "222222222222"
READER = f"arn:aws:iam::{OTHER}:role/discovery/reader"
MIDDLE = f"arn:aws:iam::{OWN}:role/middle"

world = {"endpoint": endpoint}


def session_of(account):
    own = boto3.Session("setup", "setup", region_name=REGION)
    if account == OWN:
        return own
    role = f"arn:aws:iam::{account}:role/setup"
    assumed = own.client("sts", endpoint_url=endpoint).assume_role(RoleArn=role, RoleSessionName="setup")
    keys = assumed["Credentials"]
    return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=REGION)


def tags(**pairs):
    return [{"key": key.replace("_", " "), "value": value} for key, value in pairs.items()]


class Account:
    def __init__(self, account):
        session = session_of(account)
        self.ecs, self.ec2, self.iam = (
            session.client(service, endpoint_url=endpoint) for service in ("ecs", "ec2", "iam")
        )
        self.subnet = self.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        self.group = self.ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]

    def define(self, family, mode, ports, environment, tags=()):
        container = {
            "name": "app",
            "image": f"{family}:1",
            "memory": 64,
            "portMappings": [{"containerPort": port} for port in ports],
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
        }
        self.ecs.register_task_definition(
            family=family, networkMode=mode, containerDefinitions=[container], tags=list(tags)
        )

    def run(self, cluster, family, launch_type, tags=()):
        where = {}
        if launch_type == "FARGATE":
            network = {"subnets": [self.subnet], "securityGroups": [self.group]}
            where["networkConfiguration"] = {"awsvpcConfiguration": network}
        run = self.ecs.run_task(
            cluster=cluster, taskDefinition=family, launchType=launch_type, tags=list(tags), **where
        )
        (task,) = run["tasks"]
        world[f"{family}.task"] = task["taskArn"].split("/")[-1]
        for detail in (detail for attachment in task["attachments"] for detail in attachment["details"]):
            if detail["name"] == "privateIPv4Address":
                world[f"{family}.address"] = detail["value"]

    def launch_host(self, cluster):
        (instance,) = self.ec2.run_instances(ImageId="ami-00000001", MinCount=1, MaxCount=1)["Instances"]
        document = json.dumps({"instanceId": instance["InstanceId"]})
        self.ecs.register_container_instance(cluster=cluster, instanceIdentityDocument=document)
        world["host.instance"] = instance["InstanceId"]
        world["host.address"] = instance["PrivateIpAddress"]

    def role(self, name, statements, path="/"):
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        self.iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=policy([trust]))
        self.iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=policy(statements))

    def user(self, name, statements):
        key = create_user(self.iam, name, policy(statements))
        world["access_key"], world["secret_key"] = key["AccessKeyId"], key["SecretAccessKey"]


own, other = Account(OWN), Account(OTHER)

own.ecs.create_cluster(clusterName="shop")
own.define(
    "api",
    "awsvpc",
    [8080, 9102],
    {"PROMETHEUS": "true", "PROMETHEUS_ENDPOINT": "15s:/metrics,9102/admin?format=text"},
    tags(team="shop", stage="test"),
)
own.run("shop", "api", "FARGATE", tags(stage="live", cost_centre="42"))
own.define("silent", "awsvpc", [8080], {"TOKEN": "hunter2"})
own.run("shop", "silent", "FARGATE")
own.launch_host("shop")
own.define("node", "host", [9100], {"PROMETHEUS": "true", "PROMETHEUS_ENDPOINT": "30s:/metrics"})
own.run("shop", "node", "EC2")

other.ecs.create_cluster(clusterName="payments")
other.define("ledger", "awsvpc", [8443], {"PROMETHEUS": "true", "PROMETHEUS_SCHEME": "https"})
other.run("payments", "ledger", "FARGATE", tags(team="payments"))

with open(sys.argv[1]) as file:
    discovery = json.load(file)["Statement"]
other.role("reader", discovery, path="/discovery/")
own.role("middle", [allow("sts:AssumeRole", READER)])
own.user("discovery", [*discovery, allow("sts:AssumeRole", [READER, MIDDLE])])

require_permissions()
print(json.dumps(world), flush=True)
sys.stdin.read()
