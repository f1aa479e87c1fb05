"""Tokens to a base model."""

import math

import numpy as np

from lianlu.errors import UserError
from lianlu.job import Facts, Job
from lianlu.model.checkpoint import init_weights, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.fingerprint import write_fingerprint
from lianlu.model.section import ModelConfig
from lianlu.model.tokenizer import Tokenizer
from lianlu.train.checkpoint import remove
from lianlu.train.config import PretrainConfig
from lianlu.train.loop import Course, train
from lianlu.train.precision import choose_device, choose_dtype, set_threads
from lianlu.train.windows import WindowBatches, Windows

# Held-out windows that are looked at while the training goes on.
VALID_WINDOWS = 32


def pretrain(config: PretrainConfig, model: ModelConfig, job: Job) -> Facts:
    """Train a new decoder on `inputs["tokens"]`; writes a Hugging Face directory.

    Raises UserError when the token files are missing, damaged or made by another tokenizer than
    `inputs["tokenizer"]`; StepFailed as the loop does.
    """
    set_threads(1 if config.exact else config.threads)
    device = choose_device()
    tokenizer = Tokenizer.load(job.inputs["tokenizer"])
    windows = Windows(job.inputs["tokens"], "train", model.context)
    held_out = Windows(job.inputs["tokens"], "valid", model.context)
    _require_same_tokenizer(windows, tokenizer)

    shape = DecoderConfig.new(
        tokenizer.vocab_size, model.layers, model.width, model.heads, model.kv_heads, model.context
    )
    decoder = Decoder(shape)
    init_weights(decoder, config.seed)
    decoder.to(device)
    data = WindowBatches(windows, config.batch_tokens, config.seed, config.micro_tokens)
    valid = [held_out.gather(np.arange(min(VALID_WINDOWS, held_out.count)))]
    steps = max(1, config.tokens // (data.per_step * model.context))
    course = Course(
        steps, config.warmup, config.decay, choose_dtype(model.dtype, device, config.exact)
    )

    position = train(decoder, data, valid, course, config, job)
    save_model(decoder, job.out, tokenizer_from=job.inputs["tokenizer"])
    write_fingerprint(decoder, job.out)
    remove(job.out)
    bytes_per_token = windows.facts["bytes_per_token"]
    return {
        "parameters": shape.parameters(),
        "steps": steps,
        "tokens": steps * data.per_step * model.context,
        "epochs": round(steps * data.per_step / windows.count, 3),
        "train_loss": round(float(np.mean(position.losses)), 4) if position.losses else None,
        "valid_loss": round(position.valid_loss, 4),
        "bits_per_byte": round(position.valid_loss / math.log(2) / bytes_per_token, 4),
        "skipped_steps": position.skipped,
        "dtype": str(course.dtype).removeprefix("torch."),
        "flops_per_token": flops_per_token(shape),
    }


def flops_per_token(shape: DecoderConfig) -> int:
    """Operations of one training token in a full window, forward and backward.

    Two for each weight that multiplies and each pair of causal attention, and twice as many going
    back (Chowdhery et al. 2022, appendix B); looking up an embedding costs none.
    """
    lookup = 0 if shape.tie else shape.vocab_size * shape.width
    attention = shape.layers * shape.heads * shape.head_dim * shape.context
    return 6 * (shape.parameters() - lookup) + 6 * attention


def _require_same_tokenizer(windows: Windows, tokenizer: Tokenizer) -> None:
    if windows.facts["tokenizer_digest"] != tokenizer.digest:
        raise UserError(
            "the tokens were made by another tokenizer than the model is to have",
            "tokenize the corpus with this model's tokenizer",
        )
