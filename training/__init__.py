"""Learning from history: reads exports, fits, evaluates and publishes bundles.

For notebooks, `import training as mw` offers the functions named in __all__; each is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.notebook import by_group, difference, figures, history, learn, open_shop, overview, slate
    from training.settings import TrainingSettings, read_training_settings
    from training.tune_space import changed

__all__ = [
    "open_shop",
    "history",
    "overview",
    "learn",
    "figures",
    "by_group",
    "difference",
    "slate",
    "changed",
    "TrainingSettings",
    "read_training_settings",
]
_ELSEWHERE = {
    "changed": "training.tune_space",
    "TrainingSettings": "training.settings",
    "read_training_settings": "training.settings",
}


def __getattr__(name: str) -> Any:
    """Load a function for notebooks."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ELSEWHERE.get(name, "training.notebook")), name)


def __dir__() -> list[str]:
    """List what can be completed."""
    return sorted({*globals(), *__all__})
