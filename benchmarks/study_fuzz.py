"""Bodies that hypothesis makes, thrown at every app in this process: which statuses come back, and that none is a 5xx.

python -m benchmarks.study_fuzz [--bodies 10000] [--odd 2000] [--apps ticks …]

A third of the bodies is made of the app's own schema, a third of a good one with values changed or gone, and a third is
any JSON. Each route that takes a body gets its share. `benchmarks.odd_requests` come after them: what refuses one must
be a problem document.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.asgi_apps import INSTALLED, installed, running
from benchmarks.good_bodies import GOOD
from benchmarks.odd_requests import OddRequest, answered, odd_requests

SHOWN = 5
ODDLY = "(odd requests)"
"""What they are counted under, whatever their path."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TIMES = ["1970-01-01T00:00:00Z", "2025-05-05T14:00:00Z", "9999-12-31T23:59:59Z", "2025-05-05"]
NUMBERS = [0, -0.0, -1, 1e308, -1e308, 5e-324, 2**31, 2**63, 10**30, float("nan"), float("inf")]
EDGES = st.sampled_from([*NUMBERS, *TIMES, "", " ", "\x00", "S000", "A", [], {}, None, True])
VALUES = EDGES | JSON


@dataclass
class Found:
    """Statuses by route, and the bodies that brought a 5xx."""

    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    @property
    def bodies(self) -> int:
        """How many were sent."""
        return sum(counter.total() for counter in self.statuses.values())


@dataclass(frozen=True)
class Target:
    """A route that takes a body, and what to make one of."""

    path: str
    example: Any
    schema: st.SearchStrategy[Any]

    def bodies(self) -> st.SearchStrategy[Any]:
        """A third each."""
        changed = VALUES if self.example is None else mutated(self.example)
        return st.one_of(self.schema, changed, VALUES)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a body something stands."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, example: Any) -> Any:
    """An example of which up to three values are others, or gone."""
    body = copy.deepcopy(example)
    for _ in range(draw(st.integers(0, 3))):
        if not (known := list(places(body))):
            break
        *above, last = draw(st.sampled_from(known))
        at = body
        for key in above:
            at = at[key]
        change = draw(st.sampled_from(["other", "nearly", "gone"]))
        if change == "gone":
            del at[last]
        elif change == "nearly" and isinstance(at[last], float):
            at[last] *= draw(st.floats(0.99, 1.01))
        else:
            at[last] = draw(VALUES)
    return body


def targets(spec: dict[str, Any], good: dict[str, Any]) -> list[Target]:
    """The routes of an app that take a body; ``good`` has one by route where the documented example is none."""
    found = []
    for operation in (o.ok() for o in schemathesis.openapi.from_dict(spec).get_all_operations()):
        body = operation.definition.raw.get("requestBody")
        if body is not None:
            schema = body["content"]["application/json"]["schema"]
            name = schema.get("$ref", "").rpartition("/")[2]
            examples = spec["components"]["schemas"].get(name, schema).get("examples") or [None]
            strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
            found.append(
                Target(operation.path, good.get(operation.path, examples[0]), strategy.map(lambda case: case.body))
            )
    return found


def throw(name: str, app: Any, bodies: int, start: int = 0, odd: int = 0) -> Found:
    """Send so many bodies to an app, each route its share, and then so many odd requests."""
    found = Found()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        asgi = runner.run(stack.enter_async_context(running(app)))
        transport = httpx.ASGITransport(app=asgi, raise_app_exceptions=False)
        client = runner.run(stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://app")))
        aims = targets(runner.run(client.get("/openapi.json")).json(), GOOD.get(name, dict)())
        for number, aim in enumerate(aims):
            share = (bodies + number) // len(aims)  # they add up
            counter = found.statuses.setdefault(aim.path, Counter())
            while counter.total() < share:
                before = counter.total()
                _many(runner, client, aim, share - before, found, start + before)
                if counter.total() == before:
                    break
        if odd:
            _oddly(runner, asgi, aims, odd, found, start)
        runner.run(stack.aclose())
    return found


def _settings(number: int) -> settings:
    """So many examples, made and not made smaller."""
    return settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def _oddly(runner: asyncio.Runner, app: Any, aims: list[Target], number: int, found: Found, start: int) -> None:
    counter = found.statuses.setdefault(ODDLY, Counter())
    requests = odd_requests([aim.path for aim in aims], next((a.example for a in aims if a.example is not None), {}))

    @seed(start)
    @_settings(number)
    @given(odd=requests)
    def one(odd: OddRequest) -> None:
        status, wrong = runner.run(answered(app, odd))
        counter[status] += 1
        if wrong:
            found.broken.append(f"{odd} {wrong}"[:2_000])

    one()


def _many(
    runner: asyncio.Runner, client: httpx.AsyncClient, aim: Target, bodies: int, found: Found, start: int
) -> None:
    """Hypothesis makes so many, or fewer where it finds no others."""

    @seed(start)
    @_settings(bodies)
    @given(body=aim.bodies())
    def one(body: Any) -> None:
        content = json.dumps(body).encode()  # NaN and infinities too, as careless clients write them
        reply = runner.run(client.post(aim.path, content=content, headers={"Content-Type": "application/json"}))
        found.statuses[aim.path][reply.status_code] += 1
        if reply.status_code >= 500:
            found.broken.append(f"{aim.path} {reply.status_code} {reply.text[:200]} of {content[:300]!r}")

    one()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=10_000, help="to each app")
    parser.add_argument("--odd", type=int, default=2_000, help="requests to each app that no careful client sends")
    parser.add_argument("--apps", nargs="+", choices=INSTALLED, default=list(INSTALLED))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        for name in options.apps:
            found = throw(name, installed(name, Path(home)), options.bodies, options.seed, options.odd)
            print(f"{name}: {found.bodies} requests, {len(found.broken)} broke it", flush=True)
            for path, counter in found.statuses.items():
                print(f"    {path:<40}" + ", ".join(f"{status}: {n}" for status, n in sorted(counter.items())))
            for text in found.broken[:SHOWN]:
                print(f"    {text}")


if __name__ == "__main__":
    main()
