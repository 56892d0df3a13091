"""The documentation at ``/docs``, drawn by a script of ours from ``/openapi.json``: nothing of another host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path

from fastapi import FastAPI, Request, Response

FOLDER = Path(__file__).with_name("docs")

FILES = {"docs.js": "text/javascript", "docs.css": "text/css"}


def install_docs(api: FastAPI) -> None:
    """Serve ``/docs`` in place of FastAPI's pages, which load their scripts from elsewhere."""
    gone = {api.docs_url, api.redoc_url, api.swagger_ui_oauth2_redirect_url, *(f"/docs/{name}" for name in FILES)}
    api.router.routes[:] = [route for route in api.router.routes if getattr(route, "path", None) not in gone]
    page = (FOLDER / "index.html").read_text(encoding="utf-8")

    async def docs(request: Request) -> Response:
        root = escape(request.scope.get("root_path", "").rstrip("/"))
        return Response(page.replace("{{root}}", root), media_type="text/html")

    api.add_route("/docs", docs, include_in_schema=False)
    for name, kind in FILES.items():
        api.add_route(f"/docs/{name}", _file((FOLDER / name).read_bytes(), kind), include_in_schema=False)


def _file(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def file(_: Request) -> Response:
        return Response(content, media_type=kind)

    return file
