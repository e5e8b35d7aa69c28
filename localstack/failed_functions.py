"""Answers for a function that failed or may not run as API Gateway does: with a gateway response.

MiniStack passes on what Lambda said, so that clients would see Lambda's own 429 or a function's error.
"""

from ministack.services import apigateway_v1


class FunctionFailed(Exception):
    """The function did not answer the request."""


def answer_with_gateway_responses():
    """Has the API answer for such a function with its response for DEFAULT_5XX."""
    response_of = apigateway_v1._lambda_proxy_response
    invoke = apigateway_v1._invoke_lambda_proxy_v1

    def lambda_proxy_response(result):
        response, error = response_of(result)
        if error or result.get("throttle"):
            raise FunctionFailed
        return response, None

    async def invoke_lambda_proxy(*arguments, **options):
        try:
            return await invoke(*arguments, **options)
        except FunctionFailed:
            return apigateway_v1._gw_error("DEFAULT_5XX", "Internal server error")

    apigateway_v1._lambda_proxy_response = lambda_proxy_response
    apigateway_v1._invoke_lambda_proxy_v1 = invoke_lambda_proxy
