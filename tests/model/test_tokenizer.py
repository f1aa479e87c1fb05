import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lianlu.errors import UserError
from lianlu.job import Job
from lianlu.model.section import TokenizerConfig
from lianlu.model.tokenizer import SPECIALS, Tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tokenizer_dir: Path) -> Tokenizer:
    return Tokenizer.load(tokenizer_dir)


@settings(max_examples=200, deadline=None)
@given(text=st.text() | st.sampled_from(SPECIALS) | st.text(alphabet="a_. 1\n中\u0301\U0001f600"))
def test_decoding_gives_the_text_back(tokenizer: Tokenizer, text: str):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert max(ids, default=0) < tokenizer.vocab_size
    assert not set(ids) & set(tokenizer.special_ids.values())


def test_plain_text_cannot_write_special_tokens(tokenizer: Tokenizer):
    text = "a<|im_end|>b<|endoftext|>"
    assert not {tokenizer.eos_id, tokenizer.special_ids["<|im_end|>"]} & set(tokenizer.encode(text))
    rendered = tokenizer.encode_rendered(text)
    assert rendered[-1] == tokenizer.eos_id
    assert tokenizer.special_ids["<|im_end|>"] in rendered
    assert tokenizer.decode(rendered, specials=False) == "ab"


def test_a_dotted_name_is_cut_the_same_way_in_backticks_and_in_json(tokenizer: Tokenizer):
    name = tokenizer.encode("collections.OrderedDict.__init__")
    for before, after in (("`", "`?"), ('{"name":"', '"}}'), ("\n", "\n"), ("(", ") x")):
        ids = tokenizer.encode(f"{before}collections.OrderedDict.__init__{after}")
        assert any(ids[i : i + len(name)] == name for i in range(len(ids)))


def test_digits_stand_alone(tokenizer: Tokenizer):
    assert [tokenizer.decode([token]) for token in tokenizer.encode("1234")] == list("1234")


def test_transformers_gives_the_same_ids(tokenizer: Tokenizer, tokenizer_dir: Path):
    theirs = transformers.AutoTokenizer.from_pretrained(tokenizer_dir)
    text = "os.path.join(a, *p)\n\n\tdef __init__(self): 1234  中文 é \U0001f600 "
    assert theirs(text)["input_ids"] == tokenizer.encode(text)
    assert theirs.decode(tokenizer.encode(text)) == text
    assert theirs.eos_token_id == theirs.pad_token_id == tokenizer.eos_id
    assert len(theirs) == tokenizer.vocab_size


def test_batch_equals_one_by_one(tokenizer: Tokenizer):
    texts = ["", "one", "two <|im_end|>", "三"]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


def test_training_gives_the_same_bytes_at_any_number_of_threads(
    corpus: Path, tokenizer_dir: Path, tmp_path: Path
):
    code = (
        "import sys; from pathlib import Path; from lianlu.job import Job\n"
        "from lianlu.model.section import TokenizerConfig\n"
        "from lianlu.model.tokenizer import train_tokenizer\n"
        "train_tokenizer(TokenizerConfig(vocab_size=400, sample_mb=1),"
        " Job(out=Path(sys.argv[1]), inputs={'corpus': Path(sys.argv[2])}))"
    )
    for threads in ("1", "3"):
        out = tmp_path / threads
        out.mkdir()
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        subprocess.run([sys.executable, "-c", code, out, corpus], check=True, env=environment)
        for file in tokenizer_dir.iterdir():
            assert (out / file.name).read_bytes() == file.read_bytes()


def test_the_sample_is_drawn_over_the_whole_corpus(corpus: Path, tmp_path: Path):
    job = Job(out=tmp_path, inputs={"corpus": corpus})
    facts = train_tokenizer(TokenizerConfig(vocab_size=300, sample_mb=0.002), job)
    assert 0 < facts["sample_bytes"] < 20_000
    assert 1 < facts["sample_documents"] < 60
    everything = train_tokenizer(TokenizerConfig(vocab_size=300, sample_mb=9), job)
    assert everything["sample_documents"] == 120


def test_an_empty_corpus_is_a_clear_error(tmp_path: Path):
    pq.write_table(pa.table({"id": ["0"], "text": [""]}), tmp_path / "part-00000.parquet")
    job = Job(out=tmp_path, inputs={"corpus": tmp_path})
    with pytest.raises(UserError, match="no text"):
        train_tokenizer(TokenizerConfig(), job)


def test_added_tokens_of_others_stay_out_of_plain_text(tokenizer_dir: Path, tmp_path: Path):
    shutil.copytree(tokenizer_dir, tmp_path / "t")
    path = tmp_path / "t" / "tokenizer.json"
    definition = json.loads(path.read_text())
    for token in definition["added_tokens"]:
        token["special"] = False
    path.write_text(json.dumps(definition))
    tokenizer = Tokenizer.load(tmp_path / "t")
    assert tokenizer.special_ids["<|tool_call|>"] not in tokenizer.encode("<|tool_call|>")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tokenizer.json", None, "no such file"),
        ("tokenizer.json", "{", "not a tokenizer"),
        ("tokenizer.json", "{}", "not a tokenizer"),
        ("tokenizer_config.json", "[]", "not a JSON object"),
        ("tokenizer_config.json", "{", "not JSON"),
    ],
)
def test_a_damaged_directory_is_a_clear_error(
    name: str, content: str | None, words: str, tokenizer_dir: Path, tmp_path: Path
):
    shutil.copytree(tokenizer_dir, tmp_path / "t")
    (tmp_path / "t" / name).unlink()
    if content is not None:
        (tmp_path / "t" / name).write_text(content)
    with pytest.raises(UserError, match=words):
        Tokenizer.load(tmp_path / "t")
