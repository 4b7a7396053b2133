"""The reference of the serving benchmark: an empty Flask route under the very gunicorn configuration of the service."""

from __future__ import annotations

import os

from flask import Flask

from api.settings import ServiceSettings
from api.wsgi import Service
from recommender.settings import read_settings

PATH = "/empty"


class EmptyService(Service):
    """Gunicorn as `memberwise serve` configures it, around an application that does nothing."""

    def load(self) -> Flask:
        """Build the application."""
        app = Flask("empty", static_folder=None)
        app.add_url_rule(PATH, "empty", lambda: "")
        return app


if __name__ == "__main__":
    EmptyService(read_settings(ServiceSettings, os.environ)).run()
