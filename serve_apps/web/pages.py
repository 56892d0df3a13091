"""The page at ``/``: files of this package and plotly's script of the installed one, nothing of another host."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse

PAGE = Path(__file__).resolve().parents[1] / "page"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served of the folder, and as what."""

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""What the browser may load and run: our own files. No inline script runs, wherever its text came from. Inline
styles do: plotly writes them."""

HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

YEAR = 365 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file as it is served, and what tells one content of it from another."""

    content: bytes
    type: str
    etag: str


def asset(path: Path, **values: str) -> Asset:
    """Read a file of the page; ``{{name}}`` in it stands for one of ``values``."""
    content = path.read_bytes()
    for name, value in values.items():
        content = content.replace(f"{{{{{name}}}}}".encode(), value.encode())
    return Asset(content=content, type=TYPES[path.suffix], etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def install_page(api: FastAPI) -> None:
    """Add ``/`` and what it loads: ``/page/*``, and ``/page/plotly.js`` from the installed plotly.

    The browser asks each time whether a file of the page has changed, and keeps plotly, whose address has its version.
    Files are read once, here; none of them needs a key, since there is nothing in them that is not in the package.
    """
    plotly = version("plotly")
    page = asset(PAGE / "index.html", plotly=plotly)
    files = {
        path.name: asset(path) for path in sorted(PAGE.iterdir()) if path.suffix in TYPES and path.suffix != ".html"
    }

    async def index(request: Request) -> Response:
        return _answer(request, page)

    async def plotly_script(request: Request) -> Response:
        return _plotly(request, plotly)

    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404, {"message": f"no file {name!r} of the page", "known": sorted(files)})
        return _answer(request, files[name])

    for path, endpoint in (("/", index), ("/page/plotly.js", plotly_script), ("/page/{name}", file)):
        api.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False, response_class=HTMLResponse)


def _answer(request: Request, found: Asset) -> Response:
    headers = {"ETag": found.etag, "Cache-Control": "no-cache", **HEADERS}
    if _known(request, found.etag):
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.type, headers=headers)


def _plotly(request: Request, plotly: str) -> Response:
    """The script, from disk; kept by the browser for as long as the address, which has the version, stays the same."""
    headers = {"ETag": f'"plotly-{plotly}"', "Cache-Control": f"max-age={YEAR}, immutable", **HEADERS}
    if request.query_params.get("v") != plotly:
        headers["Cache-Control"] = "no-cache"
    if _known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return FileResponse(plotly_path(), media_type=TYPES[".js"], headers=headers)


def _known(request: Request, etag: str) -> bool:
    given = request.headers.get("if-none-match", "")
    return etag in {part.strip().removeprefix("W/") for part in given.split(",")}


def plotly_path() -> Path:
    """Where the installed plotly keeps its script. The package itself, which takes its time, is not imported.

    >>> plotly_path().name
    'plotly.min.js'
    """
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("plotly is not installed")
    return Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
