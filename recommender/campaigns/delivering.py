"""Delivery: a thread for each active transport, so that one that never answers holds up no other."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from datetime import datetime

import numpy as np

from recommender.campaigns.delivery.kinds import Surroundings, make_transport
from recommender.campaigns.sending import DeliveryRules, Sender
from recommender.campaigns.transports import TransportRow, list_transports
from recommender.errors import MemberwiseError
from recommender.storage.database import Database

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often it is looked which transports there are."""
IDLE_SECONDS = 0.2
"""How long a thread waits when nothing is due."""
FAULT_SECONDS = 2.0
"""How long a thread waits after something went wrong."""


class Delivery:
    """Sends by all active transports until it is stopped."""

    def __init__(
        self,
        database: Database,
        rules: DeliveryRules,
        surroundings: Surroundings,
        clock: Callable[[], datetime],
    ) -> None:
        self._database, self._rules, self._surroundings, self._clock = database, rules, surroundings, clock
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lanes: dict[str, _Lane] = {}

    def run(self, stop: threading.Event) -> None:
        """Keep a lane for each active transport, and end them all at the end."""
        while not stop.is_set():
            try:
                self._follow()
            except MemberwiseError as error:
                logger.warning("transports_not_read reason=%s", error)
            stop.wait(LOOK_SECONDS)
        for lane in self._lanes.values():
            lane.stop.set()
        for lane in self._lanes.values():
            lane.thread.join()

    def _follow(self) -> None:
        """Start lanes of transports that are new or changed, and end those of others."""
        with self._database.read() as connection:
            wanted = {one.name: one for one in list_transports(connection) if one.active}
        for name, lane in list(self._lanes.items()):
            if lane.row != wanted.get(name) and not lane.stop.is_set():
                lane.stop.set()
            if lane.stop.is_set() and not lane.thread.is_alive():
                del self._lanes[name]
        for name, row in wanted.items():
            if name not in self._lanes:
                self._open(row)

    def _open(self, row: TransportRow) -> None:
        try:
            self._lanes[row.name] = _Lane(row, self._sender(row))
        except MemberwiseError as error:
            logger.warning("transport_not_opened transport=%s reason=%s", row.name, error)
        else:
            logger.info("transport_opened transport=%s kind=%s", row.name, row.kind)

    def _sender(self, row: TransportRow) -> Sender:
        settings = row.settings
        transport = make_transport(settings, self._surroundings)
        owner, rng = f"{self._owner}:{row.name}", np.random.default_rng()
        return Sender(self._database, settings, transport, self._rules, owner, self._clock, rng)


class _Lane:
    """One transport's thread."""

    def __init__(self, row: TransportRow, sender: Sender) -> None:
        self.row = row
        self.stop = threading.Event()
        self._sender = sender
        self.thread = threading.Thread(target=self._run, name=f"deliver-{row.name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stop.is_set():
            try:
                idle = 0.0 if self._sender.send_some(self.stop) else IDLE_SECONDS
            except MemberwiseError as error:
                logger.warning("delivery_failed transport=%s reason=%s", self.row.name, error)
                idle = FAULT_SECONDS
            except Exception:
                logger.exception("delivery_failed transport=%s", self.row.name)
                idle = FAULT_SECONDS
            self.stop.wait(idle)
        self._sender.close()
