"""Lets MiniStack's IAM see whom an e-mail is from: the identity it belongs to, and `ses:FromAddress`.

AWS evaluates both for SES's SendEmail; MiniStack knows neither, so that a policy which names the sender
would refuse every e-mail here.
"""

from email.utils import parseaddr

from ministack.core import iam_actions

SENDING = ("ses:SendEmail", "ses:SendRawEmail")
FROM_ADDRESS = "ses:FromAddress"


def enforce_sender():
    """Has every check of an e-mail that is to be sent know its sender."""
    context_of = iam_actions.request_tag_context
    resource_of = iam_actions.extract_resource_arn

    def request_context(service, iam_action, body, params):
        context = context_of(service, iam_action, body, params)
        return {**context, FROM_ADDRESS: sender(params)} if iam_action in SENDING else context

    def resource_arn(service, method, path, headers, body, params, region, account):
        address = sender(params) if service == "ses" else ""
        if address:
            return f"arn:aws:ses:{region}:{account}:identity/{address}"
        return resource_of(service, method, path, headers, body, params, region, account)

    iam_actions.request_tag_context = request_context
    iam_actions.extract_resource_arn = resource_arn


def sender(params):
    """The address in the parameter `Source`, empty without one."""
    source = (params or {}).get("Source", "")
    return parseaddr(source[0] if isinstance(source, list) and source else source or "")[1]
