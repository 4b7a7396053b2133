"""The documents for people and programs: /docs, with its files, works offline and knows only openapi.json."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, send_from_directory

FOLDER = Path(__file__).parent.parent / "static" / "docs"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)


def add_pages(app: Flask) -> None:
    """Add the pages to the application."""
    app.add_url_rule("/docs", "docs", _index, methods=["GET"])
    app.add_url_rule("/docs/<name>", "docs_file", _file, methods=["GET"])


def _index() -> Response:
    return _file("index.html")


def _file(name: str) -> Response:
    response = send_from_directory(FOLDER, name, max_age=300)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
