"""From a row of logits to the next token, the same whatever else is in the batch."""

import torch
from torch import Tensor

from lianlu.serve.request import Request, TokenLogprob

_MASK = (1 << 64) - 1


def uniform(seed: int, index: int) -> float:
    """A number in [0, 1) that depends on `seed` and `index` alone.

    A counter-based generator: the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over a key
    made from the seed, so no state is carried from token to token or shared by requests.
    """
    key = _mix(seed & _MASK)
    return _mix((key + (index + 1) * 0x9E3779B97F4A7C15) & _MASK) / 2.0**64


def _mix(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def is_plain(request: Request) -> bool:
    """Whether the next token is simply the likeliest one, and nothing else is asked for."""
    p = request.params
    return (
        p.temperature == 0
        and p.grammar is None
        and p.logprobs is None
        and not p.logit_bias
        and not _penalised(request)
    )


def choose(request: Request, logits: Tensor, allowed: Tensor | None) -> int:
    """The next token of a request; appends to its `logprobs` where they are asked for.

    `logits` is [V] in any float type, `allowed` bool [V] or None (a grammar's mask).

    Raises:
        ValueError: the logits are not numbers, or no token is allowed.
    """
    params = request.params
    raw = logits.float()
    scores = raw
    if _penalised(request):
        scores = _penalise(request, scores)
    if params.logit_bias:
        ids = torch.tensor(list(params.logit_bias))
        scores = scores.index_add(0, ids, torch.tensor(list(params.logit_bias.values())))
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    top = scores.max().item()
    if top != top or top in (torch.inf, -torch.inf):
        raise ValueError("no token can be chosen: the logits hold no finite maximum")
    if params.temperature == 0:
        token = int(scores.argmax())
    else:
        # The least one whose reciprocal is finite: below it 0 / temperature may be no number.
        warmth = max(params.temperature, torch.finfo(torch.float32).tiny)
        token = _draw((scores - top) / warmth, request)
    if params.logprobs is not None:
        request.logprobs.append(token_logprob(raw, token, params.logprobs))
    return token


def token_logprob(logits: Tensor, token: int, top: int) -> TokenLogprob:
    """The log-probability of `token` and of the `top` likeliest tokens under fp32 logits [V]."""
    logprobs = logits.log_softmax(-1)
    values, ids = logprobs.topk(top)
    likeliest = zip(ids.tolist(), values.tolist(), strict=True)
    return TokenLogprob(token, logprobs[token].item(), tuple(likeliest))


def note(request: Request, token: int) -> None:
    """Count a token that was generated, where a penalty needs the count."""
    if request.generated is not None and request.seen is not None:
        request.generated[token] += 1
        request.seen[token] += 1


def _penalised(request: Request) -> bool:
    p = request.params
    return bool(p.repetition_penalty != 1 or p.frequency_penalty or p.presence_penalty)


def _penalise(request: Request, scores: Tensor) -> Tensor:
    p = request.params
    if request.seen is None or request.generated is None:
        size = scores.shape[-1]
        request.seen = torch.bincount(torch.tensor(request.tokens), minlength=size)[:size]
        request.generated = torch.zeros_like(request.seen)
    strong = torch.where(scores > 0, scores / p.repetition_penalty, scores * p.repetition_penalty)
    scores = torch.where(request.seen > 0, strong, scores)
    count = request.generated
    return scores - p.frequency_penalty * count - p.presence_penalty * (count > 0)


def _draw(scores: Tensor, request: Request) -> int:
    """Inverse transform sampling over the tokens that top-k, top-p and min-p leave."""
    p = request.params
    probs, ids = scores.softmax(-1).sort(descending=True, stable=True)
    if p.top_k:
        probs = probs[: p.top_k]
    probs = probs[: int((probs >= p.min_p * probs[0]).sum())]
    mass = probs.double().cumsum(-1)
    if p.top_p < 1:
        # The token that crosses the threshold stays: there is always one.
        mass = mass[: int((mass < p.top_p * mass[-1]).sum()) + 1]
    point = uniform(request.seed, request.output_length) * mass[-1]
    place = int(torch.searchsorted(mass, point, right=True))
    return int(ids[min(place, int((mass < mass[-1]).sum()))])
