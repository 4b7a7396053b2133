"""The documents for people and programs: /docs, with its files, works offline and knows only openapi.json."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response
from werkzeug.exceptions import NotFound

FOLDER = Path(__file__).parent.parent / "static" / "docs"
MEDIA_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)


def add_pages(app: Flask) -> None:
    """Add the pages to the application; they are read once."""
    pages = {name: (FOLDER / name).read_bytes() for name in MEDIA_TYPES}

    def index() -> Response:
        return _page(pages["index.html"], MEDIA_TYPES["index.html"])

    def file(name: str) -> Response:
        if name not in pages:
            raise NotFound
        return _page(pages[name], MEDIA_TYPES[name])

    app.add_url_rule("/docs", "docs", index, methods=["GET"])
    app.add_url_rule("/docs/<name>", "docs_file", file, methods=["GET"])


def _page(content: bytes, media_type: str) -> Response:
    response = Response(content, content_type=media_type)
    response.headers["Cache-Control"] = "max-age=300"
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
