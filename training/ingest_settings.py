"""IngestSettings: what loading exports needs beside the shared settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from recommender.settings import CoreSettings, setting


@dataclass(frozen=True, slots=True)
class IngestSettings(CoreSettings):
    """What `memberwise ingest` and `memberwise profile` need to know."""

    ingest_memory_mib: int = field(
        default=512,
        metadata=setting(
            "Memory that DuckDB may hold while it reads exports; more goes to HOME/work on disk.",
            unit="MiB",
            minimum=128,
        ),
    )
    ingest_threads: int = field(
        default=2, metadata=setting("Threads that read exports.", unit="threads", minimum=1, maximum=64)
    )
