"""Writes infra/observability/<service>.yaml: each service's log groups, alarms and dashboard.

They follow from template.yaml (the functions, their timeouts and what feeds them) and from
infra/<service>.yaml (the tables and queues). Nobody edits them by hand; `make observability` writes them
anew, and `--check`, which `make lint` runs, fails when they are not what would be written.

Usage: observability.py [--check], from the repository's root.
"""

import json
import pathlib
import re
import sys
from dataclasses import dataclass, field

from samtranslator.yaml_helper import yaml_parse

TEMPLATE = pathlib.Path("template.yaml")
STATE = pathlib.Path("infra")
OUTPUT = STATE / "observability"

# How much of its timeout a function may take before someone is told.
NEAR_TIMEOUT = 0.8
# How old the oldest event in a queue or a stream may be. Three failed attempts take 180 s, and end in the DLQ.
OLDEST_SECONDS = 600
# A dashboard is 24 wide.
WIDTH, HEIGHT = 12, 6
# The most log groups that one query of CloudWatch Logs Insights reads.
QUERIED_LOG_GROUPS = 50

HEADER = """\
# Written by infra/observability.py from template.yaml and infra/{service}.yaml: see there, and do not edit.
AWSTemplateFormatVersion: '2010-09-09'
Description: How the {service} service is watched - log groups, alarms, a dashboard

Parameters:
  StackName:
    Type: String
    Description: The prefix of every name
  LogRetentionDays:
    Type: Number
    Description: How long the functions' logs are kept
  AlarmTopic:
    Type: String
    Description: The topic that alarms are sent to; without one there are no alarms and no dashboard

Conditions:
  IsObserved: !Not [!Equals [!Ref AlarmTopic, '']]

Resources:
"""

LOG_GROUP = """\
  {id}Log:
    Type: AWS::Logs::LogGroup
    Properties: {{ LogGroupName: !Sub '/aws/lambda/${{StackName}}-{name}', RetentionInDays: !Ref LogRetentionDays }}
"""

ALARM = """\
  {id}:
    Type: AWS::CloudWatch::Alarm
    Condition: IsObserved
    Properties:
      AlarmName: !Sub '${{StackName}}-{name}'
      AlarmDescription: {description}
{metric}
      ComparisonOperator: {operator}
      Threshold: {threshold}
      EvaluationPeriods: {periods}
      DatapointsToAlarm: {datapoints}
      TreatMissingData: notBreaching
      AlarmActions: [!Ref AlarmTopic]
      OKActions: [!Ref AlarmTopic]
"""

METRIC = """\
      Namespace: {namespace}
      MetricName: {metric}
      Dimensions: [{{ Name: {dimension}, Value: !Sub '${{StackName}}{suffix}' }}]
      Statistic: {statistic}
      Period: 60"""

DASHBOARD = """\
  Dashboard:
    Type: AWS::CloudWatch::Dashboard
    Condition: IsObserved
    Properties:
      DashboardName: !Sub '${{StackName}}-{service}'
      DashboardBody: !Sub |-
{body}
"""


@dataclass
class Function:
    """A function as template.yaml has it."""

    name: str
    timeout_seconds: int
    feeds: set

    @property
    def reads_a_stream(self):
        return "DynamoDB" in self.feeds

    @property
    def relays(self):
        return self.reads_a_stream and self.name.endswith("-relay")

    @property
    def answers_requests(self):
        return "Api" in self.feeds

    @property
    def handles_events(self):
        return "SQS" in self.feeds

    @property
    def failures(self):
        """The function's own metric of what it failed at without crashing, and what that means."""
        if self.answers_requests:
            return "Faults", "answered 5xx"
        if self.relays:
            return "EventsFailed", "could not read events of its outbox, which stay off the bus"
        return ("EventsFailed", "could not handle events") if self.handles_events else None


@dataclass
class Service:
    """What is watched of one service, without the stack's name."""

    functions: list = field(default_factory=list)
    tables: list = field(default_factory=list)
    queues: list = field(default_factory=list)
    dead_letter_queues: list = field(default_factory=list)


def main():
    check = sys.argv[1:] == ["--check"]
    wanted = {OUTPUT / f"{name}.yaml": written(name, service) for name, service in services().items()}
    present = set(OUTPUT.glob("*.yaml"))
    stale = [path for path, text in wanted.items() if path not in present or path.read_text() != text]
    stale += present - wanted.keys()
    if check and stale:
        names = ", ".join(sorted(map(str, stale)))
        sys.exit(f"not what template.yaml and infra/ say: {names}. Run: make observability")
    for path in stale:
        if path in wanted:
            path.write_text(wanted[path])
        else:
            path.unlink()


def services():
    """Every service with functions, by its name."""
    found = {}
    template = yaml_parse(TEMPLATE.read_text())
    timeout = template["Globals"]["Function"]["Timeout"]
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        function = resource["Properties"]
        service = found.setdefault(service_of(function), Service())
        feeds = {event["Type"] for event in function.get("Events", {}).values()}
        service.functions.append(
            Function(without_stack(function["FunctionName"]), function.get("Timeout", timeout), feeds)
        )
    for name, service in found.items():
        add_state(name, service)
    return found


def add_state(name, service):
    state = STATE / f"{name}.yaml"
    if not state.exists():
        return
    for resource in yaml_parse(state.read_text())["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::DynamoDB::Table":
            service.tables.append(without_stack(properties["TableName"]))
        elif resource["Type"] == "AWS::SQS::Queue":
            queue = without_stack(properties["QueueName"])
            (service.queues if "RedrivePolicy" in properties else service.dead_letter_queues).append(queue)


def service_of(function):
    """The name of the service that a function's properties say it is of."""
    return function["Environment"]["Variables"]["SERVICE_NAME"]


def without_stack(name):
    """`orders-create` of `!Sub '${AWS::StackName}-orders-create'`."""
    return re.sub(r"^\$\{[\w:]+\}-", "", name["Fn::Sub"])


def written(name, service):
    resources = [LOG_GROUP.format(id=logical(function.name), name=function.name) for function in service.functions]
    for function in service.functions:
        resources += function_alarms(function)
    for queue in service.dead_letter_queues:
        resources.append(depth_alarm(queue))
    for queue in service.queues:
        resources.append(age_alarm(queue))
    if name == "gateway":
        resources.append(api_alarm())
    resources.append(dashboard(name, service))
    return HEADER.format(service=name) + "\n".join(resources)


def logical(name):
    return "".join(word.capitalize() for word in name.split("-"))


def alarm(name, description, metric, threshold, periods=5, datapoints=2, operator="GreaterThanThreshold"):
    return ALARM.format(
        id=logical(name), name=name, description=description, metric=metric, threshold=threshold,
        periods=periods, datapoints=datapoints, operator=operator,
    )


def function_alarms(function):
    name = function.name
    yield alarm(f"{name}-errors", f"{name} crashed or timed out", function_metric(name, "Errors", "Sum"), 0)
    if failures := function.failures:
        metric, description = failures
        shown = function_metric(name, metric, "Sum", namespace="Quayside")
        # What a relay cannot read, it is told of once.
        often = {"periods": 1, "datapoints": 1} if function.relays else {}
        yield alarm(f"{name}-failures", f"{name} {description}", shown, 0, **often)
    throttles = function_metric(name, "Throttles", "Sum")
    yield alarm(f"{name}-throttles", f"{name} was not let run as often as it was asked to", throttles, 0)
    limit = round(function.timeout_seconds * 1000 * NEAR_TIMEOUT)
    yield alarm(
        f"{name}-duration", f"{name} came near its timeout of {function.timeout_seconds} s",
        function_metric(name, "Duration", "Maximum"), limit,
    )
    if function.reads_a_stream:
        yield alarm(
            f"{name}-age", f"What {name} is to take from its table's stream waits",
            function_metric(name, "IteratorAge", "Maximum"), OLDEST_SECONDS * 1000,
        )


def function_metric(name, metric, statistic, namespace="AWS/Lambda"):
    return METRIC.format(
        namespace=namespace, metric=metric, dimension="FunctionName", suffix=f"-{name}", statistic=statistic
    )


def queue_metric(queue, metric):
    return METRIC.format(
        namespace="AWS/SQS", metric=metric, dimension="QueueName", suffix=f"-{queue}", statistic="Maximum"
    )


def depth_alarm(queue):
    consumer = queue.removesuffix("-dlq")
    return alarm(
        queue, f"Messages that {consumer} could not handle are waiting",
        queue_metric(queue, "ApproximateNumberOfMessagesVisible"), 0, periods=1, datapoints=1,
    )


def age_alarm(queue):
    return alarm(
        f"{queue}-age", f"Messages wait for {queue}, which is stopped or cannot keep up",
        queue_metric(queue, "ApproximateAgeOfOldestMessage"), OLDEST_SECONDS,
    )


def api_alarm():
    metric = METRIC.format(
        namespace="AWS/ApiGateway", metric="5XXError", dimension="ApiName", suffix="", statistic="Average"
    )
    return alarm("api-errors", "More than one request in a hundred is answered 5xx", metric, 0.01, datapoints=3)


def dashboard(name, service):
    widgets = []
    names = [function.name for function in service.functions]
    lambdas = [("AWS/Lambda", "FunctionName", name) for name in names]
    http = [("Quayside", "FunctionName", f.name) for f in service.functions if f.answers_requests]
    consumers = [("Quayside", "FunctionName", f.name) for f in service.functions if f.handles_events]
    if name == "gateway":
        add(widgets, "API: requests and errors", [
            ["AWS/ApiGateway", metric, "ApiName", "${StackName}", {"stat": "Sum"}]
            for metric in ("Count", "4XXError", "5XXError")
        ])
        add(widgets, "API: latency (ms)", [
            ["AWS/ApiGateway", "Latency", "ApiName", "${StackName}", {"stat": stat}] for stat in ("p50", "p95", "p99")
        ])
    add(widgets, "Invocations", metrics(lambdas, "Invocations", "Sum"))
    add(widgets, "Errors and throttles",
        metrics(lambdas, "Errors", "Sum") + metrics(lambdas, "Throttles", "Sum"))
    add(widgets, "Duration, p99 (ms)", metrics(lambdas, "Duration", "p99"))
    add(widgets, "Requests answered 5xx", metrics(http, "Faults", "Sum"))
    add(widgets, "Latency of requests, p95 (ms)", metrics(http, "Latency", "p95"))
    add(widgets, "Cold starts", metrics(http, "ColdStarts", "Sum"))
    add(widgets, "Events handled", metrics(consumers, "EventsHandled", "Sum"))
    add(widgets, "How old events are when they are handled, p95 (ms)", metrics(consumers, "EventLag", "p95"))
    queues = [("AWS/SQS", "QueueName", queue) for queue in service.queues]
    dead = [("AWS/SQS", "QueueName", queue) for queue in service.dead_letter_queues]
    add(widgets, "Age of the oldest message (s)", metrics(queues, "ApproximateAgeOfOldestMessage", "Maximum"))
    add(widgets, "Messages waiting, and dead letters",
        metrics(queues + dead, "ApproximateNumberOfMessagesVisible", "Maximum"))
    tables = [("AWS/DynamoDB", "TableName", table) for table in service.tables]
    add(widgets, "Table: units consumed",
        metrics(tables, "ConsumedReadCapacityUnits", "Sum") + metrics(tables, "ConsumedWriteCapacityUnits", "Sum"))
    add(widgets, "Table: throttled requests",
        metrics(tables, "ReadThrottleEvents", "Sum") + metrics(tables, "WriteThrottleEvents", "Sum"))
    add_log(widgets, names)
    body = ",\n".join(json.dumps(widget) for widget in widgets)
    indented = "\n".join(f"        {line}" for line in f'{{"widgets": [\n{body}\n]}}'.splitlines())
    return DASHBOARD.format(service=name, body=indented)


def metrics(owners, metric, statistic):
    return [
        [namespace, metric, dimension, f"${{StackName}}-{name}", {"stat": statistic}]
        for namespace, dimension, name in owners
    ]


def add(widgets, title, shown):
    if shown:
        properties = {"title": title, "region": "${AWS::Region}", "period": 60, "view": "timeSeries", "metrics": shown}
        widgets.append(placed(widgets, "metric", WIDTH, properties))


def add_log(widgets, names):
    sources = " | ".join(f"SOURCE '/aws/lambda/${{StackName}}-{name}'" for name in names[:QUERIED_LOG_GROUPS])
    query = f"{sources} | fields @timestamp, @log, level, message, correlation_id " \
        "| filter level in ['ERROR', 'WARN'] | sort @timestamp desc | limit 50"
    properties = {"title": "Warnings and errors", "region": "${AWS::Region}", "view": "table", "query": query}
    widgets.append({**placed(widgets, "log", 2 * WIDTH, properties), "x": 0, "y": (len(widgets) + 1) // 2 * HEIGHT})


def placed(widgets, kind, width, properties):
    row, column = divmod(len(widgets), 2)
    place = {"type": kind, "x": column * WIDTH, "y": row * HEIGHT, "width": width, "height": HEIGHT}
    return {**place, "properties": properties}


if __name__ == "__main__":
    main()
