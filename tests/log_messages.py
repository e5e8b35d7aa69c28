"""Prints everything that the functions of the stack `local` have logged."""

import boto3


def main():
    logs = boto3.client("logs")
    groups = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/aws/lambda/local-")
    for group in (group["logGroupName"] for page in groups for group in page["logGroups"]):
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
            for event in page["events"]:
                print(event["message"])


if __name__ == "__main__":
    main()
