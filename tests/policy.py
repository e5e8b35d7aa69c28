"""Takes an action from a function's role, or gives it back.

`policy.py take FUNCTION ACTION` prints the role's policies as they were; `policy.py give FUNCTION`
reads them from standard input and puts them back.
"""

import copy
import json
import sys

import boto3


def main():
    command, function, *action = sys.argv[1:]
    iam = boto3.client("iam")
    role = boto3.client("lambda").get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[-1]
    if command == "give":
        put(iam, role, json.load(sys.stdin))
        return
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policies = {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}
    without = {name: take(copy.deepcopy(document), *action) for name, document in policies.items()}
    if without == policies:
        sys.exit(f"{function} has no {action}")
    put(iam, role, without)
    json.dump(policies, sys.stdout)


def take(document, action):
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        # A statement needs an action: one that nobody uses stands in for the last.
        statement["Action"] = [held for held in actions if held != action] or ["dynamodb:ListTagsOfResource"]
    return document


def put(iam, role, policies):
    for name, document in policies.items():
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))


if __name__ == "__main__":
    main()
