"""The engine against transformers, and against itself under every way of scheduling."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from lianlu.errors import UserError
from lianlu.serve.config import ServeConfig
from lianlu.serve.engine import Engine
from lianlu.serve.grammar import json_grammar
from lianlu.serve.openai import ChatRequest, chat_tasks
from lianlu.serve.request import Completion, SamplingParams
from lianlu.serve.scheduler import Overloaded, TooLong

PROMPTS = [
    [(7 * i + 3 * j) % 300 + 20 for j in range(length)]
    for i, length in enumerate([1, 5, 16, 17, 40, 33, 90, 64])
]
GREEDY = SamplingParams(max_tokens=24, ignore_eos=True)
SEEDED = SamplingParams(max_tokens=24, ignore_eos=True, temperature=1.0, top_p=0.9, seed=11)


def ids(completions: list[Completion]) -> list[list[int]]:
    return [completion.token_ids for completion in completions]


def test_greedy_equals_transformers(make_engine, model_dir: Path) -> None:
    oracle = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    expected = []
    for prompt in PROMPTS:
        with torch.inference_mode():
            whole = oracle.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt)),
                do_sample=False,
                max_new_tokens=24,
                min_new_tokens=24,
                eos_token_id=None,
            )
        expected.append(whole[0, len(prompt) :].tolist())
    ours = ids(make_engine().generate(PROMPTS, GREEDY))
    assert ours == expected
    assert len({tuple(output) for output in ours}) > 4, "the model is too dull to test with"


@pytest.mark.parametrize("params", [GREEDY, SEEDED], ids=["greedy", "seeded"])
def test_a_request_gives_the_same_tokens_whatever_it_is_batched_with(make_engine, params) -> None:
    alone = [make_engine().generate([prompt], params)[0] for prompt in PROMPTS]
    together = make_engine().generate(PROMPTS, params)
    assert ids(together) == ids(alone)


@pytest.mark.parametrize("params", [GREEDY, SEEDED], ids=["greedy", "seeded"])
@pytest.mark.parametrize("kv_bits", [8, 32])
def test_prompts_in_chunks_equal_whole_prompts(make_engine, params, kv_bits: int) -> None:
    whole = make_engine(kv_bits=kv_bits).generate(PROMPTS, params)
    chunked = make_engine(kv_bits=kv_bits, batch_tokens=16).generate(PROMPTS, params)
    assert ids(chunked) == ids(whole)


def test_few_pages_change_the_order_and_not_the_tokens(make_engine) -> None:
    plenty = make_engine().generate(PROMPTS, GREEDY)
    scarce = make_engine(kv_tokens=256, max_requests=3)
    assert ids(scarce.generate(PROMPTS, GREEDY)) == ids(plenty)
    scarce.scheduler.pool.check()
    assert len(scarce.scheduler.pool.free) == 16


def test_a_known_prefix_is_not_computed_again_and_changes_nothing(make_engine) -> None:
    engine = make_engine()
    first = engine.generate([PROMPTS[6]], GREEDY)[0]
    work = engine.counts.computed_tokens
    again = engine.generate([PROMPTS[6]], GREEDY)[0]
    assert again.token_ids == first.token_ids
    assert (first.cached_tokens, again.cached_tokens) == (0, 80)
    assert engine.counts.computed_tokens - work == work - 80
    # The reply is known too: the next turn of a conversation starts behind it.
    turn = PROMPTS[6] + first.token_ids + [5, 6]
    assert engine.generate([turn], GREEDY)[0].cached_tokens == 112


def test_a_cache_smaller_than_the_context_is_the_limit(model_dir: Path, tmp_path: Path) -> None:
    long = tmp_path / "long"
    shutil.copytree(model_dir, long)
    config = json.loads((long / "config.json").read_text())
    (long / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 1024}))
    engine = Engine.load(long, ServeConfig(kv_tokens=256))
    assert engine.context == 256
    body = {"model": "m", "messages": [{"role": "user", "content": "os.path"}]}
    (task,) = chat_tasks(ChatRequest.model_validate(body), engine)
    engine.submit(task.prompt, task.params)
    assert task.params.max_tokens == 256 - len(task.prompt)


def test_8_bit_keys_and_values_stay_close(make_engine) -> None:
    params = SamplingParams(max_tokens=1, logprobs=20)
    exact, close = (
        [c.logprobs[0] for c in make_engine(kv_bits=bits).generate(PROMPTS, params)]
        for bits in (32, 8)
    )
    for a, b in zip(exact, close, strict=True):
        likely = dict(b.top)
        assert all(abs(lp - likely.get(token, lp)) < 0.1 for token, lp in a.top)
    assert exact != close


def test_bfloat16_runs(make_engine) -> None:
    engine = make_engine(dtype="bfloat16")
    assert engine.runner.cache.bits == 16
    assert all(len(tokens) == 24 for tokens in ids(engine.generate(PROMPTS, GREEDY)))


def test_the_model_directory_asks_for_kv_bits(model_dir: Path, tmp_path: Path) -> None:
    model = shutil.copytree(model_dir, tmp_path / "small")
    (model / "lianlu.json").write_text(json.dumps({"kv_bits": 8}))
    assert Engine.load(model).runner.cache.bits == 8
    (model / "lianlu.json").write_text(json.dumps({"kv_bits": 5}))
    with pytest.raises(UserError, match="kv_bits is 5"):
        Engine.load(model)


def test_a_model_without_a_template_completes_text(model_dir: Path, tmp_path: Path) -> None:
    model = shutil.copytree(model_dir, tmp_path / "base")
    (model / "chat_template.jinja").unlink()
    engine = Engine.load(model)
    assert engine.template is None
    assert ids(engine.generate(PROMPTS[:1], GREEDY))


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_broken_model_directory_is_the_users_mistake(
    model_dir: Path, tmp_path: Path, damage: str
) -> None:
    model = shutil.copytree(model_dir, tmp_path / "broken")
    (model / damage).write_bytes((model / damage).read_bytes()[:100])
    with pytest.raises(UserError, match=damage):
        Engine.load(model)


def test_stops(make_engine) -> None:
    engine = make_engine()
    free = engine.generate([PROMPTS[4]], GREEDY)[0]
    assert (free.finish_reason, len(free.token_ids)) == ("length", 24)
    by_id = SamplingParams(max_tokens=24, ignore_eos=True, stop_ids=(free.token_ids[3],))
    stopped = engine.generate([PROMPTS[4]], by_id)[0]
    cut = free.token_ids.index(free.token_ids[3]) + 1
    assert (stopped.finish_reason, stopped.token_ids) == ("stop", free.token_ids[:cut])
    word = free.text[5:8]
    by_text = SamplingParams(max_tokens=24, ignore_eos=True, stop=(word,))
    stopped = engine.generate([PROMPTS[4]], by_text)[0]
    assert stopped.finish_reason == "stop"
    assert stopped.text == free.text[: free.text.index(word)]


def test_abort_frees_pages_at_any_point(make_engine) -> None:
    for steps in range(6):
        engine = make_engine(batch_tokens=32)
        pages = len(engine.scheduler.pool.free)
        requests = [engine.submit(prompt, GREEDY) for prompt in PROMPTS]
        for _ in range(steps):
            engine.step()
        for request in requests:
            engine.abort(request)
            engine.abort(request)  # twice does no harm
            engine.scheduler.pool.check()
        assert len(engine.scheduler.pool.free) == pages
        assert not engine.busy
        assert {r.completion().finish_reason for r in requests} == {"abort"}


def test_overload_is_refused_with_a_wait(make_engine) -> None:
    engine = make_engine(max_requests=2)
    for _ in range(2):
        engine.submit(PROMPTS[0], GREEDY)
    engine.step()
    for _ in range(2):
        engine.submit(PROMPTS[0], GREEDY)
    engine.scheduler.step_seconds = 0.5
    with pytest.raises(Overloaded) as refused:
        engine.submit(PROMPTS[0], GREEDY)
    assert refused.value.retry_after == 12  # 23 tokens are left, at half a second each


@pytest.mark.parametrize(
    ("prompt", "params", "error"),
    [
        ([], GREEDY, TooLong),
        ([1] * 250, GREEDY, TooLong),
        ([384], GREEDY, ValueError),
        ([-1], GREEDY, ValueError),
        ([1], SamplingParams(logit_bias={999: 1.0}), ValueError),
        ([1], SamplingParams(grammar="start: ("), ValueError),
    ],
)
def test_what_could_never_run_is_refused_at_once(make_engine, prompt, params, error) -> None:
    engine = make_engine()
    with pytest.raises(error):
        engine.submit(prompt, params)
    assert not engine.busy


def test_a_fault_stays_with_the_request_it_is_in(make_engine) -> None:
    engine = make_engine()
    expected = ids(engine.generate(PROMPTS[:3], GREEDY))
    engine = make_engine()
    decoder = engine.runner.decoder
    forward = decoder.forward

    def fragile(tokens, positions, attend):
        if 299 in tokens:
            raise RuntimeError("a kernel broke")
        return forward(tokens, positions, attend)

    decoder.forward = fragile
    *good, bad = engine.generate([*PROMPTS[:3], [299, 299]], GREEDY)
    assert ids(good) == expected
    assert (bad.finish_reason, bad.error) == ("error", "RuntimeError: a kernel broke")
    engine.scheduler.pool.check()


def test_logits_that_are_no_numbers_end_one_request(make_engine) -> None:
    engine = make_engine()
    run = engine.runner.run

    def poisoned(chunks):
        logits = run(chunks)
        rows = [chunk.request for chunk in chunks if chunk.samples]
        for i, request in enumerate(rows):
            if request.tokens[0] == PROMPTS[1][0]:
                logits[i] = torch.nan
        return logits

    engine.runner.run = poisoned
    completions = engine.generate(PROMPTS[:3], GREEDY)
    assert [c.finish_reason for c in completions] == ["length", "error", "length"]


def test_logprobs_are_those_of_the_model(make_engine, model_dir: Path) -> None:
    params = SamplingParams(max_tokens=6, ignore_eos=True, logprobs=3, temperature=2.0, seed=5)
    done = make_engine().generate([PROMPTS[4]], params)[0]
    oracle = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    with torch.inference_mode():
        logits = oracle(torch.tensor([PROMPTS[4] + done.token_ids])).logits[0]
    expected = logits[len(PROMPTS[4]) - 1 : -1].log_softmax(-1)
    for row, entry, token in zip(expected, done.logprobs or [], done.token_ids, strict=True):
        assert entry.token_id == token
        assert entry.logprob == pytest.approx(row[token].item(), abs=1e-4)
        assert [t for t, _ in entry.top] == row.topk(3).indices.tolist()


def test_grammars_hold_in_a_batch_with_free_text(make_engine) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "maximum": 99, "minimum": 0}},
        "required": ["a"],
        "additionalProperties": False,
    }
    bound = SamplingParams(max_tokens=40, grammar=json_grammar(schema), temperature=1.0, seed=1)
    free, *made = make_engine().generate(PROMPTS[:4], [GREEDY, bound, bound, bound])
    assert free.finish_reason == "length"
    for completion in made:
        assert completion.finish_reason == "stop"
        assert 0 <= json.loads(completion.text)["a"] <= 99
