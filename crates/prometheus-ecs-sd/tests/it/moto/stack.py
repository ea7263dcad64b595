"""An AWS of moto's with one cluster, to which templates are deployed and whose tasks have events.

Reads one command a line, as JSON: the name of a function below as "call", and its arguments. Prints its result as one
line of JSON; first the endpoint. Ends when its standard input does, so that no server outlives the test that
started it.
"""

import json
import sys
from datetime import datetime, timezone

from server import REGION, allow, create_user, endpoint, policy, require_permissions

import boto3
from moto.sqs.models import SQSBackend

CLUSTER, OTHER_CLUSTER = "shop", "elsewhere"
DEFINITION = {
    "family": "api",
    "networkMode": "awsvpc",
    "containerDefinitions": [
        {
            "name": "app",
            "image": "api:1",
            "memory": 64,
            "portMappings": [{"containerPort": 8080}],
            "environment": [{"name": "PROMETHEUS", "value": "true"}],
        }
    ],
}
# An event lacks these fields of DescribeTasks.
NOT_IN_EVENTS = ["tags", "healthStatus", "capacityProviderName", "platformFamily"]

# moto notices that a queue is gone when a long poll ends, so these are shorter here.
LONGEST_POLL = 2
receive_message = SQSBackend.receive_message


def receive_soon(backend, queue_name, count, wait_seconds_timeout, *others):
    return receive_message(backend, queue_name, count, min(wait_seconds_timeout, LONGEST_POLL), *others)


SQSBackend.receive_message = receive_soon


def clients(access_key, secret_key):
    session = boto3.Session(access_key, secret_key, region_name=REGION)
    names = ["cloudformation", "ec2", "ecs", "events", "iam", "sqs"]
    return {name: session.client(name, endpoint_url=endpoint) for name in names}


aws = clients("setup", "setup")
subnet = aws["ec2"].describe_subnets()["Subnets"][0]["SubnetId"]
group = aws["ec2"].describe_security_groups()["SecurityGroups"][0]["GroupId"]
for cluster in (CLUSTER, OTHER_CLUSTER):
    aws["ecs"].create_cluster(clusterName=cluster)
aws["ecs"].register_task_definition(**DEFINITION)


def create_stack(template):
    """The status and the outputs of the stack."""
    aws["cloudformation"].create_stack(StackName="events", TemplateBody=template)
    (created,) = aws["cloudformation"].describe_stacks(StackName="events")["Stacks"]
    return {
        "status": created["StackStatus"],
        "outputs": {output["OutputKey"]: output["OutputValue"] for output in created["Outputs"]},
    }


def deployed():
    """All that there is in EventBridge and SQS."""
    rules = aws["events"].list_rules()["Rules"]
    for rule in rules:
        rule["EventPattern"] = json.loads(rule["EventPattern"])
        targets = aws["events"].list_targets_by_rule(Rule=rule["Name"])["Targets"]
        rule["Targets"] = sorted(targets, key=lambda target: target["Id"])
    queues = {}
    for url in aws["sqs"].list_queues().get("QueueUrls", []):
        attributes = aws["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for name in [name for name in attributes if name.startswith("Approximate") or name.endswith("Timestamp")]:
            del attributes[name]
        for name in {"Policy", "RedrivePolicy"}.intersection(attributes):
            attributes[name] = json.loads(attributes[name])
        queues[url.split("/")[-1]] = attributes
    return {"rules": rules, "queues": queues}


def restrict(document):
    """From now on all requests need permission. The key of a user with this policy."""
    operator = create_user(aws["iam"], "operator", policy([allow("*", "*")]))
    # The permission for one deletion is also that for a batch of them, which moto does not know.
    document = document.replace('"sqs:DeleteMessage"', '"sqs:DeleteMessage", "sqs:DeleteMessageBatch"')
    key = create_user(aws["iam"], "discovery", document)
    require_permissions()
    aws.update(clients(operator["AccessKeyId"], operator["SecretAccessKey"]))
    return {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}


def run(cluster=CLUSTER):
    """Runs a task, without an event."""
    network = {"subnets": [subnet], "securityGroups": [group]}
    ran = aws["ecs"].run_task(
        cluster=cluster,
        taskDefinition=DEFINITION["family"],
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
    )
    (task,) = ran["tasks"]
    (address,) = (
        detail["value"]
        for attachment in task["attachments"]
        for detail in attachment["details"]
        if detail["name"] == "privateIPv4Address"
    )
    return {"task": task["taskArn"], "address": f"{address}:8080"}


def stop(task):
    """Stops a task, without an event."""
    aws["ecs"].stop_task(cluster=CLUSTER, task=task)


def put_event(task, status, version, cluster=CLUSTER):
    """What ECS says about a task when it is in that status."""
    described = aws["ecs"].describe_tasks(cluster=cluster, tasks=[task])
    (detail,) = described["tasks"]
    for name in NOT_IN_EVENTS:
        detail.pop(name, None)
    for attachment in detail["attachments"]:
        attachment["type"] = "eni"
    for container in detail["containers"]:
        container.pop("healthStatus", None)
        container["lastStatus"] = "STOPPED" if status == "STOPPED" else status
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    desired = "STOPPED" if status == "STOPPED" else "RUNNING"
    detail |= {"lastStatus": status, "desiredStatus": desired, "version": version, "updatedAt": now}
    event = {
        "Source": "aws.ecs",
        "DetailType": "ECS Task State Change",
        "Resources": [task],
        "Detail": json.dumps(detail, default=datetime.isoformat),
    }
    put = aws["events"].put_events(Entries=[event])
    return {"failed": put["FailedEntryCount"]}


def heartbeat(queue, account):
    """moto has no clock for a rule's schedule, so this sends what a schedule can be told to send."""
    body = {"prometheus-ecs-sd": "heartbeat", "account": account, "region": REGION}
    url = aws["sqs"].get_queue_url(QueueName=queue)["QueueUrl"]
    aws["sqs"].send_message(QueueUrl=url, MessageBody=json.dumps(body))


def waiting(queue):
    """How many messages the queue has, received ones included."""
    url = aws["sqs"].get_queue_url(QueueName=queue)["QueueUrl"]
    attributes = aws["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return sum(int(value) for name, value in attributes.items() if name.startswith("ApproximateNumber"))


def delete_queue(queue):
    # moto cannot tell which queue a request for one that is gone is about, and would deny it.
    require_permissions(False)
    aws["sqs"].delete_queue(QueueUrl=aws["sqs"].get_queue_url(QueueName=queue)["QueueUrl"])


print(json.dumps({"endpoint": endpoint}), flush=True)
for line in sys.stdin:
    arguments = json.loads(line)
    print(json.dumps(globals()[arguments.pop("call")](**arguments)), flush=True)
