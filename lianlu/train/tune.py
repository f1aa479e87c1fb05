"""Dialogues to a tuned model, by full training or LoRA."""

from typing import Literal

import numpy as np
import torch

from lianlu.errors import UserError
from lianlu.job import Facts, Job
from lianlu.model.adapters import add_lora, merge_lora, save_adapter
from lianlu.model.checkpoint import load_model, save_model
from lianlu.model.fingerprint import require_fingerprint, write_fingerprint
from lianlu.model.template import ChatTemplate
from lianlu.train.batch import Batch, pack
from lianlu.train.checkpoint import remove
from lianlu.train.config import TuneConfig
from lianlu.train.dialogues import DialogueBatches, Encoded, encode_dialogues, plan_packs
from lianlu.train.loop import Course, train
from lianlu.train.order import Shuffle
from lianlu.train.precision import choose_device, choose_dtype, set_threads

WARMUP, DECAY = 0.02, 0.8
ADAPTER = "adapter"


def tune(
    config: TuneConfig, method: Literal["full", "lora"], job: Job, dtype: str = "auto"
) -> Facts:
    """Train `inputs["model"]` on `inputs["dialogues"]`; writes a Hugging Face directory.

    Only the tokens that the model must say carry loss. With LoRA the adapter lies in `adapter/` as
    a PEFT directory and the model's own files hold the merged weights.

    Raises UserError for an unknown method or dialogues that cannot be read; StepFailed as the
    loop does.
    """
    if method not in ("full", "lora"):
        raise UserError(f"no tuning method {method!r}", "methods: full, lora")
    set_threads(1 if config.exact else config.threads)
    device = choose_device()
    base, dialogues = job.inputs["model"], job.inputs["dialogues"]
    template = ChatTemplate.load(base)
    decoder = load_model(base, dtype=torch.float32).to(device)
    require_fingerprint(decoder, base)
    shape = decoder.config
    encoded = encode_dialogues(dialogues / "train.jsonl", template, shape.context, job)
    held_out = encode_dialogues(dialogues / "valid.jsonl", template, shape.context, job)
    if method == "lora":
        add_lora(decoder, rank=config.rank, seed=config.seed)
        decoder.to(device)

    data = DialogueBatches(
        encoded, shape.context, config.batch_tokens, config.seed, config.micro_tokens
    )
    valid = _valid_batches(held_out, data.pack_tokens)
    steps = data.steps(config.epochs)
    course = Course(steps, WARMUP, DECAY, choose_dtype(dtype, device, config.exact))
    position = train(decoder, data, valid, course, config, job)

    if method == "lora":
        save_adapter(decoder, job.out / ADAPTER)
        merge_lora(decoder)
    save_model(decoder, job.out, tokenizer_from=base)
    write_fingerprint(decoder, job.out)
    remove(job.out)
    return {
        "method": method,
        "steps": steps,
        "tokens": round(encoded.tokens * config.epochs),
        "dialogues": len(encoded.rows),
        "too_long": encoded.too_long,
        "train_loss": round(float(np.mean(position.losses)), 4) if position.losses else None,
        "valid_loss_before": round(position.valid_before, 4),
        "valid_loss": round(position.valid_loss, 4),
        "skipped_steps": position.skipped,
        "template_digest": template.digest,
    }


def _valid_batches(encoded: Encoded, pack_tokens: int) -> list[Batch]:
    lengths = [len(ids) for ids, _ in encoded.rows]
    plan = plan_packs(lengths, pack_tokens, Shuffle(len(lengths), seed=0))
    return [pack([[encoded.rows[item] for item in items]], pack_tokens) for items in plan]
