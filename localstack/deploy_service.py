"""Ships one service's functions: the code of those that have changed, and nothing else of the stack.

Says of every function of the service what it ran before and runs now, by Lambda's hash of its package, and
fails if any other function of the stack runs something else than before.

A function that is rolled out gradually gets a new version, which takes over as it does in a deployment of the
whole stack: by CodeDeploy, which goes back when an alarm goes off.

Usage: deploy_service.py STACK SERVICE PACKAGES, from the repository's root.
"""

import base64
import hashlib
import json
import pathlib
import sys

import boto3
from check_binaries import MACHINES, machine
from package import binary_of, pack
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = pathlib.Path("template.yaml")
ALIAS = "live"
# How long a rollout may take: CodeDeploy is asked every 15 seconds.
ROLLOUT = {"Delay": 15, "MaxAttempts": 240}


def main():
    stack, service, packages = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    client = boto3.client("lambda")
    running = deployed(client, stack)
    before = hashes(running)
    functions = functions_of(service)
    if missing := sorted(f"{stack}-{name}" for name in functions if f"{stack}-{name}" not in before):
        sys.exit(f"not deployed: {', '.join(missing)}. A new function comes with a deployment of the whole stack")
    for name in functions:
        architecture = running[f"{stack}-{name}"]["Architectures"][0]
        if machine(binary_of(name).read_bytes()) != MACHINES[architecture]:
            sys.exit(f"{name} is not built for {architecture}, which it runs on")
    rollouts = []
    for name, resource in functions.items():
        pack(name, packages)
        package = (packages / f"{name}.zip").read_bytes()
        if hash_of(package) != before[f"{stack}-{name}"]:
            rollouts += update(client, stack, name, resource, package)
    for rollout in rollouts:
        boto3.client("codedeploy").get_waiter("deployment_successful").wait(
            deploymentId=rollout, WaiterConfig=ROLLOUT
        )
    report(stack, functions, before, hashes(deployed(client, stack)))


def functions_of(service):
    """The service's functions in template.yaml: their names, and those of their resources."""
    found, services = {}, set()
    for resource, definition in yaml_parse(TEMPLATE.read_text())["Resources"].items():
        if definition["Type"] == "AWS::Serverless::Function":
            properties = definition["Properties"]
            of = properties["Environment"]["Variables"]["SERVICE_NAME"]
            services.add(of)
            if of == service:
                found[properties["CodeUri"].strip("/").rsplit("/")[-1]] = resource
    if not found:
        sys.exit(f"there is no service {service}; there are {', '.join(sorted(services))}")
    return found


def deployed(client, stack):
    """The functions of the stack, by their names."""
    pages = client.get_paginator("list_functions").paginate()
    return {
        function["FunctionName"]: function
        for page in pages
        for function in page["Functions"]
        if function.get("Environment", {}).get("Variables", {}).get("STACK_NAME") == stack
    }


def hashes(functions):
    return {name: function["CodeSha256"] for name, function in functions.items()}


def hash_of(package):
    return base64.b64encode(hashlib.sha256(package).digest()).decode()


def update(client, stack, name, resource, package):
    """Gives the function this code; answers with the rollouts that it started."""
    function = f"{stack}-{name}"
    aliases = {alias["Name"]: alias for alias in client.list_aliases(FunctionName=function)["Aliases"]}
    answer = client.update_function_code(FunctionName=function, ZipFile=package, Publish=ALIAS in aliases)
    client.get_waiter("function_updated_v2").wait(FunctionName=function)
    if ALIAS not in aliases:
        return []
    group = deployment_group(stack, resource)
    if group is None:
        client.update_alias(FunctionName=function, Name=ALIAS, FunctionVersion=answer["Version"])
        return []
    return [roll_out(group, function, aliases[ALIAS]["FunctionVersion"], answer["Version"])]


def deployment_group(stack, resource):
    """CodeDeploy's application and group for a function's resource, as the SAM transform calls them, if any."""
    cloudformation = boto3.client("cloudformation")
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    names = {
        found["LogicalResourceId"]: found["PhysicalResourceId"]
        for page in pages
        for found in page["StackResourceSummaries"]
        if found["ResourceType"].startswith("AWS::CodeDeploy::")
    }
    group = names.get(f"{resource}DeploymentGroup")
    return group and (names["ServerlessDeploymentApplication"], group)


def roll_out(group, function, current, target):
    application, name = group
    properties = {"Name": function, "Alias": ALIAS, "CurrentVersion": current, "TargetVersion": target}
    resources = [{function: {"Type": "AWS::Lambda::Function", "Properties": properties}}]
    content = json.dumps({"version": 0.0, "Resources": resources})
    answer = boto3.client("codedeploy").create_deployment(
        applicationName=application,
        deploymentGroupName=name,
        revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": content}},
    )
    print(f"{function}: version {target} takes over from {current}, deployment {answer['deploymentId']}")
    return answer["deploymentId"]


def report(stack, functions, before, after):
    width = max(len(name) for name in functions)
    for name in sorted(functions):
        function = f"{stack}-{name}"
        changed = "changed" if before[function] != after[function] else "the same"
        print(f"{name:<{width}}  {before[function][:12]}  {after[function][:12]}  {changed}")
    others = before.keys() - {f"{stack}-{name}" for name in functions}
    if touched := sorted(name for name in others if after.get(name) != before[name]):
        sys.exit(f"changed meanwhile, though not of this service: {', '.join(touched)}")
    print(f"The other {len(others)} functions run what they ran.")


if __name__ == "__main__":
    main()
