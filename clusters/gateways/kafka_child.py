"""The process that holds the Kafka client of one cluster: `python -m clusters.gateways.kafka_child`, socket on stdin.

Started by `clusters.gateways.kafka_process`. It answers one call after the other and ends when its socket is closed,
when nobody has asked for a while, and with the thread that started it.
"""

import ctypes
import resource
import select
import signal
import socket
import sys
import traceback

from clusters.gateways import kafka_frames as frames
from clusters.gateways.kafka_admin import KafkaAdmin
from clusters.gateways.kafka_client import KafkaClient
from clusters.gateways.kafka_survey import survey
from clusters.ports import GatewayFailed
from ops_portal.lib.memory import give_back
from ops_portal.lib.resilience import DeadlinePassed

IDLE_SECONDS = 900.0  # the cluster was removed, or another worker reads it
REST_SECONDS = 0.5  # without a call: the poll is over
_BEGIN_WITH_METADATA = frozenset({"metadata", "list_groups", "survey"})
_PR_SET_PDEATHSIG = 1


def main() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the cluster's secrets
    with socket.socket(fileno=0) as connection:
        try:
            serve(connection)
        except (EOFError, OSError):  # TimeoutError is one of them
            return


def serve(connection: socket.socket) -> None:
    """Answer calls. Raises EOFError or OSError when there will be no more."""
    settings: frames.Settings = frames.receive(connection, seconds=IDLE_SECONDS)
    client: KafkaClient | None = None
    while True:
        call = _next_call(connection)
        try:
            if client is None:
                client = KafkaClient(settings.bootstrap, settings.properties)
        except GatewayFailed as failure:
            answer = frames.Answer(failed="GatewayFailed", code=failure.code, message=failure.message)
        else:
            answer = answer_to(call, client)
        frames.send(connection, answer)
        del call, answer  # not kept until the next ones are there


def _next_call(connection: socket.socket) -> frames.Call:
    """The next call. What the last poll has left behind is given back meanwhile."""
    if not select.select([connection], [], [], REST_SECONDS)[0]:
        give_back()
    call: frames.Call = frames.receive(connection, seconds=IDLE_SECONDS)
    return call


def answer_to(call: frames.Call, client: KafkaClient) -> frames.Answer:
    """What the call returns or raises, with the requests it sent and the metadata it read."""
    port = KafkaAdmin(client, call.clock)
    value, failed, code, message = None, "", "", ""
    try:
        if not client.leaders and client.lost_touch and call.method not in _BEGIN_WITH_METADATA:
            port.metadata(call.arguments[-1])  # a new client, in the midst of a run, knows no leaders yet
        if call.method == "survey":
            value = survey(client, port, *call.arguments)
        else:
            value = getattr(port, call.method)(*call.arguments)
    except GatewayFailed as failure:
        failed, code, message = "GatewayFailed", failure.code, failure.message
    except DeadlinePassed as passed:
        failed, message = "DeadlinePassed", str(passed)
    except Exception as error:  # noqa: BLE001 - raised again on the other side
        failed, message = type(error).__name__, traceback.format_exc()
    return frames.Answer(value, failed, code, message, port.requests.by_api, port.seen)


if __name__ == "__main__":
    main()
