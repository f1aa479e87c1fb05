"""The verbs. Each imports its link when it is called: `lianlu --help` answers without torch."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lianlu.errors import StepFailed, UserError

app = typer.Typer(
    name="lianlu",
    help="Raw documents to a model that is trained, scored, compressed, served and put to work.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with [bold]lianlu new mine[/], then [bold]lianlu run mine.yaml[/]."
    " Exit codes: 0 done, 1 failed, 2 a mistake in what was asked.",
)
hub = typer.Typer(no_args_is_help=True, help="Models and data sets by id.")
app.add_typer(hub, name="hub")

Overrides = Annotated[
    list[str] | None, typer.Argument(help="Overrides, e.g. pretrain.lr=1e-3", metavar="[KEY=VALUE]")
]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of a run.")]
Target = Annotated[
    str, typer.Argument(metavar="RUN|DIR", help="A run's name, or a model directory.")
]
Runs = Annotated[Path, typer.Option(help="Folder of all runs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
RUNS = Path("runs")


def main() -> None:
    """Run the command line; a person's mistake ends with code 2 and without a traceback."""
    try:
        app()
    except UserError as error:
        _complain(str(error))
        sys.exit(2)
    except StepFailed as error:
        _complain(str(error))
        sys.exit(1)
    except OSError as error:
        _complain(f"{error}; what was finished is kept")
        sys.exit(1)
    except KeyboardInterrupt:
        _complain("stopped; what was finished is kept")
        sys.exit(130)


@app.command(epilog="Example: [bold]lianlu new mine --documents ./papers[/]")
def new(
    name: Annotated[str, typer.Argument(help="Name of the run; the recipe is NAME.yaml.")],
    documents: Annotated[
        Path | None, typer.Option(help="Folder of documents; else this machine's Python docs.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Base model: a directory, hf:owner/name or ms:owner/name.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of recipes instead.")
    ] = False,
) -> None:
    """Write a recipe with every field, its default and what it means."""
    from lianlu.draft import draft_recipe, recipe_schema

    if schema:
        return _print_json(recipe_schema())
    path = Path(f"{name}.yaml")
    if path.exists():
        raise UserError(f"{path} exists", "choose another name, or remove it")
    path.write_text(draft_recipe(name, documents, base), encoding="utf-8")
    _say(f"wrote {path}; next: lianlu plan {path}, then lianlu run {path}")


@app.command(epilog="Example: [bold]lianlu plan recipes/demo.yaml pretrain.tokens=4e6[/]")
def plan(recipe: RecipePath, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """What would run or be kept, and its memory, time and disk, before anything is spent."""
    from lianlu.chain import plan as plan_chain
    from lianlu.recipe import load_recipe
    from lianlu.show import decisions_table, plan_rows, plan_table

    planned, decisions = plan_chain(load_recipe(recipe, overrides or ()))
    if as_json:
        said = [vars(decision) for decision in decisions]
        return _print_json({"nodes": plan_rows(planned), "decisions": said})
    console = _console()
    console.print(plan_table(planned))
    console.print()
    console.print(decisions_table(decisions))


@app.command(epilog="Example: [bold]lianlu run recipes/demo.yaml --until tokens[/]")
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    until: Annotated[str | None, typer.Option(help="Stop after this node.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Make this node and all after it anew.")
    ] = None,
) -> None:
    """Run the chain; finished steps are kept, and an interrupted run goes on where it was."""
    from lianlu.chain import run as run_chain
    from lianlu.recipe import load_recipe
    from lianlu.record import read_run
    from lianlu.show import show_summary
    from lianlu.terminal import Terminal

    loaded = load_recipe(recipe, overrides or ())
    console = _console()
    record = run_chain(loaded, Terminal(console), until=until, start=start)
    show_summary(console, read_run(record.runs, loaded.recipe.name))


@app.command(epilog="Example: [bold]lianlu show demo[/]")
def show(
    name: RunName,
    runs: Runs = RUNS,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the run as one self-contained HTML page.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every byte of its steps with their digests.")
    ] = False,
) -> None:
    """A run: its steps, decisions with reasons, scores, predicted beside measured."""
    from lianlu.record import read_run
    from lianlu.show import show_run

    found = read_run(runs, name)
    if verify:
        found.require_intact()
        return _say(f"every byte of {len(found.steps)} steps is as it was written")
    if as_json:
        facts = {node: record.facts for node, (_, record) in found.steps.items()}
        return _print_json(dict(found.state) | {"facts": facts})
    if html is not None:
        from lianlu.ui.report import write_report

        write_report(runs, name, html)
        return _say(f"wrote {html}")
    show_run(_console(), found)


@app.command(epilog="Example: [bold]lianlu diff demo demo-wide[/]")
def diff(first: RunName, second: RunName, runs: Runs = RUNS, as_json: AsJson = False) -> None:
    """What differs between two runs: fields, inputs, results, scores."""
    from lianlu.compare import compare_runs, comparison_table
    from lianlu.record import read_run

    rows = compare_runs(read_run(runs, first), read_run(runs, second))
    if as_json:
        return _print_json(rows)
    _console().print(comparison_table(first, second, rows))


@app.command(epilog="Example: [bold]lianlu why demo 3f9a0c1d2e4b5a69[/]")
def why(name: RunName, doc_id: str, runs: Runs = RUNS) -> None:
    """What became of a document: kept, dropped by which rule, or quarantined with its error."""
    from lianlu.record import read_run
    from lianlu.refine.why import why as ask
    from lianlu.show import show_fields

    show_fields(_console(), ask(read_run(runs, name).step("corpus"), doc_id))


@app.command(epilog='Example: [bold]lianlu trace demo "Return the absolute value"[/]')
def trace(name: RunName, text: str, runs: Runs = RUNS) -> None:
    """Where an answer comes from: weights, data, rules, and the documents that share its words."""
    from lianlu.record import read_run
    from lianlu.refine.trace import trace as find
    from lianlu.show import show_trace

    found = read_run(runs, name)
    show_trace(_console(), found, find(found.step("corpus"), text))


@app.command(epilog="Example: [bold]lianlu chat demo[/]")
def chat(target: Target, runs: Runs = RUNS) -> None:
    """Talk to a model in the terminal."""
    from lianlu.serve.chat import chat as talk
    from lianlu.target import find_target

    found = find_target(target, runs)
    talk(found.model, found.serving(port=0))


@app.command(epilog="Example: [bold]lianlu serve demo --port 8000[/]")
def serve(
    target: Target,
    runs: Runs = RUNS,
    host: Annotated[str | None, typer.Option(help="Address; else the recipe's, loopback.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port, 0 a free one; else 8000.")] = None,
    api_keys: Annotated[
        Path | None, typer.Option(help="File with one accepted key a line.")
    ] = None,
) -> None:
    """Serve a model behind the OpenAI API."""
    from lianlu.serve.app import serve as listen
    from lianlu.target import find_target

    found = find_target(target, runs)
    config = found.serving(host, port, api_keys)
    listen(found.model, config, lambda url: _say(f"the OpenAI API is at {url}/v1"))


@app.command(epilog='Example: [bold]lianlu agent demo "What does os.path.join do?"[/]')
def agent(
    name: RunName,
    question: Annotated[str | None, typer.Argument(help="One question; else a dialogue.")] = None,
    runs: Runs = RUNS,
) -> None:
    """Let the served model answer with its tools, and show each call."""
    from lianlu.agent.console import talk
    from lianlu.record import read_run
    from lianlu.serve.background import served
    from lianlu.target import target_of

    found = read_run(runs, name)
    target, dialogues = target_of(found), found.step("dialogues")
    with served(target.model, target.serving(port=0)) as url:
        talk(target.agent(), url, dialogues, [question] if question else None)


@app.command(epilog="Example: [bold]lianlu evaluate ./my-model --data demo[/]")
def evaluate(
    target: Target,
    data: Annotated[str, typer.Option(help="Run whose held-out data is used.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]")] = None,
    runs: Runs = RUNS,
    out: Annotated[Path, typer.Option(help="Folder for scores and items.")] = Path("scores"),
    as_json: AsJson = False,
) -> None:
    """Score a model on a run's held-out documents and names."""
    from lianlu.evaluate.config import EvaluateConfig
    from lianlu.evaluate.run import evaluate as score
    from lianlu.record import read_run
    from lianlu.section import override
    from lianlu.show import show_scores
    from lianlu.target import find_target
    from lianlu.terminal import listening_job

    found = read_run(runs, data)
    inputs = {name: found.step(name) for name in ("tokens", "dialogues") if name in found.steps}
    job = listening_job(
        _console(stderr=True), out, inputs | {"model": find_target(target, runs).model}
    )
    facts = score(override(EvaluateConfig(), overrides or ()), job)
    if as_json:
        return _print_json(facts)
    show_scores(_console(), {target: facts["scores"]})
    for name, reason in facts["left_out"].items():
        _say(f"{name} was left out: {reason}")


@app.command(
    epilog="Example: [bold]lianlu compress ./my-model --data demo --out ./my-model-4bit[/]"
)
def compress(
    target: Target,
    data: Annotated[
        str, typer.Option(help="Run whose corpus calibrates and whose held-out scores.")
    ],
    out: Annotated[Path, typer.Option(help="Directory of the compressed model.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]")] = None,
    runs: Runs = RUNS,
) -> None:
    """Write a 4-bit model, and say what it costs and gains."""
    from lianlu.compress.config import CompressConfig
    from lianlu.compress.run import compress as shrink
    from lianlu.record import read_run
    from lianlu.section import override
    from lianlu.show import show_fields
    from lianlu.target import find_target
    from lianlu.terminal import listening_job

    inputs = {
        "model": find_target(target, runs).model,
        "tokens": read_run(runs, data).step("tokens"),
    }
    job = listening_job(_console(stderr=True), out, inputs)
    show_fields(_console(), shrink(override(CompressConfig(), overrides or ()), job))


@app.command(epilog="Example: [bold]lianlu export demo --to hf --out ./my-model[/]")
def export(
    target: Target,
    out: Annotated[Path, typer.Option(help="Directory to write.")],
    to: Annotated[str, typer.Option(help="Format: hf, a Hugging Face directory.")] = "hf",
    runs: Runs = RUNS,
) -> None:
    """Write a model as an ordinary directory that other tools load, with a card of its origin."""
    from lianlu.hub.publish import export_hf
    from lianlu.model.checkpoint import load_model
    from lianlu.model.fingerprint import require_fingerprint
    from lianlu.target import find_target

    if to != "hf":
        raise UserError(f"no format {to!r}", "formats: hf")
    for line in export_hf(find_target(target, runs).model, out):
        _say(line)
    require_fingerprint(load_model(out), out)


@hub.command("get", epilog="Example: [bold]lianlu hub get hf:Qwen/Qwen2.5-0.5B[/]")
def hub_get(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="hf:owner/name or ms:owner/name.")
    ],
    to: Annotated[Path | None, typer.Option(help="Directory; else the cache.")] = None,
) -> None:
    """Download a model or a data set: weights, configuration, tokenizer; never code or pickles."""
    from lianlu.hub.get import get
    from lianlu.terminal import listener

    path = get(identifier, to, listener(_console(stderr=True)))
    _say(f"{identifier} is at {path}")


@hub.command("list", epilog="Example: [bold]lianlu hub list[/]")
def hub_list(as_json: AsJson = False) -> None:
    """What the cache holds."""
    from lianlu.hub.catalogue import catalogue
    from lianlu.show import show_rows

    rows = catalogue()
    return _print_json(rows) if as_json else show_rows(_console(), rows, "nothing yet")


@app.command(epilog="Example: [bold]lianlu gc --yes[/]")
def gc(
    runs: Runs = RUNS,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete; else only say what would go.")
    ] = False,
) -> None:
    """Delete the steps that no run reaches; unfinished ones stay."""
    from lianlu.record import unreached

    for path, size in unreached(runs, delete=yes):
        _say(f"{'deleted' if yes else 'would delete'} {path.name}  {size / 2**20:,.1f} MiB")


@app.command(epilog="Example: [bold]lianlu ui demo[/]")
def ui(
    name: Annotated[str | None, typer.Argument(metavar="RUN", help="Run to open.")] = None,
    runs: Runs = RUNS,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 7860,
    no_chat: Annotated[
        bool, typer.Option("--no-chat", help="Do not serve the run's model.")
    ] = False,
) -> None:
    """The console: one page that tails the run's files, with a chat box and the agent's trace."""
    from lianlu.console import open_console

    open_console(runs, name, host, port, chat=not no_chat, say=_say)


@app.command(epilog="Example: [bold]lianlu doctor[/]")
def doctor(as_json: AsJson = False) -> None:
    """What this machine has, lacks, and what would make it faster."""
    from lianlu.doctor import diagnose
    from lianlu.show import show_checks

    checks = diagnose()
    if as_json:
        _print_json([vars(check) for check in checks])
    else:
        show_checks(_console(), checks)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)


def _console(stderr: bool = False) -> Any:
    """Results go to standard output; what a link says while it works goes to standard error."""
    from rich.console import Console

    return Console(highlight=False, stderr=stderr)


def _say(text: str) -> None:
    _console().print(text, markup=False, soft_wrap=True)


def _complain(text: str) -> None:
    console = _console(stderr=True)
    console.print("error:", style="bold red", end=" ")
    console.print(text, markup=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=1, default=str))
