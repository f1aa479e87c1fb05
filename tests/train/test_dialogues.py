"""Packs of dialogues: a function of seed and epoch, full, and complete."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lianlu.errors import UserError
from lianlu.job import Job
from lianlu.model.template import ChatTemplate
from lianlu.train.dialogues import DialogueBatches, encode_dialogues, plan_packs
from lianlu.train.order import Shuffle


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(0, 9))
def test_every_dialogue_is_packed_once_and_fits(lengths: list[int], seed: int) -> None:
    packs = plan_packs(lengths, 50, Shuffle(len(lengths), seed))
    assert sorted(item for pack in packs for item in pack) == list(range(len(lengths)))
    assert all(sum(lengths[item] for item in pack) <= 50 for pack in packs)
    assert packs == plan_packs(lengths, 50, Shuffle(len(lengths), seed))


def test_steps_are_a_stream_over_epochs(
    dialogues_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    template = ChatTemplate.load(tokenizer_dir)
    encoded = encode_dialogues(dialogues_dir / "train.jsonl", template, 64, Job(tmp_path))
    assert len(encoded.rows) == 40
    assert encoded.too_long == 0
    whole = DialogueBatches(encoded, 64, 512, seed=1, micro_tokens=0)
    halves = DialogueBatches(encoded, 64, 512, seed=1, micro_tokens=256)
    assert whole.steps(3) >= 3
    for step in range(whole.steps(3)):
        [batch] = whole.batches(step)
        parts = halves.batches(step)
        assert len(parts) == 2
        assert [t for p in parts for t in p.tokens.tolist()] == batch.tokens.tolist()
        assert sum(p.predicted for p in parts) == batch.predicted > 0


def test_a_line_that_is_no_dialogue_is_placed(tokenizer_dir: Path, tmp_path: Path) -> None:
    template = ChatTemplate.load(tokenizer_dir)
    good = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    path = tmp_path / "train.jsonl"
    for bad in ("{", "[]", '{"messages": 3}', '{"text": "x"}'):
        path.write_text(json.dumps(good) + "\n" + bad + "\n")
        with pytest.raises(UserError, match=r"train\.jsonl:2"):
            encode_dialogues(path, template, 64, Job(tmp_path))
    path.write_text(json.dumps(good) + "\n")
    with pytest.raises(UserError, match="no dialogue fits"):
        encode_dialogues(path, template, 3, Job(tmp_path))
