"""The client of the serving benchmark: it counts what failed, finds what is wrong, and does not hide a wait."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.checks import SignalCheck, TickCheck
from benchmarks.load import Load, Run

PARTS = [
    {
        "symbol": "A",
        "status": "fresh",
        "reason": None,
        "weight": 0.5,
        "contribution": 0.25,
        "probabilities": {"buy": 1},
    },
    {"symbol": "B", "status": "fresh", "reason": None, "weight": 0.5, "contribution": 0.5, "probabilities": {"buy": 0}},
]
SIGNAL = {"wss": 0.75, "coverage": 1.0, "model": {"version": 1}, "components": PARTS}


def changed(number: int = 0, **parts) -> dict:
    answer = copy.deepcopy(SIGNAL)
    answer["components"][number] |= parts
    return answer


def said(check, *answers) -> list[str | None]:
    return [check(json.dumps(answer).encode()) for answer in answers]


def test_an_answer_that_adds_up_is_right_however_often_it_comes():
    check = SignalCheck()
    assert said(check, SIGNAL, SIGNAL) == [None, None]
    assert check.noticed["versions"]["1"]["answers"] == 2


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (changed(contribution=0.5), "contributions do not add up"),
        (changed(weight=0.25), "fresh weights do not add up"),
        (changed(probabilities={"buy": 0}), "version 1 says"),
        (SIGNAL | {"coverage": 0.5, "components": [PARTS[0], PARTS[1] | {"status": "late"}]}, "nothing says why"),
    ],
)
def test_an_answer_that_is_wrong_is_found(wrong, why):
    right, found = said(SignalCheck(), SIGNAL, wrong)
    assert right is None
    assert why in found


def test_another_version_may_say_something_else_and_missing_components_may_be_told():
    other = changed(probabilities={"buy": 0}) | {"model": {"version": 2}}
    hurt = SIGNAL | {"wss": 0.25, "coverage": 0.5}
    hurt["components"] = [PARTS[0], PARTS[1] | {"status": "missing", "reason": "down", "contribution": 0.0}]
    check = SignalCheck()
    assert said(check, SIGNAL, other, hurt) == [None, None, None]
    assert check.noticed["degraded"] == 1


def test_a_trade_that_was_not_counted_is_found():
    tick = {
        "features_known": True,
        "applied": True,
        "predictions": {"direction": {}},
        "ts_event": "2025-05-05T14:00:00Z",
    }
    later = tick | {"ts_event": "2025-05-05T14:00:01Z"}
    first, second, again, uncounted = said(TickCheck(), tick, later, tick, tick | {"applied": False})
    assert first is second is None
    assert "after 2025-05-05T14:00:01Z" in again
    assert "trade counted: False" in uncounted


# --- over a socket -------------------------------------------------------------------------------


def against(answer, **how):
    """What a load finds at a server, and what that was sent; it answers by a status, a body, and whether it stays."""
    seen = []

    opened, served = [], asyncio.Semaphore(0)

    async def serve(reader, writer):
        opened.append(writer)
        while head := await reader.read(4096):  # requests are small and come one by one
            seen.append(head.partition(b"\r\n\r\n")[2])
            status, body, stays = answer(len(seen), seen[-1])
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
            writer.write(body)
            await writer.drain()
            if not stays:
                break
        writer.close()
        await writer.wait_closed()
        served.release()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        load = Load(url=f"http://127.0.0.1:{port}/x?y=1", warm=0, **how)
        found = await Run(load, how.get("check") and (lambda body: None if body == b"right" else "wrong")).go()
        server.close()
        for _ in opened:
            await served.acquire()
        return found

    return asyncio.run(main()), seen


def test_what_failed_is_counted_and_what_is_wrong_too():
    answers = {2: (503, b"later", True), 3: (200, b"bad", True)}
    found, _ = against(lambda k, _: answers.get(k, (200, b"right", True)), requests=5, check="x")
    assert (found.asked, found.failed, found.wrongs, len(found.latencies)) == (5, 1, 1, 4)
    assert found.statuses == {"200": 4, "503": 1}
    assert found.wrong == ["wrong"]


def test_a_closed_connection_fails_one_request_and_another_is_opened():
    found, _ = against(lambda k, _: (200, b"right", k != 2), requests=5)
    assert found.statuses == {"200": 4, "no answer": 1} or found.statuses == {"200": 5}  # closed before, or while asked
    assert found.asked == 5


def test_requests_are_numbered():
    _, seen = against(lambda *_: (200, b"right", True), requests=3, body='{"ts": $N}', first=5)
    assert [json.loads(body)["ts"] for body in seen] == [5, 1_000_005, 2_000_005]


def test_with_a_rate_what_a_request_waited_for_a_client_is_its_latency():
    def slow(k, _):
        if k == 1:
            time.sleep(0.2)
        return 200, b"right", True

    found, _ = against(slow, requests=20, rate=1000.0)
    assert sum(latency > 0.1 for latency in found.latencies) > 10


class Plain(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_client_ends_by_itself_however_much_it_has_to_tell():
    with ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever).start()
        client = Load(url=f"http://127.0.0.1:{server.server_port}/", clients=4, requests=5_000, warm=1).start()
        for _ in range(600):
            if client.over:
                break
            time.sleep(0.1)
        over = client.over
        server.shutdown()
    assert over  # its latencies are more than a pipe holds, and nobody has read them
    assert client.result().asked == 5_000
