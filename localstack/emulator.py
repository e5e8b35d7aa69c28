"""The embedded AWS: MiniStack on one port and the deployed API on another, in one process.

MiniStack is an ASGI application. A request that arrives on the API's port is given the path under
which MiniStack serves the stage of the stack's REST API; everything else goes to MiniStack as it is.

Environment: QUAYSIDE_EMULATOR_PORT, QUAYSIDE_API_PORT, QUAYSIDE_STACK, and MiniStack's own variables.
"""

import asyncio
import copy
import json
import logging
import os
import signal
import socketserver
import threading

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app as ministack
from ministack.core import iam_actions
from ministack.services import apigateway_v1, cloudformation, dynamodb, lambda_svc, sqs
from ministack.services.cloudformation import provisioners

from failed_functions import answer_with_gateway_responses
from leading_keys import enforce_leading_keys
from sender import enforce_sender

HOST = "127.0.0.1"
STAGE = "live"
EMULATOR_PORT = int(os.environ.get("QUAYSIDE_EMULATOR_PORT", "4566"))
API_PORT = int(os.environ.get("QUAYSIDE_API_PORT", "8000"))
# Hypercorn waits with 100 connections; a burst of calls and the functions they start bring many more.
BACKLOG = 4096
# Each request in progress is a function's process and its calls, served by one Python process: more wait.
REQUESTS_AT_ONCE = asyncio.Semaphore(16)
DRAIN_SECONDS = 1.5
STACK = os.environ.get("QUAYSIDE_STACK", "local")
log = logging.getLogger("quayside")

NOT_DEPLOYED = json.dumps({
    "type": "about:blank",
    "title": "Service Unavailable",
    "status": 503,
    "code": "unavailable",
    "detail": f"no stack called {STACK} is deployed yet",
}).encode()


async def application(scope, receive, send):
    """MiniStack, with the stack's REST API at the root of the API's port."""
    if scope["type"] == "http" and scope["server"][1] == API_PORT:
        api_id = find_api()
        if api_id is None:
            await answer_not_deployed(send)
            return
        prefix = f"/_aws/execute-api/{api_id}/{STAGE}"
        raw_path = scope.get("raw_path") or scope["path"].encode()
        scope = {**scope, "path": prefix + scope["path"], "raw_path": prefix.encode() + raw_path}
        async with REQUESTS_AT_ONCE:
            await ministack(scope, receive, send)
        return
    await ministack(scope, receive, send)


def find_api():
    """The id of the REST API that is called like the stack, or None while there is none.

    Asked for every request, since an update of the stack may replace the API.
    """
    apis = apigateway_v1._rest_apis.all_items()
    return next((api["id"] for _, api in apis if api["name"] == STACK), None)


async def answer_not_deployed(send):
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": NOT_DEPLOYED})


def keep_streams():
    """Has MiniStack keep the records of tables' streams together with how far each consumer has read.

    By itself it keeps the positions alone: after a restart what no relay had read is lost, and as many
    new records as there were old ones are skipped. Positions are taken first, so that what is read
    meanwhile is read again rather than never.
    """
    save, load = lambda_svc.get_state, lambda_svc.load_persisted_state

    def get_state():
        state = save()
        streams = copy.deepcopy(dynamodb._stream_records), copy.deepcopy(dynamodb._stream_trimmed)
        return {**state, "stream_records": streams[0], "stream_trimmed": streams[1]}

    def load_persisted_state(state):
        if "stream_records" in state:
            dynamodb._stream_records.update(state.pop("stream_records"))
            dynamodb._stream_trimmed.update(state.pop("stream_trimmed"))
        else:
            state.pop("dynamodb_stream_positions", None)
        load(state)

    lambda_svc.get_state, lambda_svc.load_persisted_state = get_state, load_persisted_state


def keep_attributes():
    """Has MiniStack keep the attributes of what an update leaves as it is in a nested stack.

    By itself it keeps them in the outermost stack alone, and the next `!GetAtt` of one fails.
    """
    update = provisioners._update_resource

    def update_resource(kind, physical_id, old, new, stack, logical_id=None, old_attributes=None):
        if old_attributes is None:
            resources = cloudformation._stacks.get(stack, {}).get("_resources", {})
            old_attributes = resources.get(logical_id, {}).get("Attributes")
        return update(kind, physical_id, old, new, stack, logical_id, old_attributes)

    provisioners._update_resource = update_resource


def keep_queues():
    """Has MiniStack know its queues by the same URLs whatever port it listens on.

    By itself it forgets those of a stack that has moved to another port. Callers are told the port they
    have called in any case.
    """
    sqs.DEFAULT_PORT = "4566"
    sqs._CANONICAL_NETLOC = f"{sqs.DEFAULT_HOST}:{sqs.DEFAULT_PORT}"


def authorize_source_queues():
    """Has MiniStack's IAM know which queue a request is about that names it by `SourceArn`.

    By itself it holds such a request against all queues, and refuses functions that may ask of some.
    """
    param = iam_actions._param

    def param_or_source(body, query, *names):
        value = param(body, query, *names)
        source = param(body, query, "SourceArn") if names == ("QueueUrl",) and not value else None
        return "/".join(source.split(":")[-2:]) if source else value

    iam_actions._param = param_or_source


def read_streams_beside_queues():
    """Has MiniStack hand out the batches of queues while it waits for the functions that read streams.

    By itself one thread does both, and each relay's invocation holds up all queues.
    """
    read, due = lambda_svc._poll_dynamodb_streams, threading.Event()

    def read_when_due():
        while due.wait():
            due.clear()
            try:
                while read():
                    pass
            except Exception:
                log.exception("a stream could not be read")

    def ask():
        due.set()
        return False

    lambda_svc._poll_dynamodb_streams = ask
    threading.Thread(target=read_when_due, daemon=True).start()


def answer_functions_at_once():
    """Has the Runtime API send its answers without Nagle's delay, 40 ms for each call."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True


async def asked_to_stop():
    """Returns some time after the request to stop, so that the relays read what is in the streams."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await asyncio.sleep(DRAIN_SECONDS)


def main():
    keep_streams()
    keep_attributes()
    keep_queues()
    enforce_leading_keys()
    authorize_source_queues()
    enforce_sender()
    answer_with_gateway_responses()
    read_streams_beside_queues()
    answer_functions_at_once()
    config = Config()
    config.bind = [f"{HOST}:{EMULATOR_PORT}", f"{HOST}:{API_PORT}"]
    config.keep_alive_timeout = 75
    config.backlog = BACKLOG
    asyncio.run(serve(application, config, shutdown_trigger=asked_to_stop))


if __name__ == "__main__":
    main()
