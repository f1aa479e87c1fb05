"""The shape of a decoder, read from and written to a Hugging Face `config.json`."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lianlu.errors import UserError

Flag = bool | str  # fixed for the family, or the name of the config.json key that says it


@dataclass(frozen=True)
class Family:
    """What a `model_type` fixes and what it leaves to `config.json`."""

    architecture: str
    qkv_bias: Flag = False
    o_bias: Flag = False
    mlp_bias: Flag = False
    qk_norm: bool = False
    window_switch: str | None = None  # key without which `sliding_window` has no effect
    defaults: Mapping[str, Any] | None = None  # where transformers' differ from Llama's
    written_as: str | None = None  # the same arithmetic under a name that needs no remote code


FAMILIES = {
    "llama": Family(
        "LlamaForCausalLM",
        qkv_bias="attention_bias",
        o_bias="attention_bias",
        mlp_bias="mlp_bias",
        defaults={"sliding_window": None},
    ),
    "mistral": Family("MistralForCausalLM", defaults={"sliding_window": 4096}),
    "qwen2": Family("Qwen2ForCausalLM", qkv_bias=True, window_switch="use_sliding_window"),
    "qwen3": Family(
        "Qwen3ForCausalLM",
        qkv_bias="attention_bias",
        o_bias="attention_bias",
        qk_norm=True,
        window_switch="use_sliding_window",
        defaults={"head_dim": 128},
    ),
    "internlm2": Family("InternLM2ForCausalLM", qkv_bias="bias", o_bias="bias", written_as="llama"),
    "internlm3": Family(
        "InternLM3ForCausalLM", qkv_bias="qkv_bias", o_bias="bias", mlp_bias="bias"
    ),
}

RopeKind = Literal["linear", "dynamic", "llama3", "yarn"]


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched beyond the context they were trained at.

    `dynamic` (NTK) changes nothing up to the trained context, which is all that we run.
    """

    kind: RopeKind
    factor: float
    original_context: int
    low_freq_factor: float = 1.0  # llama3
    high_freq_factor: float = 4.0  # llama3
    beta_fast: float = 32.0  # yarn
    beta_slow: float = 1.0  # yarn
    attention_factor: float | None = None  # yarn


@dataclass(frozen=True)
class DecoderConfig:
    """A decoder-only transformer: RMSNorm, RoPE, grouped-query attention, SwiGLU.

    `context` is the longest sequence it runs: where a family slides a window over attention, the
    window (inside it every position sees all before it, so nothing else changes).
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    context: int
    family: str = "llama"
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    norm_eps: float = 1e-6
    tie: bool = False
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    sliding_window: int | None = None
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = ()
    pad_id: int | None = None

    @classmethod
    def new(
        cls, vocab_size: int, layers: int, width: int, heads: int, kv_heads: int, context: int
    ) -> "DecoderConfig":
        """A decoder of our own: Qwen3's shape (QK-norm trains better), tied, MLP 8/3 as wide.

        Raises:
            UserError: `heads` does not divide `width` into even parts, or `kv_heads` not `heads`.
        """
        if width % heads or (width // heads) % 2:
            raise UserError(
                f"model.width {width} does not split into {heads} heads of an even size",
                f"take a width that is a multiple of {2 * heads}",
            )
        if heads % kv_heads:
            raise UserError(f"model.kv_heads {kv_heads} does not divide model.heads {heads}")
        ffn = -(-width * 8 // 3 // 64) * 64
        return cls(
            vocab_size=vocab_size,
            width=width,
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=width // heads,
            ffn=ffn,
            context=context,
            family="qwen3",
            tie=True,
            qk_norm=True,
        )

    @classmethod
    def from_hf(cls, hf: Mapping[str, Any]) -> "DecoderConfig":
        """Read a `config.json`.

        Raises:
            UserError: a family, an activation or a RoPE that we do not have, or a missing key.
        """
        name, family = _family(hf)
        hf = {**(family.defaults or {}), **hf}
        activation = hf.get("hidden_act", "silu")
        if activation not in ("silu", "swish"):
            raise UserError(f"config.json: hidden_act {activation!r} is not supported, only silu")
        try:
            vocab_size, width, layers = (
                int(hf[key]) for key in ("vocab_size", "hidden_size", "num_hidden_layers")
            )
            heads, ffn = int(hf["num_attention_heads"]), int(hf["intermediate_size"])
            longest = int(hf["max_position_embeddings"])
        except KeyError as error:
            raise UserError(f"config.json: the key {error} is missing") from error
        switch = family.window_switch
        window = hf.get("sliding_window") if switch is None or hf.get(switch) else None
        eos = hf.get("eos_token_id")
        rope = _rope(hf)
        return cls(
            vocab_size=vocab_size,
            width=width,
            layers=layers,
            heads=heads,
            kv_heads=hf.get("num_key_value_heads") or heads,
            head_dim=hf.get("head_dim") or width // heads,
            ffn=ffn,
            context=min(longest, window or longest),
            family=family.written_as or name,
            rope_theta=float(rope.get("rope_theta") or 10_000.0),
            rope_scaling=_scaling(rope, longest),
            norm_eps=float(hf.get("rms_norm_eps", 1e-6)),
            tie=bool(hf.get("tie_word_embeddings", False)),
            qkv_bias=_flag(hf, family.qkv_bias),
            o_bias=_flag(hf, family.o_bias),
            mlp_bias=_flag(hf, family.mlp_bias),
            qk_norm=family.qk_norm,
            sliding_window=window,
            bos_id=hf.get("bos_token_id"),
            eos_ids=tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,),
            pad_id=hf.get("pad_token_id"),
        )

    def to_hf(self) -> dict[str, Any]:
        """The `config.json` that transformers, vLLM and LMDeploy read."""
        family = FAMILIES[self.family]
        hf: dict[str, Any] = {
            "architectures": [family.architecture],
            "model_type": self.family,
            "vocab_size": self.vocab_size,
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.ffn,
            "hidden_act": "silu",
            "max_position_embeddings": self.context,
            "rms_norm_eps": self.norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": _scaling_to_hf(self.rope_scaling),
            "tie_word_embeddings": self.tie,
            "bos_token_id": self.bos_id,
            "eos_token_id": list(self.eos_ids) if len(self.eos_ids) > 1 else _first(self.eos_ids),
            "pad_token_id": self.pad_id,
        }
        flags = {
            family.qkv_bias: self.qkv_bias,
            family.o_bias: self.o_bias,
            family.mlp_bias: self.mlp_bias,
        }
        hf.update({key: value for key, value in flags.items() if isinstance(key, str)})
        if family.window_switch:
            hf[family.window_switch] = self.sliding_window is not None
        if family.window_switch or self.family == "mistral":
            hf["sliding_window"] = self.sliding_window
        if self.sliding_window is not None and family.window_switch:
            hf["max_window_layers"] = 0
        return hf

    def parameters(self) -> int:
        """Number of weights; tied embeddings count once."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = self.width * (2 * q + 2 * kv)
        attention += self.qkv_bias * (q + 2 * kv) + self.o_bias * self.width
        attention += self.qk_norm * 2 * self.head_dim
        mlp = 3 * self.width * self.ffn + self.mlp_bias * (2 * self.ffn + self.width)
        block = attention + mlp + 2 * self.width
        return self.layers * block + self.width + (2 - self.tie) * self.vocab_size * self.width


def _family(hf: Mapping[str, Any]) -> tuple[str, Family]:
    name = hf.get("model_type")
    if not isinstance(name, str):
        raise UserError("config.json: no model_type", "is this a Hugging Face model directory?")
    if name not in FAMILIES:
        near = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.0)[0]
        raise UserError(
            f"config.json: model family {name!r} is not supported; the nearest one is {near!r}",
            f"supported: {', '.join(FAMILIES)}",
        )
    return name, FAMILIES[name]


def _flag(hf: Mapping[str, Any], flag: Flag) -> bool:
    return bool(hf.get(flag, False)) if isinstance(flag, str) else flag


def _first(ids: tuple[int, ...]) -> int | None:
    return ids[0] if ids else None


def _rope(hf: Mapping[str, Any]) -> dict[str, Any]:
    """transformers 5 writes `rope_parameters`; everything older `rope_theta` and `rope_scaling`."""
    return {
        "rope_theta": hf.get("rope_theta"),
        **(hf.get("rope_scaling") or {}),
        **(hf.get("rope_parameters") or {}),
    }


def _scaling(rope: Mapping[str, Any], longest: int) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind not in ("linear", "dynamic", "llama3", "yarn"):
        raise UserError(
            f"config.json: RoPE scaling {kind!r} is not supported",
            "supported: default, linear, dynamic, llama3, yarn",
        )
    if "factor" not in rope:
        raise UserError(f"config.json: RoPE scaling {kind!r} has no factor")
    if unknown := {"mscale", "mscale_all_dim"} & rope.keys():
        raise UserError(f"config.json: RoPE scaling keys {sorted(unknown)} are not supported")
    shape = {key: rope[key] for key in _SCALING_SHAPE if rope.get(key) is not None}
    original = rope.get("original_max_position_embeddings") or longest
    return RopeScaling(kind, float(rope["factor"]), int(original), **shape)


_SCALING_SHAPE = ("low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow") + (
    "attention_factor",
)
_SCALING_KEYS: dict[str, tuple[str, ...]] = {
    "linear": (),
    "dynamic": (),
    "llama3": ("low_freq_factor", "high_freq_factor"),
    "yarn": ("beta_fast", "beta_slow", "attention_factor"),
}


def _scaling_to_hf(scaling: RopeScaling | None) -> dict[str, Any] | None:
    if scaling is None:
        return None
    hf = {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind in ("llama3", "yarn"):
        hf["original_max_position_embeddings"] = scaling.original_context
    shape = {key: getattr(scaling, key) for key in _SCALING_KEYS[scaling.kind]}
    return hf | {key: value for key, value in shape.items() if value is not None}
