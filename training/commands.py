"""The commands of the trainer, by the names under which `memberwise` looks for them."""

from __future__ import annotations

from training.bundle_commands import bundles
from training.ingest_commands import ingest, members, profile
from training.model_commands import demo, evaluate, recommend, train

__all__ = ["bundles", "demo", "evaluate", "ingest", "members", "profile", "recommend", "train"]
