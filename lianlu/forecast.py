"""What each node will cost, from the plan room's formulas and from what earlier runs measured."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from lianlu.lineage import StepRecord, StepStore
from lianlu.model.config import DecoderConfig
from lianlu.plan.fit import choose_method
from lianlu.plan.hardware import Hardware, inspect
from lianlu.plan.memory import serving_memory, training_memory
from lianlu.plan.time import training_seconds
from lianlu.recipe import Recipe
from lianlu.steps import Artefact, Node


class Forecast:
    """Predictions for the nodes of one recipe on this machine."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @cached_property
    def hardware(self) -> Hardware:
        return inspect()

    @cached_property
    def earlier(self) -> Mapping[str, StepRecord]:
        """The latest finished step of each node name, whichever run made it."""
        return {record.name: record for _, record in StepStore(self.recipe.runs).records()}

    def add(self, node: Node) -> Node:
        """`node` with its prediction: memory_bytes, seconds, disk_bytes, parameters, tokens."""
        predicted = self._measured_before(node)
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
        from lianlu.model.checkpoint import load_config

        return load_config(model.path)

    def _training(self, node: Node, shape: DecoderConfig, method: str) -> dict[str, float]:
        settings = node.config
        memory = training_memory(
            shape,
            method=method,
            optimizer=settings["optimizer"],
            batch_tokens=settings["batch_tokens"],
            context=self.recipe.model.context,
            dtype=self.recipe.model.dtype,
            rank=settings.get("rank", 0),
            compiled=settings["compile"] and not settings["exact"],
        )
        told: dict[str, float] = {"memory_bytes": memory.total, "parameters": shape.parameters()}
        tokens = settings.get("tokens") or _dialogue_tokens(node, settings)
        if tokens:
            told |= {
                "tokens": tokens,
                "seconds": training_seconds(shape, tokens=tokens, hardware=self.hardware),
            }
        return told

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

    def _measured_before(self, node: Node) -> dict[str, Any]:
        record = self.earlier.get(node.name)
        if record is None:
            return {}
        return {
            "memory_bytes": record.peak_rss_bytes,
            "seconds": record.seconds,
            "disk_bytes": sum(entry["bytes"] for entry in record.outputs.values()),
        }


def _dialogue_tokens(node: Node, settings: Mapping[str, Any]) -> float:
    """Tokens of a tuning: known once the dialogues are made and counted."""
    counted = node.inputs["dialogues"].facts.get("tokens", 0)
    return float(counted) * float(settings["epochs"])
