"""Lets MiniStack's IAM see which partition keys a DynamoDB request names: `dynamodb:LeadingKeys`.

AWS evaluates that condition key for every item, query and batch; MiniStack does not know it, so that a
policy that narrows a function to key prefixes would allow everything here and be wrong unnoticed.
"""

import json
import re

from ministack.core import iam_actions, iam_evaluator

PARTITION_KEYS = {None: "pk", "gsi1": "gsi1pk", "gsi2": "gsi2pk"}
SINGLE_ITEM_MEMBERS = ("Put", "Update", "Delete", "ConditionCheck", "Get")
LEADING_KEYS = "dynamodb:LeadingKeys"


class ItemArn(str):
    """The ARN of the table of one item of a transaction, which knows that item's partition key."""

    leading_key = None


def enforce_leading_keys():
    """Has every check of a DynamoDB request know the partition keys that the request names."""
    context_of = iam_actions.dynamodb_service_context
    checks_of = iam_actions.dynamodb_transaction_checks
    enforce = iam_evaluator.enforce

    def dynamodb_service_context(body):
        return {**context_of(body), LEADING_KEYS: leading_keys(parsed(body))}

    def dynamodb_transaction_checks(action, body, region, account):
        checks = checks_of(action, body, region, account)
        members = [
            item[member]
            for item in parsed(body).get("TransactItems", [])
            for member in SINGLE_ITEM_MEMBERS
            if member in item
        ]
        return [(allowed, with_key(arn, member)) for (allowed, arn), member in zip(checks, members, strict=True)]

    def enforce_with_key(access_key, action, service, region, resource_arn="*", service_context=None):
        if isinstance(resource_arn, ItemArn):
            service_context = {**(service_context or {}), LEADING_KEYS: [resource_arn.leading_key]}
        return enforce(access_key, action, service, region, resource_arn, service_context)

    iam_actions.dynamodb_service_context = dynamodb_service_context
    iam_actions.dynamodb_transaction_checks = dynamodb_transaction_checks
    iam_evaluator.enforce = enforce_with_key


def parsed(body):
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}


def with_key(arn, member):
    item = ItemArn(arn)
    item.leading_key = partition_key(member.get("Key") or member.get("Item"))
    return item


def leading_keys(request):
    """The partition keys of a request other than a transaction, in no order."""
    found = []
    for item in (request.get("Key"), request.get("Item")):
        if item:
            found.append(partition_key(item))
    for table in (request.get("RequestItems") or {}).values():
        if isinstance(table, dict):
            found.extend(partition_key(key) for key in table.get("Keys", []))
        else:
            for write in table:
                found.extend(partition_key(part.get("Item") or part.get("Key")) for part in write.values())
    condition = request.get("KeyConditionExpression")
    if condition:
        found.append(queried_partition(condition, request))
    return found


def partition_key(item):
    return (item or {}).get("pk", {}).get("S", "")


def queried_partition(condition, request):
    """The value that a query asks of the partition key of its table or index."""
    name = PARTITION_KEYS.get(request.get("IndexName"), "pk")
    names = request.get("ExpressionAttributeNames") or {}
    for operand, value in re.findall(r"([#\w]+)\s*=\s*(:\w+)", condition):
        if names.get(operand, operand) == name:
            return request["ExpressionAttributeValues"].get(value, {}).get("S", "")
    return ""
