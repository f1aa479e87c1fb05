"""What a model says to a fixed probe: taken when it is written, compared wherever it is loaded.

A template that changed, a tokenizer file of another version, weights that were converted wrongly:
each link would go on, and the model would merely be worse. The fingerprint makes them differ.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from lianlu.errors import StepFailed, UserError
from lianlu.lineage import write_json
from lianlu.model.attention import VarlenAttention
from lianlu.model.checkpoint import read_json
from lianlu.model.decoder import Decoder
from lianlu.model.template import ChatTemplate
from lianlu.model.tokenizer import Tokenizer

FILE = "fingerprint.json"
PROBE = "What does os.path.join do? It joins paths: 连接路径, naïve 1024 <|im_end|>\n"
TOP = 8
# Largest difference of a logit, as a share of their spread: what another dtype or order of sums may
# cost, and a wrong tensor never does.
TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.1, torch.float16: 0.05}


@dataclass(frozen=True)
class Fingerprint:
    """`token_ids` of the probe, plain and as a dialogue; the last position's `top` largest logits.

    `spread` is the standard deviation of all its logits.
    """

    plain_ids: list[int]
    dialogue_ids: list[int] | None
    top: list[int]
    logits: list[float]
    spread: float


def take_fingerprint(decoder: Decoder, path: Path) -> Fingerprint:
    """The fingerprint of `decoder` with the tokenizer and the template in `path`."""
    plain, dialogue = _probe_ids(path)
    logits = _last_logits(decoder, plain)
    top = logits.topk(min(TOP, len(logits)))
    return Fingerprint(
        plain, dialogue, top.indices.tolist(), top.values.tolist(), float(logits.std())
    )


def write_fingerprint(decoder: Decoder, path: Path) -> None:
    write_json(path / FILE, asdict(take_fingerprint(decoder, path)))


def read_fingerprint(path: Path) -> Fingerprint | None:
    """What was written in `path`, or None for a model from outside."""
    if not (path / FILE).is_file():
        return None
    try:
        return Fingerprint(**read_json(path / FILE, "write the model again"))
    except TypeError as error:
        raise UserError(f"{path / FILE}: not a fingerprint: {error}") from None


def require_fingerprint(decoder: Decoder, path: Path) -> None:
    """See that `decoder`, loaded from `path`, is what was written there, if that was written down.

    Raises StepFailed naming what differs: token ids, dialogue ids or logits.
    """
    written = read_fingerprint(path)
    if written is None:
        return
    require_same_tokens(written, path)
    found = _last_logits(decoder, written.plain_ids)[written.top]
    dtype = next(decoder.parameters()).dtype
    allowed = TOLERANCE[dtype] * max(written.spread, 1e-3)
    off = float((found - torch.tensor(written.logits)).abs().max())
    if not off <= allowed:
        raise StepFailed(
            f"{path}: its logits differ by {off:.3g} from those it was written with"
            f" ({allowed:.3g} are allowed); the weights or the way to load them have changed"
        )


def require_same_tokens(written: Fingerprint, path: Path) -> None:
    """See that the tokenizer and template in `path` give the probe the ids that `written` holds."""
    plain, dialogue = _probe_ids(path)
    for what, ids, wanted in (
        ("tokenizer", plain, written.plain_ids),
        ("chat template", dialogue, written.dialogue_ids),
    ):
        if ids != wanted:
            raise StepFailed(
                f"{path}: its {what} gives other token ids than the model was made with;"
                " copy the tokenizer files of the model that it comes from"
            )


def _probe_ids(path: Path) -> tuple[list[int], list[int] | None]:
    plain = Tokenizer.load(path).encode(PROBE)
    try:
        template = ChatTemplate.load(path)
    except UserError:  # a base without a template
        return plain, None
    turns = [("user", PROBE), ("assistant", "It joins paths."), ("user", "And os.sep?")]
    messages = [{"role": role, "content": content} for role, content in turns]
    return plain, template.encode(messages, generate=True)


@torch.no_grad()
@torch.compiler.set_stance("force_eager")  # compiled for training, its blocks know other shapes
def _last_logits(decoder: Decoder, ids: list[int]) -> Tensor:
    """fp32 logits [vocab] after the last probe token."""
    device = next(decoder.parameters()).device
    ids = ids[: decoder.config.context]
    tokens = torch.tensor(ids, device=device)
    attend = VarlenAttention(torch.tensor([0, len(ids)], dtype=torch.int32, device=device))
    hidden = decoder(tokens, torch.arange(len(ids), device=device), attend)
    return decoder.logits(hidden[-1:])[0].float().cpu()
