"""Publishes the stack's REST API once more.

A gateway response holds from the next publication on, and CloudFormation publishes before it makes them.
MiniStack does not take over what the template says of preflights either: with `--cors` this does.

Usage: publish_api.py NAME STAGE [--cors]
"""

import sys

import boto3
from samtranslator.yaml_helper import yaml_parse

ALLOW = {
    "Access-Control-Allow-Methods": "AllowMethods",
    "Access-Control-Allow-Headers": "AllowHeaders",
    "Access-Control-Max-Age": "MaxAge",
}


def main():
    name, stage, *cors = sys.argv[1:]
    client = boto3.client("apigateway")
    pages = client.get_paginator("get_rest_apis").paginate()
    api = next((api for page in pages for api in page["items"] if api["name"] == name), None)
    if api is None:
        sys.exit(f"there is no API called {name}")
    if cors:
        answer_preflights(client, api["id"])
    client.create_deployment(restApiId=api["id"], stageName=stage)


def answer_preflights(client, api):
    with open("template.yaml", encoding="utf-8") as file:
        cors = yaml_parse(file.read())["Resources"]["Api"]["Properties"]["Cors"]
    headers = {header: cors[name] for header, name in ALLOW.items()} | {"Access-Control-Allow-Origin": "'*'"}
    response = {f"method.response.header.{header}": value for header, value in headers.items()}
    for page in client.get_paginator("get_resources").paginate(restApiId=api):
        for resource in page["items"]:
            if "OPTIONS" in resource.get("resourceMethods", {}):
                client.put_integration_response(
                    restApiId=api, resourceId=resource["id"], httpMethod="OPTIONS", statusCode="200",
                    responseParameters=response, responseTemplates={"application/json": "{}"},
                )


if __name__ == "__main__":
    main()
