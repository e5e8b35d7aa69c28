"""Checks what would be deployed to AWS, without a network: what cfn-lint alone and `sam validate` do not see.

- Every environment of samconfig.toml sets parameters that exist, to values that they may have; the template
  is clean with those of production.
- Every stack stays clear of CloudFormation's limits, counted after the SAM transform with those parameters.
- Every function waits for the stack that watches it; the money path rolls out gradually, watched by alarms
  that exist, and by a new version for whatever changes of it.
- The API has the one stage that is throttled and traced, and its own answers are part of its definition.
- What holds data is encrypted, recoverable and protected, and outlives its stack.

Usage: check.py, from the repository's root. Prints the counts; fails with a line for whatever is wrong.
"""

import copy
import functools
import json
import logging
import os
import pathlib
import subprocess
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from observability import service_of, without_stack

sys.path.append("localstack")

from releases import environments, overrides, with_releases

TEMPLATE = pathlib.Path("template.yaml")
STATE = sorted(pathlib.Path("infra").glob("*.yaml"))
OBSERVABILITY = sorted(pathlib.Path("infra/observability").glob("*.yaml"))
ENVIRONMENTS = {"dev", "staging", "prod"}

# CloudFormation's quotas: resources of a stack, and bytes of a template, which the transform more than doubles.
MOST_RESOURCES = 500
LARGEST_TEMPLATE = 1_000_000
# What must be left of them, so that the next service fits in while somebody thinks of something.
HEADROOM = 0.05

# What each environment has to be given beside what samconfig.toml says.
GIVEN = {"JwtPublicKeys": "kid:x", "AlarmAddress": "alarms@example.com"}
# Auth's part of the money path: what signs somebody in, and what changes with what they do. Of orders and
# payments it is whatever changes an order or a payment.
SIGN_IN = {
    f"auth-{name}"
    for name in ("register", "login", "token", "change-password", "mfa-enroll", "mfa-confirm", "mfa-disable")
}
CHANGING = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "events:PutEvents"}


class ManagedPolicies:
    """The managed policies that SAM's transform asks AWS for."""

    def load(self):
        names = ("AWSLambdaBasicExecutionRole", "AWSXRayDaemonWriteAccess", "AWSXrayWriteOnlyAccess")
        return {name: f"arn:aws:iam::aws:policy/{name}" for name in names}


def main():
    logging.disable(logging.WARNING)
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    template = parsed(TEMPLATE)
    wrong = [*check_functions(template), *check_state(), *check_releases()]
    found = list(checked_environments(template, wrong))
    # `sam validate --lint` has linted it with the defaults, which have no rollouts.
    linters = [(name, started_lint(parameters)) for name, parameters in found if name == "prod"]
    for name, parameters in found:
        deployed = transformed(template, parameters)
        wrong += check_size(f"{TEMPLATE} for {name}", deployed)
        wrong += check_api(template, deployed)
    for path in [*STATE, *OBSERVABILITY]:
        wrong += check_size(str(path), parsed(path))
    for name, linter in linters:
        output, _ = linter.communicate()
        if linter.returncode:
            wrong.append(f"{TEMPLATE} for {name}:\n{output}")
    if wrong:
        sys.exit("\n".join(wrong))


@functools.cache
def parsed(path):
    return yaml_parse(path.read_text())


def checked_environments(template, wrong):
    """Each environment's name and parameters."""
    found = environments()
    if found.keys() != ENVIRONMENTS:
        wrong.append(f"samconfig.toml has {sorted(found)}, not {sorted(ENVIRONMENTS)}")
    for name, settings in found.items():
        parameters = GIVEN | overrides(settings)
        for parameter, value in parameters.items():
            declared = template["Parameters"].get(parameter)
            if declared is None:
                wrong.append(f"samconfig.toml sets {parameter} for {name}, which template.yaml does not have")
            elif value not in map(str, declared.get("AllowedValues", [value])):
                wrong.append(f"samconfig.toml sets {parameter} for {name} to {value}, which is not allowed")
        yield name, parameters


def started_lint(parameters):
    """cfn-lint at work on the template with these parameters."""
    linter = pathlib.Path(sys.executable).parent / "cfn-lint"
    pairs = [f"{key}={value}" for key, value in parameters.items()]
    return subprocess.Popen(
        [linter, TEMPLATE, "--parameters", *pairs], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def transformed(template, parameters):
    """The template as CloudFormation counts it."""
    packaged = copy.deepcopy(template)
    for resource in packaged["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/code.zip"
    defaults = {name: str(parameter.get("Default", "")) for name, parameter in template["Parameters"].items()}
    return transform(packaged, defaults | parameters, ManagedPolicies())


def check_size(name, template):
    resources, size = len(template["Resources"]), len(json.dumps(template))
    print(f"{name}: {resources} resources, {size:,} bytes")
    if resources > MOST_RESOURCES * (1 - HEADROOM):
        yield f"{name} has {resources} resources: too near to CloudFormation's {MOST_RESOURCES} for one stack"
    if size > LARGEST_TEMPLATE * (1 - HEADROOM):
        yield f"{name} has {size:,} bytes: too near to CloudFormation's {LARGEST_TEMPLATE:,} for one template"


def check_api(template, deployed):
    stages, deployments, definitions = (
        [resource["Properties"] for resource in deployed["Resources"].values() if resource["Type"] == kind]
        for kind in ("AWS::ApiGateway::Stage", "AWS::ApiGateway::Deployment", "AWS::ApiGateway::RestApi")
    )
    # A deployment that names a stage makes one.
    names = [of["StageName"] for of in stages + deployments if "StageName" in of]
    if len(names) != 1:
        yield f"the API has the stages {', '.join(names)}"
    if not all(stage.get("TracingEnabled") and stage.get("MethodSettings") for stage in stages):
        yield "a stage is not throttled, or not traced"
    wanted = template["Resources"]["Api"]["Properties"]["GatewayResponses"].keys()
    if [definition["Body"]["x-amazon-apigateway-gateway-responses"].keys() for definition in definitions] != [wanted]:
        yield "the API's definition is without its gateway responses"


def check_functions(template):
    alarms = {
        without_stack(resource["Properties"]["AlarmName"])
        for path in OBSERVABILITY
        for resource in parsed(path)["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            yield from check_function(resource, alarms)


def check_function(resource, alarms):
    function = resource["Properties"]
    name, service = without_stack(function["FunctionName"]), service_of(function)
    observer = f"{service.capitalize()}Observability"
    if resource.get("DependsOn") != observer:
        yield f"{name} may run before its log group is there; it needs: DependsOn: {observer}"
    rollout = function.get("DeploymentPreference")
    if is_on_money_path(name, service, function) != bool(rollout):
        yield f"{name} is {'not ' if rollout else ''}on the money path, so that it {'should have no' if rollout else 'needs a'} DeploymentPreference"
    if rollout:
        watched = {without_stack(alarm) for alarm in rollout["Alarms"]["Fn::If"][1]}
        wanted = {f"{name}-{what}" for what in ("errors", "failures")} & alarms
        if watched != wanted:
            yield f"{name} is rolled back by {sorted(watched)}, not by {sorted(wanted)}"


def is_on_money_path(name, service, function):
    actions = {
        action
        for policy in function.get("Policies", [])
        for statement in policy["Statement"]
        for action in statement["Action"]
    }
    return name in SIGN_IN or (service in {"orders", "payments"} and bool(actions & CHANGING))


def check_releases():
    """Whether every function with an alias gets a new version when something changes, and none when nothing does."""
    code = {"code_digest": lambda _: "code"}
    before = versions(GIVEN, **code)
    if versions(GIVEN, **code) != before:
        yield "the same deployment a second time would publish versions"
    for change, changed in {
        "a key": versions(GIVEN | {"JwtPublicKeys": "kid:y"}, **code),
        "the code": versions(GIVEN, code_digest=lambda _: "other"),
        "the attempt": versions(GIVEN, **code, attempt="2"),
    }.items():
        if missed := sorted(before & changed):
            yield f"{change} changes, and these versions stay: {', '.join(missed)}"


def versions(parameters, **release):
    """The logical ids of the versions that a deployment with these parameters publishes."""
    template = yaml_parse(with_releases(TEMPLATE.read_text(), parameters, **release))
    template["Resources"] = {
        name: resource for name, resource in template["Resources"].items() if "AutoPublishAlias" in resource["Properties"]
    }
    for resource in template["Resources"].values():
        resource["Properties"].pop("Events", None)
    resources = transformed(template, parameters)["Resources"].items()
    return {name for name, resource in resources if resource["Type"] == "AWS::Lambda::Version"}


def check_state():
    for path in STATE:
        for name, resource in parsed(path)["Resources"].items():
            for what in missing(resource):
                yield f"{path}: {name} has no {what}"


def missing(resource):
    """What a resource that holds data should have and has not."""
    properties, kind = resource.get("Properties", {}), resource["Type"]
    if kind in {"AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"}:
        if resource.get("DeletionPolicy") != "RetainExceptOnCreate":
            yield "DeletionPolicy: RetainExceptOnCreate"
        if resource.get("UpdateReplacePolicy") != "Retain":
            yield "UpdateReplacePolicy: Retain"
    if kind == "AWS::DynamoDB::Table":
        if not properties.get("SSESpecification", {}).get("SSEEnabled"):
            yield "encryption"
        if not properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
            yield "point-in-time recovery"
        if properties.get("DeletionProtectionEnabled") != {"Fn::If": ["IsProtected", True, False]}:
            yield "deletion protection"
    if kind == "AWS::SQS::Queue" and not properties.get("SqsManagedSseEnabled"):
        yield "encryption"


if __name__ == "__main__":
    main()
