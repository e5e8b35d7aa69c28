"""Publishes the stack's REST API once more.

A gateway response holds from the next publication on, and CloudFormation publishes before it makes them.

Usage: publish_api.py NAME STAGE
"""

import sys

import boto3


def main():
    name, stage = sys.argv[1:]
    client = boto3.client("apigateway")
    pages = client.get_paginator("get_rest_apis").paginate()
    api = next((api for page in pages for api in page["items"] if api["name"] == name), None)
    if api is None:
        sys.exit(f"there is no API called {name}")
    client.create_deployment(restApiId=api["id"], stageName=stage)


if __name__ == "__main__":
    main()
