"""Takes from what a function's role allows, or gives it back.

`policy.py take FUNCTION ACTION` takes an action, and `policy.py narrow FUNCTION PREFIX` leaves of all
items only those whose partition keys begin so. Both print the role's policies as they were, which
`policy.py give FUNCTION` reads from standard input and puts back.
"""

import copy
import json
import sys

import boto3

LEADING_KEYS = "dynamodb:LeadingKeys"


def main():
    command, function, *argument = sys.argv[1:]
    iam = boto3.client("iam")
    role = boto3.client("lambda").get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[-1]
    if command == "give":
        put(iam, role, json.load(sys.stdin))
        return
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policies = {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}
    change = {"take": take, "narrow": narrow}[command]
    changed = {name: change(copy.deepcopy(document), *argument) for name, document in policies.items()}
    if changed == policies:
        sys.exit(f"{function} has no {argument}")
    put(iam, role, changed)
    json.dump(policies, sys.stdout)


def take(document, action):
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        # A statement needs an action: one that nobody uses stands in for the last.
        statement["Action"] = [held for held in actions if held != action] or ["dynamodb:ListTagsOfResource"]
    return document


def narrow(document, prefix):
    for statement in document["Statement"]:
        for keys in statement.get("Condition", {}).values():
            if LEADING_KEYS in keys:
                keys[LEADING_KEYS] = [f"{prefix}*"]
    return document


def put(iam, role, policies):
    for name, document in policies.items():
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))


if __name__ == "__main__":
    main()
