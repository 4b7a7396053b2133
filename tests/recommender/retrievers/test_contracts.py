"""No retriever goes without the contract."""

from __future__ import annotations

import importlib
import pkgutil

from recommender.retrievers import RETRIEVERS
from tests import contracts
from tests.recommender import retrievers


def test_every_retriever_is_held_to_the_contract() -> None:
    for module in pkgutil.iter_modules(retrievers.__path__):
        importlib.import_module(f"{retrievers.__name__}.{module.name}")
    held = {type(test().retriever()) for test in contracts.RetrieverContract.__subclasses__()}
    assert held == set(RETRIEVERS.values())
