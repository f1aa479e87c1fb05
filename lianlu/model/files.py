"""The files of a base model from outside: which are taken, and their digest. Needs no torch."""

from pathlib import Path

from lianlu.lineage import digest_file, digest_of
from lianlu.progress import JOURNALS

# Never taken along: code, pickles, and what other tools left in the folder.
TAKEN = (".json", ".safetensors", ".jinja", ".model", ".txt", ".md")


def taken_files(base: Path) -> list[Path]:
    """What `adopt` takes over of a model directory, by name."""
    return sorted(
        path
        for path in base.iterdir()
        if path.is_file() and path.suffix in TAKEN and path.name not in JOURNALS
    )


def base_digest(base: Path) -> str:
    """The digest of the files that are taken; what else lies in the folder does not count."""
    return digest_of({path.name: {"sha256": digest_file(path)} for path in taken_files(base)})
