"""A model as an ordinary directory, with a card that tells where it comes from."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from lianlu.errors import StepFailed, UserError
from lianlu.lineage import digest_file, read_record

FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "lianlu.json",
    "fingerprint.json",
    "*.safetensors",
    "*.safetensors.index.json",
)


def export_hf(model: Path, out: Path) -> Iterator[str]:
    """Copy the files that other tools load into `out`; yields a line for each thing done.

    Raises UserError when `out` holds something else, StepFailed when a copy is not what was
    recorded.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", "choose another directory, or empty it")
    out.mkdir(parents=True, exist_ok=True)
    record = read_record(model)
    for path in sorted(path for pattern in FILES for path in model.glob(pattern)):
        target = out / path.name
        shutil.copyfile(path, target)
        if record is not None and digest_file(target) != record.outputs[path.name]["sha256"]:
            raise StepFailed(f"{path}: other bytes than its step recorded; the model is damaged")
        yield f"{target}  {target.stat().st_size:,} bytes"
    (out / "README.md").write_text(_card(model), encoding="utf-8")
    yield f"{out / 'README.md'}  where it comes from"


def _card(model: Path) -> str:
    record = read_record(model)
    lines = ["---", "library_name: transformers", "---", "", "# Model card", ""]
    if record is None:
        return "\n".join([*lines, "Exported by lianlu from a directory without a step record.", ""])
    lines += [
        f"Made by lianlu {record.lianlu}, step `{record.name}` (`{record.link}`), digest"
        f" `{record.digest[:16]}`.",
        "",
        "| made from | digest |",
        "|---|---|",
        *(f"| {name} | `{entry['digest'][:16]}` |" for name, entry in record.inputs.items()),
        "",
        "| fact | value |",
        "|---|---|",
        *(f"| {k} | {v} |" for k, v in record.facts.items() if isinstance(v, int | float | str)),
        "",
    ]
    return "\n".join(lines)
