"""The application flow: decide, run or keep, record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lianlu.errors import UserError
from lianlu.evaluate.config import GoalConfig
from lianlu.forecast import Forecast
from lianlu.lineage import StepRecord, StepStore, changes
from lianlu.recipe import LoadedRecipe
from lianlu.record import Decision, RunRecord, Watchers, read_run
from lianlu.section import Section
from lianlu.steps import Artefact, Node, Watcher, keep_or_run

ORDER = (
    "corpus",
    "tokenizer",
    "tokens",
    "base",
    "dialogues",
    "before",
    "model",
    "after",
    "small",
    "after-small",
    "trial",
)

Do = Callable[[Node], Artefact]
Decide = Callable[[Decision], None]


class Reached(Exception):
    """The node at which `--until` stops is done."""


def walk(loaded: LoadedRecipe, forecast: Forecast, do: Do, decide: Decide) -> Artefact:
    """The chain from documents to the model that is served, which is returned.

    `do` makes or keeps a node and `decide` writes down a decision; a plan walks the same flow with
    a `do` that makes nothing.
    """
    recipe = loaded.recipe
    corpus = do(_corpus(loaded))
    if recipe.model.base is None:
        decide(Decision("Which model?", "a new decoder", "the recipe names no base"))
        tokenizer = do(_node("tokenizer", "tokenizer", recipe.tokenizer, corpus=corpus))
        tokens = do(_node("tokens", "tokenize", recipe.tokens, corpus=corpus, tokenizer=tokenizer))
        base = do(_pretrain(loaded, tokens, tokenizer))
    else:
        decide(Decision("Which model?", recipe.model.base, "the recipe names it as base"))
        base = do(_adopt(loaded))
        tokens = do(_node("tokens", "tokenize", recipe.tokens, corpus=corpus, tokenizer=base))

    dialogues = None
    if recipe.dialogues is not None:
        dialogues = do(_node("dialogues", "dialogues", recipe.dialogues, corpus=corpus))
    data = {"tokens": tokens} | ({"dialogues": dialogues} if dialogues else {})
    before = do(_node("before", "evaluate", recipe.evaluate, model=base, **data))
    good = _meets(recipe.goal, before, "as it is", decide)

    model, scores = base, before
    if recipe.tune is None or dialogues is None:
        decide(Decision("Tune?", "no", "the recipe leaves tuning or its dialogues out"))
    elif good:
        decide(Decision("Tune?", "no", "the goal is met without it"))
    else:
        method, reason = forecast.method(base)
        decide(Decision("Full training, or an adapter?", method, reason))
        node = _node("model", "tune", recipe.tune, model=base, dialogues=dialogues)
        how = {"method": method, "dtype": recipe.model.dtype}
        model = do(_with(node, identity=how, extra=how))
        scores = do(_node("after", "evaluate", recipe.evaluate, model=model, **data))
        good = _meets(recipe.goal, scores, "after tuning", decide)

    final = model
    if recipe.compress is None:
        decide(Decision("Compress?", "no", "the recipe leaves it out"))
    else:
        small = do(_node("small", "compress", recipe.compress, model=model, tokens=tokens))
        if _accepted(small, decide):
            node = _node("after-small", "evaluate", recipe.evaluate, model=small, **data)
            still = _meets(recipe.goal, do(node), "after compressing", decide)
            if good and not still and not small.pending:
                decide(Decision("Keep it compressed?", "no", "the goal was met before, not after"))
            else:
                final, good = small, still

    if recipe.agent is None or dialogues is None:
        decide(Decision("Does the job need tools?", "no", "the recipe has no agent"))
    else:
        tools = ", ".join(recipe.agent.tools)
        decide(Decision("Does the job need tools?", f"yes: {tools}", "the recipe's agent has them"))
        do(_trial(loaded, final, dialogues))
    decide(Decision("Serve which model?", final.node, _closing(recipe.goal, good, final)))
    return final


def run(
    loaded: LoadedRecipe,
    watcher: Watcher,
    *,
    until: str | None = None,
    start: str | None = None,
) -> RunRecord:
    """Walk the chain for real. `until` is the last node done, `start` the first made anew.

    Raises UserError or StepFailed as the links do; what was finished is kept.
    """
    for name in (until, start):
        if name is not None and name not in ORDER:
            raise UserError(f"no node {name!r} in the chain", f"nodes: {', '.join(ORDER)}")
    earlier = last_records(loaded)
    record = RunRecord(loaded, ORDER)
    watchers = Watchers(record, watcher)
    forecast = Forecast(loaded)
    walked: list[str] = []

    def do(node: Node) -> Artefact:
        walked.append(node.name)
        node = forecast.add(node)
        again = start is not None and start in walked
        before = earlier.get(node.name)
        artefact = keep_or_run(node, record.store, watchers, before=before, again=again)
        if node.name == until:
            raise Reached(node.name)
        return artefact

    state, final = "failed", None
    try:
        final = walk(loaded, forecast, do, record.decided).node
        state = "done"
    except Reached:
        state = "stopped"
        _keep_what_stands(loaded, record)
    except KeyboardInterrupt:
        state = "stopped"
        raise
    finally:
        record.finish(state, final)
    return record


def _keep_what_stands(loaded: LoadedRecipe, record: RunRecord) -> None:
    """After `--until`: later steps that an earlier run made, and that still hold, stay its own."""
    for item in plan(loaded)[0]:
        if item.kept is not None and record.nodes[item.node.name]["state"] == "waiting":
            record.kept(item.node, item.kept)


@dataclass(frozen=True)
class Planned:
    """One line of a plan: a node, whether its step is kept, and why not."""

    node: Node
    kept: StepRecord | None
    why: str


def plan(loaded: LoadedRecipe) -> tuple[list[Planned], list[Decision]]:
    """Walk the chain without making anything: what would run, what would be kept, decided how."""
    store = StepStore(loaded.recipe.runs)
    earlier = last_records(loaded)
    planned: list[Planned] = []
    decisions: list[Decision] = []

    forecast = Forecast(loaded)

    def do(node: Node) -> Artefact:
        node = forecast.add(node)
        record = None if node.pending else store.find(node.name, node.key())
        if record is not None:
            planned.append(Planned(node, record, "same work as before"))
            place = store.place(node.name, record.key)
            return Artefact(node.name, record.digest, place, record.facts, record.key)
        before = earlier.get(node.name)
        made = [a.node for a in node.inputs.values() if a.pending]
        if made:
            why = f"after {', '.join(made)}"
        else:
            why = _changed(node, before)
        planned.append(Planned(node, None, why))
        return Artefact(node.name, "", None)

    walk(loaded, forecast, do, decisions.append)
    return planned, decisions


def last_records(loaded: LoadedRecipe) -> Mapping[str, StepRecord]:
    """The steps of the last run of this name, to say what changed since."""
    try:
        run = read_run(loaded.recipe.runs, loaded.recipe.name)
    except UserError:
        return {}
    return {**run.earlier, **{name: record for name, (_, record) in run.steps.items()}}


def _changed(node: Node, before: StepRecord | None) -> str:
    if before is None:
        return "new"
    return ", ".join(changes(before, node.identity, node.input_digests())) or "its files are gone"


def _node(name: str, link: str, section: Section, **inputs: Artefact) -> Node:
    return Node(
        name=name,
        link=link,
        config=section.model_dump(mode="json"),
        identity=section.identity(),
        inputs=inputs,
        settings=section.run_settings(),
    )


def _with(
    node: Node,
    *,
    identity: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    digests: Mapping[str, str] | None = None,
) -> Node:
    return replace(
        node,
        identity=node.identity | dict(identity or {}),
        extra=node.extra | dict(extra or {}),
        digests=dict(node.digests) | dict(digests or {}),
    )


def _corpus(loaded: LoadedRecipe) -> Node:
    from lianlu.refine.sources import digest

    recipe = loaded.recipe
    sources = [source.model_dump(mode="json") for source in recipe.sources]
    return _with(
        _node("corpus", "refine", recipe.refine),
        identity={"sources": [source.identity() for source in recipe.sources]},
        extra={"sources": sources, "base": str(loaded.base)},
        digests={f"source {i}": digest(s, loaded.base) for i, s in enumerate(recipe.sources)},
    )


def _pretrain(loaded: LoadedRecipe, tokens: Artefact, tokenizer: Artefact) -> Node:
    node = _node("base", "pretrain", loaded.recipe.pretrain, tokens=tokens, tokenizer=tokenizer)
    model = loaded.recipe.model
    return _with(node, identity={"model": model.identity()}, extra={"model": model.model_dump()})


def _adopt(loaded: LoadedRecipe) -> Node:
    from lianlu.hub.models import resolve
    from lianlu.model.files import base_digest

    path = resolve(loaded.recipe.model.base or "", loaded.base)
    return Node(
        name="base",
        link="adopt",
        config={},
        identity={},
        extra={"base": str(path)},
        digests={"base": base_digest(path)},
    )


def _trial(loaded: LoadedRecipe, model: Artefact, dialogues: Artefact) -> Node:
    recipe = loaded.recipe
    assert recipe.agent is not None
    serve = recipe.serve.model_dump(mode="json", exclude={"host", "port", "api_key_file"})
    node = _node("trial", "agent", recipe.agent, model=model, dialogues=dialogues)
    return _with(node, identity={"serve": recipe.serve.identity()}, extra={"serve": serve})


def _meets(goal: GoalConfig | None, scores: Artefact, when: str, decide: Decide) -> bool:
    question = f"Good enough {when}?"
    if goal is None:
        decide(Decision(question, "unknown", "the recipe sets no goal"))
        return False
    bound = f"≥ {goal.at_least:g}" if goal.at_least is not None else f"≤ {goal.at_most:g}"
    if scores.pending:
        decide(Decision(question, "decided later", f"{scores.node} tells {goal.score} {bound}"))
        return False
    score = scores.facts["scores"].get(goal.score)
    if score is None:
        known = ", ".join(scores.facts["scores"])
        decide(Decision(question, "no", f"{goal.score} was not measured (there are: {known})"))
        return False
    value = score["value"]
    met = (goal.at_least is None or value >= goal.at_least) and (
        goal.at_most is None or value <= goal.at_most
    )
    told = f"{goal.score} is {value:.3g} [{score['low']:.3g}, {score['high']:.3g}], wanted {bound}"
    decide(Decision(question, "yes" if met else "no", told))
    return met


def _accepted(small: Artefact, decide: Decide) -> bool:
    """Whether the compressed model loses no more than the recipe allows."""
    if small.pending:
        decide(Decision("Compress?", "decided later", "its loss is measured first"))
        return True
    loss, allowed = small.facts["loss"], small.facts["allowed"]
    told = f"bits per byte rise by {loss:.2%}, {allowed:.2%} are allowed"
    accepted = bool(small.facts["accepted"])
    if not accepted:
        told += f"; leave out: {', '.join(small.facts['layers'][:3])}"
    decide(Decision("Compress?", "yes" if accepted else "no", told))
    return accepted


def _closing(goal: GoalConfig | None, good: bool, final: Artefact) -> str:
    if final.pending:
        return "as far as a plan can tell: its scores decide"
    what = {"small": "compressed within the allowed loss", "model": "tuned", "base": "as it came"}
    reached = "" if goal is None else "; the goal is met" if good else "; the goal is not met"
    return what[final.node] + reached
