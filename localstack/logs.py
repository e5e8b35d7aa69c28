"""Follows the functions' logs, which the emulator keeps as CloudWatch Logs, until interrupted.

Usage: logs.py STACK [SERVICE]
"""

import sys
import time

import boto3

INTERVAL_SECONDS = 0.7
# How far back the first look goes.
BACKLOG_SECONDS = 60
# What a later look covers again, for lines that arrive late.
OVERLAP_SECONDS = 5
NOISE = ("START ", "END ", "REPORT ")


def main():
    prefix = f"/aws/lambda/{'-'.join(sys.argv[1:])}-"
    client = boto3.client("logs")
    seen = set()
    since = time.time() - BACKLOG_SECONDS
    while True:
        next_since = time.time() - OVERLAP_SECONDS
        events = sorted(look(client, prefix, since), key=lambda event: event["timestamp"])
        # The emulator writes each call's lines at once, into a log stream of its own.
        for event in [event for event in events if event["stream"] not in seen]:
            print(f"{event['function']}  {event['message'].rstrip()}", flush=True)
            seen.add(event["stream"])
        since = max(since, next_since)
        time.sleep(INTERVAL_SECONDS)


def look(client, prefix, since):
    groups = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
    for group in (group["logGroupName"] for page in groups for group in page["logGroups"]):
        for event in client.filter_log_events(logGroupName=group, startTime=int(since * 1000))["events"]:
            if not event["message"].startswith(NOISE) and '"_aws"' not in event["message"]:
                function = group.removeprefix("/aws/lambda/")
                yield {**event, "function": function, "stream": group + event["logStreamName"]}


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
