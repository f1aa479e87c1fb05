"""What each node will cost, from the plan room's formulas and from what earlier runs measured."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from lianlu.lineage import StepRecord, StepStore
from lianlu.model.config import DecoderConfig
from lianlu.plan.disk import training_bytes
from lianlu.plan.fit import choose_method
from lianlu.plan.hardware import Hardware, inspect
from lianlu.plan.memory import serving_memory, training_memory
from lianlu.plan.time import training_seconds
from lianlu.recipe import LoadedRecipe
from lianlu.refine.config import PythonDocsSource
from lianlu.steps import Artefact, Node

# Seconds, bytes of memory and of disk beyond the bare process, per link, for TYPICAL_RAW bytes of
# documents on two cores (the demo); those of GROWING links grow with the documents.
TYPICAL_RAW = 40e6
BARE_PROCESS = 0.15e9
TYPICAL = {
    "refine": (18.0, 1.0e9, 7e6),
    "tokenizer": (5.0, 0.2e9, 0.2e6),
    "tokenize": (4.0, 0.5e9, 14e6),
    "dialogues": (4.0, 0.2e9, 15e6),
    "evaluate": (25.0, 0.8e9, 2e6),
    "compress": (30.0, 0.65e9, 4e6),
    "agent": (10.0, 0.5e9, 1e6),
}
# Of a line of dialogue as JSON, to a token of our tokenizer: most of it is JSON.
BYTES_PER_TOKEN = 6.5
# Trainings of fewer steps are not compiled (train.precision, which needs torch to be read).
WORTH_COMPILING = 100
GROWING = frozenset({"refine", "tokenize", "dialogues"})


class Forecast:
    """Predictions for the nodes of one recipe on this machine."""

    def __init__(self, loaded: LoadedRecipe) -> None:
        self.recipe = loaded.recipe
        self.base = loaded.base

    @cached_property
    def hardware(self) -> Hardware:
        return inspect()

    @cached_property
    def earlier(self) -> Mapping[str, StepRecord]:
        """The latest finished step of each node name, whichever run made it."""
        return {record.name: record for _, record in StepStore(self.recipe.runs).records()}

    def add(self, node: Node) -> Node:
        """`node` with its prediction: memory_bytes, seconds, disk_bytes, parameters, tokens."""
        predicted = self._measured_before(node) or self._typical(node)
        if node.link == "pretrain":
            predicted |= self._training(node, self.new_shape(), "full")
        elif node.link == "tune":
            shape = self.shape_of(node.inputs["model"])
            predicted |= self._training(node, shape, node.identity["method"])
        elif node.link == "agent":
            predicted |= self._serving(node)
        return replace(node, predicted=predicted)

    def method(self, base: Artefact) -> tuple[str, str]:
        """Full training or LoRA, and why. Raises UserError when neither fits this machine."""
        tune = self.recipe.tune
        assert tune is not None
        if tune.method != "auto":
            return tune.method, "the recipe says so"
        choice = choose_method(self.shape_of(base), tune, self.recipe.model, self.hardware)
        return choice.method, choice.reason

    def new_shape(self) -> DecoderConfig:
        """The decoder that the recipe describes, at the vocabulary it asks for."""
        model = self.recipe.model
        return DecoderConfig.new(
            self.recipe.tokenizer.vocab_size,
            model.layers,
            model.width,
            model.heads,
            model.kv_heads,
            model.context,
        )

    def shape_of(self, model: Artefact) -> DecoderConfig:
        if model.path is None:
            return self.new_shape()
        return DecoderConfig.from_hf(json.loads((model.path / "config.json").read_text("utf-8")))

    def _training(self, node: Node, shape: DecoderConfig, method: str) -> dict[str, float]:
        settings = node.config
        context = min(self.recipe.model.context, shape.context)
        tokens = settings.get("tokens") or self._dialogue_tokens(node, settings)
        long_enough = not tokens or tokens / settings["batch_tokens"] >= WORTH_COMPILING
        compiled = settings["compile"] and not settings["exact"] and long_enough
        memory = training_memory(
            shape,
            method=method,
            optimizer=settings["optimizer"],
            batch_tokens=settings["micro_tokens"] or settings["batch_tokens"],
            context=context,
            dtype=self.recipe.model.dtype,
            rank=settings.get("rank", 0),
            compiled=compiled,
        )
        disk = training_bytes(
            shape,
            method=method,
            optimizer=settings["optimizer"],
            rank=settings.get("rank", 0),
        )
        told: dict[str, float] = {
            "memory_bytes": memory.total,
            "disk_bytes": disk,
            "parameters": shape.parameters(),
        }
        if tokens:
            seconds = training_seconds(
                shape,
                tokens=tokens,
                hardware=self.hardware,
                dtype=self.recipe.model.dtype,
                compiled=compiled,
                runs=self.recipe.runs,
            )
            told |= {"tokens": tokens, "seconds": round(seconds, 1)}
        return told

    def _dialogue_tokens(self, node: Node, settings: Mapping[str, Any]) -> float:
        """Tokens of a tuning: by the size of its dialogues, a typical one before they are made."""
        path = node.inputs["dialogues"].path
        if path is not None:
            size = float((path / "train.jsonl").stat().st_size)
        else:
            size = TYPICAL["dialogues"][2] * self.raw_bytes / TYPICAL_RAW
        return round(size / BYTES_PER_TOKEN) * float(settings["epochs"])

    def _serving(self, node: Node) -> dict[str, float]:
        shape = self.shape_of(node.inputs["model"])
        compressed = node.inputs["model"].node == "small" and self.recipe.compress is not None
        bits = self.recipe.compress.bits if compressed and self.recipe.compress else 32
        memory = serving_memory(
            shape,
            bits=bits,
            kv_tokens=self.recipe.serve.kv_tokens,
            kv_bits=self.recipe.serve.kv_bits or 8,
        )
        return {"memory_bytes": memory.total, "parameters": shape.parameters()}

    def _typical(self, node: Node) -> dict[str, float]:
        """For the first run on a machine: what such a step took for 40 MB on two cores."""
        seconds, memory, disk = TYPICAL.get(node.link, (0.0, 0.0, 0.0))
        raw = self.raw_bytes if node.link in GROWING else TYPICAL_RAW
        share = raw / TYPICAL_RAW
        return {
            "seconds": round(5 + seconds * share, 1),
            "memory_bytes": BARE_PROCESS + memory * share,
            "disk_bytes": disk * share,
        }

    @cached_property
    def raw_bytes(self) -> float:
        """Bytes of the sources, without reading them."""
        total = 0.0
        for source in self.recipe.sources:
            if isinstance(source, PythonDocsSource):
                total += source.limit_mb * 1e6
            else:
                root = self.base / source.path
                files = root.rglob("*") if root.is_dir() else [root]
                total += sum(path.stat().st_size for path in files if path.is_file())
        return total

    def _measured_before(self, node: Node) -> dict[str, Any]:
        record = self.earlier.get(node.name)
        if record is None:
            return {}
        return {
            "memory_bytes": record.peak_rss_bytes,
            "seconds": record.seconds,
            "disk_bytes": sum(entry["bytes"] for entry in record.outputs.values()),
        }
