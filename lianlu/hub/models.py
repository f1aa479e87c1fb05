"""The directory that a recipe's `model.base` means."""

from pathlib import Path

from lianlu.errors import UserError
from lianlu.hub.cache import place, read_source
from lianlu.hub.identifier import parse


def resolve(base: str, relative_to: Path) -> Path:
    """A model directory: a path (relative to the recipe's folder), or an id that was downloaded.

    Never goes to the network, since a plan resolves as well as a run.

    Raises UserError when there is no such directory, it holds no model, or the id is not in the
    cache.
    """
    folder = relative_to / Path(base).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"{folder}: no config.json", "model.base is a Hugging Face model directory"
            )
        return folder.resolve()
    try:
        identifier = parse(base)
    except UserError:
        raise UserError(
            f"model.base {base!r}: no such directory, and no id of a hub",
            f"paths start from {relative_to}; ids are hf:owner/name or ms:owner/name",
        ) from None
    directory = place(identifier)
    if read_source(directory) is None:
        state = "was not downloaded whole" if directory.exists() else "is not downloaded"
        raise UserError(
            f"model.base {identifier} {state}", f"`lianlu hub get {identifier}` fetches it once"
        )
    return directory
