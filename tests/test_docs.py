"""Every command in README and docs/ is run; every link in them leads somewhere."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))
# Verbs that go on until they are stopped, or need what a test must not have (a hub).
ENDLESS = {"serve", "ui", "chat", "agent"}


def commands() -> list[str]:
    found: dict[str, None] = {}
    for page in PAGES:
        for block in re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.splitlines():
                command = line.removeprefix("$ ").split("  #")[0].strip()
                if command.startswith("lianlu "):
                    found[command] = None
    return list(found)


def prepare(workplace: Any) -> None:
    """What the commands of the pages speak of: papers, and a model directory of one's own."""
    folder = workplace.folder
    if not (folder / "my-model").exists():
        (folder / "my-model").mkdir()
        for path in workplace.step("model").iterdir():
            if path.is_file() and path.name != "step.json":
                (folder / "my-model" / path.name).write_bytes(path.read_bytes())
    (folder / "papers").mkdir(exist_ok=True)
    (folder / "papers" / "a.md").write_text("# A paper\n\nIt says little.\n" * 20)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_pages_works(workplace: Any, command: str) -> None:
    verb, *arguments = shlex.split(command)[1:]
    prepare(workplace)
    if verb == "hub" and arguments[0] == "get":
        told = workplace.lianlu("hub", "get", "--help")
    elif verb == "new":
        (workplace.folder / f"{arguments[0]}.yaml").unlink(missing_ok=True)
        told = workplace.lianlu(verb, *arguments)
    elif verb == "export":
        told = workplace.lianlu(verb, *arguments[:-1], f"{arguments[-1]}-{abs(hash(command))}")
    elif any("domain.yaml" in argument for argument in arguments):
        told = workplace.lianlu(verb, str(domain(workplace)), *arguments[1:])
    elif verb == "diff":
        workplace.lianlu("run", "recipes/demo.yaml", "name=wide", "--until", "tokens")
        told = workplace.lianlu(verb, *arguments)
    elif verb == "why":
        told = workplace.lianlu(verb, arguments[0], first_document(workplace))
    elif verb in ENDLESS:
        return until_it_answers(workplace, verb, arguments)
    else:
        told = workplace.lianlu(verb, *arguments)
    assert told.returncode == 0, f"{command}\n{told.stdout}{told.stderr}"
    return None


def until_it_answers(workplace: Any, verb: str, arguments: list[str]) -> None:
    """Verbs that wait for a person: they get the end of input, or are stopped once they serve."""
    if verb in ("chat", "agent"):
        told = workplace.lianlu(verb, *arguments)
        assert told.returncode == 0, told.stdout + told.stderr
        return
    port = [] if "--port" in arguments else ["--port", "0"]
    server = subprocess.Popen(
        [sys.executable, "-m", "lianlu", verb, *arguments, *port],
        cwd=workplace.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert server.stdout is not None
    told = ""
    try:
        for line in server.stdout:
            told += line
            if "http://" in line:
                break
        assert "http://127.0.0.1:" in told, told
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=30)
        server.stdout.close()


def domain(workplace: Any) -> Path:
    """recipes/domain.yaml with its two paths filled in, and made small."""
    base = workplace.step("base")
    text = (ROOT / "recipes" / "domain.yaml").read_text(encoding="utf-8")
    text = text.replace("hf:Qwen/Qwen2.5-0.5B-Instruct", str(base))
    text = text.replace("../docs", str(ROOT / "docs"))
    text += "\nevaluate: {documents: 4, questions: 3}\nagent: {questions: 2, max_tokens: 16}\n"
    text += "compress: {calibration: 2, max_loss: 10.0, group: 32}\ntokens: {holdout: 0.3}\n"
    text = text.replace("max_answer_chars: 240", "max_answer_chars: 120")
    text = text.replace("max_text_chars: 400", "max_text_chars: 120")
    text = text.replace("dialogues:", "dialogues:\n  test_names: 4\n  valid_names: 2")
    text = text.replace("epochs: 2", "epochs: 0.2\n  threads: 1\n  batch_tokens: 1024")
    path = workplace.folder / "recipes" / "domain.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def first_document(workplace: Any) -> str:
    corpus = workplace.step("corpus")
    return str(pq.read_table(corpus / "ledger.parquet", columns=["id"])["id"][0])


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "docs", "clean"])
def test_make_knows_its_targets(target: str) -> None:
    told = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_python_blocks_run(workplace: Any, page: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        told = subprocess.run(
            [sys.executable, "-c", block],
            cwd=workplace.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert told.returncode == 0, f"{block}\n{told.stderr}"


def test_the_field_page_is_as_the_sections_say() -> None:
    made = subprocess.run(
        [sys.executable, "docs/fields.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8") == made.stdout
