"""Prints what the functions of a stack find in their environment, as JSON: {"orders-create": {"TABLE_NAME": …}}.

Usage: environment.py STACK
"""

import json
import sys

import boto3


def main():
    prefix = f"{sys.argv[1]}-"
    pages = boto3.client("lambda").get_paginator("list_functions").paginate()
    functions = (function for page in pages for function in page["Functions"])
    print(json.dumps({
        function["FunctionName"].removeprefix(prefix): function.get("Environment", {}).get("Variables", {})
        for function in functions
        if function["FunctionName"].startswith(prefix)
    }))


if __name__ == "__main__":
    main()
