"""The recipe's `serve` section."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from lianlu.section import Section


class ServeConfig(Section):
    """A model behind the OpenAI API."""

    run_fields: ClassVar[frozenset[str]] = frozenset({"host", "port", "threads", "api_key_file"})

    host: str = "127.0.0.1"
    """Address to listen on; loopback unless said otherwise."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port; 0 takes a free one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic; auto keeps that of the model's files."""
    kv_tokens: int = Field(default=16384, ge=256)
    """Tokens that the paged KV cache holds."""
    kv_bits: Literal[8, 16, 32] | None = None
    """Bits per element of the KV cache; none takes what the model directory asks for."""
    batch_tokens: int = Field(default=1024, ge=16)
    """Tokens handed to one engine step: decodes first, then chunks of prompts."""
    max_requests: int = Field(default=64, ge=1)
    """Requests running at once; as many again may wait, beyond that the answer is 429."""
    threads: int = Field(default=0, ge=0)
    """CPU threads; 0 takes every core, or one for a model so small that it is faster alone."""
    api_key_file: Path | None = None
    """A file with one accepted key a line; none accepts every caller (loopback only)."""
