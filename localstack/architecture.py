"""Prints what functions are to be built for: as samconfig.toml says of an environment, or as a deployed stack has it.

Usage: architecture.py environment ENVIRONMENT
       architecture.py stack STACK
"""

import pathlib
import sys

import boto3
from releases import overrides_of
from samtranslator.yaml_helper import yaml_parse

PARAMETER = "Architecture"


def main():
    kind, name = sys.argv[1:]
    print(of_environment(name) if kind == "environment" else of_stack(name))


def of_environment(name):
    default = yaml_parse(pathlib.Path("template.yaml").read_text())["Parameters"][PARAMETER]["Default"]
    return overrides_of(name).get(PARAMETER, default)


def of_stack(name):
    parameters = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["Parameters"]
    return next(found["ParameterValue"] for found in parameters if found["ParameterKey"] == PARAMETER)


if __name__ == "__main__":
    main()
