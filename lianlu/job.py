"""What a link gets to work with, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lianlu.progress import Progress

# What a step reports of its result (counts, losses, scores): JSON values, no times, no paths.
Facts = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One piece of work: read `inputs`, write `out`, tell `progress`.

    `out` is the step's `.part` directory. It may already hold what an earlier, interrupted attempt
    left there; a link either resumes from it or overwrites it, and the bytes come out the same.
    """

    out: Path
    inputs: Mapping[str, Path] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
