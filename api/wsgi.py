"""The gunicorn entry point: modules are loaded before the workers fork, everything else after."""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from api.app import build_services, close_services, create_app
from api.metrics import forget_process
from api.services import Services
from api.settings import ServiceSettings
from recommender.errors import MemberwiseError
from recommender.registry import Registry

START_SECONDS = 120
"""How long a worker may take until its bundle is verified and warm."""
COLLECT_AFTER = (20_000, 50, 100)
"""Thresholds of garbage collection: hardly any object of a request is part of a cycle, and looking for them at
Python's own thresholds took a twelfth of a worker's time."""
_M_ARENA_MAX = -8
"""The number of a setting of glibc's malloc."""


class PlainLogger(Logger):  # type: ignore[misc]
    """Gunicorn's own lines join ours; the line per request is written by the application."""

    def setup(self, cfg: Any) -> None:
        """Leave formats and outputs to the root logger."""
        super().setup(cfg)
        self.error_log.handlers = []
        self.error_log.propagate = True

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a warning; of a request that cannot be read, nothing it says."""
        if msg.startswith("Invalid request"):
            msg, args = "invalid_request", ()
        super().warning(msg, *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log an error with its trace; its place in the code tells more than the address, which may name a member."""
        if str(msg).startswith("Error handling request"):
            msg, args = "request_not_handled", ()
        super().exception(msg, *args, **kwargs)


class OnePiece:
    """A connection that holds the head of an answer back until the first part of the body is there to go with it.

    In two pieces they would cost two packets, and the client would wake up twice.

    Args:
        connection: to which everything goes.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        """Return what the connection has."""
        return getattr(self._connection, name)

    def sendall(self, data: bytes) -> None:
        """Send data, but for a head that stands alone; one of 1xx comes before the answer and does not wait for it."""
        is_head = data.startswith(b"HTTP/") and data.endswith(b"\r\n\r\n") and data[8:10] != b" 1"
        if is_head and not self._head:
            self._head = data
            return
        head, self._head = self._head, b""
        self._connection.sendall(head + data if head else data)

    def flush(self) -> None:
        """Send what was held back: an answer may have no body."""
        if self._head:
            self.sendall(b"")


class Worker(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's threaded worker, which sends the head and the body of an answer in one piece."""

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer one request."""
        connection = conn.sock
        conn.sock = together = OnePiece(connection)
        try:
            keepalive = bool(super().handle_request(req, conn))
            together.flush()
        finally:
            conn.sock = connection
        return keepalive


class Service(BaseApplication):  # type: ignore[misc]
    """Gunicorn with our settings; each worker builds its own application after the fork."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._services: Services | None = None
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings to gunicorn."""
        settings = self._settings
        chosen: dict[str, Any] = {
            "bind": f"{settings.host}:{settings.port}",
            "workers": settings.worker_count,
            "threads": settings.threads,
            "worker_class": Worker,
            "keepalive": settings.keepalive_seconds,
            "timeout": START_SECONDS,
            "graceful_timeout": settings.graceful_seconds,
            "preload_app": False,
            "control_socket_disable": True,
            "loglevel": settings.log_level,
            "logger_class": PlainLogger,
            "child_exit": lambda _server, worker: forget_process(worker.pid),
            "worker_exit": lambda _server, _worker: self._close(),
            "pre_fork": lambda _server, _worker: _set_aside(),
        }
        for name, value in chosen.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build the application of one worker."""
        self._services = build_services(self._settings)
        app = create_app(self._services)
        _set_aside()
        gc.set_threshold(*COLLECT_AFTER)
        return app

    def _close(self) -> None:
        """Let go of what this worker opened: its last figures are counted, its spool file may be removed."""
        if self._services is not None:
            close_services(self._services)
            self._services = None


def _set_aside() -> None:
    """Keep what is loaded by now out of garbage collection, which takes time and would copy shared pages."""
    gc.collect()
    gc.freeze()


def _keep_one_heap() -> None:
    """Have all threads of a process allocate from one heap (glibc): each of its own would keep what it once needed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def _load_trees(settings: ServiceSettings) -> None:
    """Load LightGBM's modules before the workers fork if the promoted bundle needs them, so that all share them.

    Where pandas is installed it comes along, and would take more memory of each worker than all else.
    """
    registry = Registry(settings.models)
    try:
        current = registry.current_id()
        needed = current is not None and any(registry.path(current).glob("ranker*.txt"))
    except (MemberwiseError, OSError):
        return  # the workers will say why
    if needed:
        importlib.import_module("lightgbm")


def run(settings: ServiceSettings) -> None:
    """Serve until told to stop."""
    _keep_one_heap()
    _load_trees(settings)
    logging.getLogger(__name__).info(
        "serving address=%s:%d workers=%d threads=%d",
        settings.host,
        settings.port,
        settings.worker_count,
        settings.threads,
    )
    Service(settings).run()
