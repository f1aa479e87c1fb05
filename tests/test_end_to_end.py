"""The whole chain on a tiny recipe: every link real, every verb used on what it made."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from lianlu.chain import ORDER


def digests(workplace: Any, run: str = "demo") -> dict[str, str]:
    """Digest of every node's output, the trial's aside: it holds latencies."""
    runs = workplace.folder / "runs"
    return {
        node["name"]: json.loads((runs / "steps" / node["dir"] / "step.json").read_text())["digest"]
        for node in workplace.state(run)["nodes"]
        if node.get("dir") and node["name"] != "trial"
    }


def test_every_node_ran_and_the_counts_balance(workplace: Any) -> None:
    state = json.loads((workplace.folder / "first-run.json").read_text())
    assert state["state"] == "done"
    assert [node["name"] for node in state["nodes"]] == list(ORDER)
    assert {node["state"] for node in state["nodes"]} == {"ran"}
    shown = json.loads(workplace.lianlu("show", "demo", "--json").stdout)
    counts = shown["facts"]["corpus"]["counts"]
    assert counts["input"] == counts["kept"] + counts["dropped"] + counts["quarantined"]
    assert counts["kept"] > 20
    for node in ("before", "after", "after-small"):
        scores = shown["facts"][node]["scores"]
        assert {"bits_per_byte", "tool_call", "answer"} <= set(scores)
        for score in scores.values():
            assert score["low"] <= score["value"] <= score["high"]
            assert score["n"] > 0
    assert shown["facts"]["trial"]["n"] == 4


def test_the_run_says_what_it_decided_and_what_to_try_next(workplace: Any) -> None:
    again = workplace.lianlu("run", "recipes/demo.yaml")
    assert again.returncode == 0
    shown = workplace.lianlu("show", "demo").stdout
    for question in ("Which model?", "Good enough as it is?", "Full training, or an adapter?"):
        assert question in shown
    assert "try next" in again.stdout
    assert {node["state"] for node in workplace.state()["nodes"]} == {"kept"}


def test_a_plan_knows_what_is_kept_and_what_changes(workplace: Any) -> None:
    told = json.loads(workplace.lianlu("plan", "recipes/demo.yaml", "--json").stdout)
    assert {row["state"] for row in told["nodes"]} == {"keep"}
    changed = workplace.lianlu("plan", "recipes/demo.yaml", "pretrain.lr=5e-3", "--json")
    rows = {row["node"]: row for row in json.loads(changed.stdout)["nodes"]}
    assert rows["tokens"]["state"] == "keep"
    assert rows["base"]["state"] == "run"
    assert "lr 0.003 → 0.005" in rows["base"]["why"]
    assert rows["base"]["memory_bytes"] > 100e6
    assert rows["model"]["state"] == "run"


def test_equal_bytes_stop_the_cascade(workplace: Any) -> None:
    """No document is as large as 15 MB: another limit is another key, and the same bytes."""
    larger = "refine.max_document_mb=15"
    told = workplace.lianlu("run", "recipes/demo.yaml", "name=cutoff", larger, "--until", "tokens")
    assert told.returncode == 0, told.stdout + told.stderr
    states = {node["name"]: node["state"] for node in workplace.state("cutoff")["nodes"]}
    assert states["corpus"] == "ran"
    assert digests(workplace, "cutoff")["corpus"] == digests(workplace)["corpus"]
    assert states["tokens"] == "kept"
    assert states["trial"] == "kept"


def test_kill_at_any_moment_and_run_again_gives_the_same_bytes(
    workplace: Any, empty_workplace: Any
) -> None:
    chance = random.Random(7)
    for _ in range(6):
        run = subprocess.Popen(
            [sys.executable, "-m", "lianlu", "run", "recipes/demo.yaml", "--until", "model"],
            cwd=empty_workplace.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        try:
            run.wait(chance.uniform(1.0, 9.0))
        except subprocess.TimeoutExpired:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
    told = empty_workplace.lianlu("run", "recipes/demo.yaml", "--until", "model")
    assert told.returncode == 0, told.stdout + told.stderr
    disturbed, undisturbed = digests(empty_workplace), digests(workplace)
    assert set(disturbed) >= {"corpus", "tokenizer", "tokens", "base", "dialogues", "model"}
    assert disturbed == {name: undisturbed[name] for name in disturbed}


def test_why_answers_for_kept_and_dropped_documents(workplace: Any) -> None:
    corpus = workplace.step("corpus")
    ledger = ds.dataset(sorted(corpus.glob("ledger*"))).to_table().to_pylist()
    for status in ("kept", "dropped"):
        row = next(row for row in ledger if row["status"] == status)
        told = workplace.lianlu("why", "demo", row["id"])
        assert told.returncode == 0, told.stderr
        assert status in told.stdout
        assert status == "kept" or row["rule"] in told.stdout
    unknown = workplace.lianlu("why", "demo", "0" * 20)
    assert unknown.returncode == 2


def test_trace_finds_the_documents_behind_a_text(workplace: Any) -> None:
    entries = workplace.step("dialogues") / "entries.jsonl"
    entry = json.loads(entries.read_text().splitlines()[0])
    told = workplace.lianlu("trace", "demo", entry["summary"])
    assert told.returncode == 0
    assert entry["doc_id"] in told.stdout
    assert "corpus-" in told.stdout


def test_diff_names_the_change_and_the_moved_scores(workplace: Any) -> None:
    told = workplace.lianlu(
        "run", "recipes/demo.yaml", "name=slow", "tune.lr=1e-5", "--until", "after"
    )
    assert told.returncode == 0, told.stdout + told.stderr
    rows = json.loads(workplace.lianlu("diff", "demo", "slow", "--json").stdout)
    by_node = {row["node"]: row for row in rows}
    assert by_node["base"]["result"] == "same"
    assert by_node["model"]["changes"] == ["lr 0.002 → 1e-05"]
    assert by_node["model"]["result"] == "differs"
    assert by_node["trial"]["result"] == "only in demo"


def test_an_export_loads_in_transformers(workplace: Any) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = workplace.folder / "exported"
    told = workplace.lianlu("export", "demo", "--to", "hf", "--out", str(out))
    assert told.returncode == 0, told.stderr
    assert (out / "README.md").read_text().startswith("---")
    base = workplace.step("model")
    model = AutoModelForCausalLM.from_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert model.config.vocab_size >= len(tokenizer)
    again = workplace.lianlu("export", "demo", "--out", str(out))
    assert again.returncode == 2
    assert "not empty" in again.stderr


def test_evaluate_and_compress_work_on_any_directory(workplace: Any) -> None:
    model = workplace.step("model")
    scored = workplace.lianlu(
        "evaluate", str(model), "questions=4", "documents=4", "--data", "demo", "--json"
    )
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["scores"]["tool_call"]["n"] == 4
    small = workplace.lianlu(
        "compress", str(model), "calibration=2", "--data", "demo", "--out", "small"
    )
    assert small.returncode == 0, small.stderr
    assert (workplace.folder / "small" / "config.json").exists()


def test_the_agent_answers_one_question(workplace: Any) -> None:
    told = workplace.lianlu("agent", "demo", "What does textwrap.dedent do?")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "answer  " in told.stdout or "call  " in told.stdout or "error  " in told.stdout


def test_a_partial_run_keeps_what_stands(workplace: Any) -> None:
    told = workplace.lianlu("run", "recipes/demo.yaml", "--until", "tokens")
    assert told.returncode == 0, told.stderr
    assert {node["state"] for node in workplace.state()["nodes"]} == {"kept"}
    would_go = workplace.lianlu("gc").stdout
    assert not [node["dir"] for node in workplace.state()["nodes"] if node["dir"] in would_go]


def test_modules_in_the_working_folder_are_not_imported(workplace: Any) -> None:
    (workplace.folder / "json.py").write_text("raise SystemExit('imported')")
    try:
        only = ("--from", "dialogues", "--until", "dialogues")
        told = workplace.lianlu("run", "recipes/demo.yaml", "name=hostile", *only)
    finally:
        (workplace.folder / "json.py").unlink()
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_half_written_step_is_finished(workplace: Any) -> None:
    place = workplace.step("dialogues")
    part = place.with_name(place.name + ".part")
    place.rename(part)
    (part / "step.json").unlink()
    (part / "test.jsonl").write_text("half a li")
    told = workplace.lianlu("run", "recipes/demo.yaml")
    assert told.returncode == 0, told.stdout + told.stderr
    states = {node["name"]: node["state"] for node in workplace.state()["nodes"]}
    assert states["dialogues"] == "ran"
    assert states["model"] == "kept"
    assert not part.exists()


def test_from_makes_a_node_anew_with_the_same_bytes(workplace: Any) -> None:
    before = digests(workplace)
    told = workplace.lianlu("run", "recipes/demo.yaml", "--from", "dialogues", "--until", "before")
    assert told.returncode == 0, told.stdout + told.stderr
    states = {node["name"]: node["state"] for node in workplace.state()["nodes"]}
    assert states["tokens"] == "kept"
    assert states["dialogues"] == "ran"
    after = digests(workplace)
    assert after["dialogues"] == before["dialogues"]
    assert after["before"] == before["before"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("missing", "model.safetensors"),
        ("truncated", "model.safetensors"),
    ],
)
def test_a_model_with_a_broken_shard_is_refused(
    workplace: Any, tmp_path: Path, damage: str, said: str
) -> None:
    source = workplace.step("base")
    for path in source.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    shard = tmp_path / "model.safetensors"
    if damage == "missing":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1000])
    told = workplace.lianlu("evaluate", str(tmp_path), "--data", "demo")
    assert told.returncode == 2
    assert said in told.stderr
    assert "Traceback" not in told.stderr


def test_a_full_disk_is_told_and_nothing_is_lost(workplace: Any) -> None:
    """A file size limit stands in for a full disk: the same write fails, with the same recovery."""
    command = f"ulimit -f 64; exec {sys.executable} -m lianlu run recipes/demo.yaml name=full"
    told = subprocess.run(
        ["bash", "-c", command + " pretrain.seed=9 --until base"],
        cwd=workplace.folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 1, told.stdout + told.stderr
    assert "base" in told.stderr
    assert "Traceback" not in told.stderr
    again = workplace.lianlu(
        "run", "recipes/demo.yaml", "name=full", "pretrain.seed=9", "--until", "base"
    )
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "recipes/demo.yaml"],
        ["show", "demo"],
        ["diff", "demo", "demo"],
        ["trace", "demo", "the same words in a row"],
        ["gc"],
        ["doctor"],
        ["hub", "list"],
        ["new", "without-torch"],
        ["show", "demo", "--html", "page.html"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_the_core_needs_no_torch(workplace: Any, arguments: list[str]) -> None:
    code = "import sys; sys.modules['torch'] = None; from lianlu.cli import main; main()"
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=workplace.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
