"""moto on a free port of the loopback, with tasks that keep running."""

import os

# Any image will do, and there are hundreds.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

import json

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.ecs import models
from moto.moto_api import state_manager
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"

# moto never moves a container from PENDING, which on AWS no container of a RUNNING task stays in.
made = models.Container.__init__


def make_running(container, definition):
    made(container, definition)
    container.last_status = "RUNNING"


models.Container.__init__ = make_running
# moto moves a task one step towards STOPPED whenever it is described.
state_manager.set_transition("ecs::task", {"progression": "manual", "times": 10**9})

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
endpoint = "http://{}:{}".format(*server.get_host_and_port())


def require_permissions(required=True):
    """From now on every request must bear a right signature and be allowed, or none needs to."""
    ActionAuthenticatorMixin.request_count = 0
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0 if required else float("inf")


def allow(actions, resources):
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def policy(statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def create_user(iam, name, document):
    """A user who may do what the policy says. Returns the user's access key."""
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=document)
    return iam.create_access_key(UserName=name)["AccessKey"]
