"""Brings what the template says of the REST API's own answers into effect, and publishes the API once more.

MiniStack imports an API's routes, and neither its gateway responses nor what preflights are answered, which
`--cors` asks for.

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
    with open("template.yaml", encoding="utf-8") as file:
        properties = yaml_parse(file.read())["Resources"]["Api"]["Properties"]
    put_gateway_responses(client, api["id"], properties["GatewayResponses"])
    if cors:
        answer_preflights(client, api["id"], properties["Cors"])
    client.create_deployment(restApiId=api["id"], stageName=stage)


def put_gateway_responses(client, api, responses):
    for kind, response in responses.items():
        headers = response["ResponseParameters"]["Headers"].items()
        client.put_gateway_response(
            restApiId=api, responseType=kind, statusCode=response["StatusCode"],
            responseParameters={f"gatewayresponse.header.{header}": value for header, value in headers},
            responseTemplates=response["ResponseTemplates"],
        )


def answer_preflights(client, api, cors):
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
