"""Serve apps that do nothing, of the shape of those that are measured: as many deployments, as many calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

ANSWER = json.dumps({"answer": "nothing"})


class Nothing:
    """A shard: returns a small constant."""

    async def predict(self, symbols: Sequence[str]) -> dict[str, str]:
        """The constant."""
        return {"answer": "nothing"}


class Gather:
    """An ingress: asks its shards, all at once, and answers a small constant. Without shards it just answers.

    Parameters
    ----------
    handles : sequence
        One a shard.
    method, path : str
        Of its endpoint; a POST reads its body as JSON.
    """

    def __init__(self, handles: Sequence[Any], method: str, path: str) -> None:
        self._handles, self._method, self._path = tuple(handles), method, path

    def __serve_build_asgi_app__(self) -> Any:
        from fastapi import FastAPI

        app = FastAPI()
        app.add_api_route(self._path, self.post if self._method == "POST" else self.get, methods=[self._method])
        return app

    async def get(self) -> Any:
        """Ask the shards, and answer the constant."""
        from fastapi import Response

        await asyncio.gather(*(handle.predict.remote(["S000"]) for handle in self._handles))
        return Response(ANSWER, media_type="application/json")

    async def post(self, body: dict[str, Any]) -> Any:
        """The same, after reading the body."""
        return await self.get()


def no_op(args: Any, *, shards: int, path: str, method: str = "GET") -> Any:
    """The app; ``args`` are those of the app it stands beside."""
    from ray import serve

    from serve_apps.deploying import deployment

    handles = [deployment(Nothing, f"Nothing-{k}", args, access_log=False).bind() for k in range(shards)]
    return deployment(serve.ingress()(Gather), "Gather", args).bind(handles, method, path)
