"""A base model from outside becomes a step: checked, taken over, and named by its digest."""

import fcntl
import shutil
from pathlib import Path

import torch

from lianlu.errors import UserError
from lianlu.job import Facts, Job
from lianlu.model.attention import VarlenAttention
from lianlu.model.checkpoint import load_model
from lianlu.model.files import taken_files
from lianlu.model.fingerprint import write_fingerprint
from lianlu.model.tokenizer import Tokenizer

_FICLONE = 0x40049409  # linux/fs.h
_FICLONE = 0x40049409  # linux/fs.h


def adopt(base: Path, job: Job) -> Facts:
    """Load `base` once, see that its tokenizer and logits are sound, and take its files.

    Raises UserError when the directory is no model we can run: unknown family, shard missing or
    corrupt, tokenizer larger than the embedding, logits that are not finite.
    """
    job.progress.begin("check the base model", 3)
    decoder = load_model(base)
    job.progress.advance("check the base model")
    tokenizer = Tokenizer.load(base)
    rows = decoder.config.vocab_size
    if tokenizer.vocab_size > rows:
        raise UserError(
            f"{base}: the tokenizer has {tokenizer.vocab_size} ids, the embedding {rows} rows",
            "the tokenizer belongs to another model",
        )
    job.progress.advance("check the base model")
    _require_finite(base, decoder, tokenizer)
    for path in taken_files(base):
        _copy(path, job.out / path.name)
    write_fingerprint(decoder, job.out)
    job.progress.finish("check the base model")
    return {"parameters": decoder.config.parameters(), "vocab_size": rows}


@torch.inference_mode()
def _require_finite(base: Path, decoder: torch.nn.Module, tokenizer: Tokenizer) -> None:
    ids = torch.tensor(tokenizer.encode("The chain begins here.") or [0])
    attend = VarlenAttention(torch.tensor([0, len(ids)], dtype=torch.int32), len(ids))
    hidden = decoder(ids, torch.arange(len(ids)), attend)
    if not torch.isfinite(hidden).all():
        raise UserError(f"{base}: the model's outputs are not finite", "its weights are damaged")


def _copy(source: Path, target: Path) -> None:
    """A copy that shares its blocks where the file system can (FICLONE), else a plain one.

    Never a hard link: whoever rewrites the base in place would change the finished step.
    """
    with source.open("rb") as old, target.open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 1 << 22)
