"""The numbers that Prometheus reads are those of the engine."""

from prometheus_client.parser import text_string_to_metric_families

from lianlu.serve.metrics import Metrics
from lianlu.serve.request import SamplingParams


def test_counts_and_latencies(make_engine) -> None:
    engine = make_engine()
    metrics = Metrics(engine)
    params = SamplingParams(max_tokens=4, ignore_eos=True)
    engine.generate([[20] * 40, [30] * 5], params)
    engine.generate([[20] * 40], params)
    metrics.observe(start=10.0, first=10.2, end=10.8, tokens=4)
    metrics.observe(start=10.0, first=10.2, end=10.2, tokens=1)
    families = text_string_to_metric_families(metrics.exposition().decode())
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    assert samples["lianlu_prompt_tokens_total",] == 85
    assert samples["lianlu_cached_tokens_total",] == 32
    assert samples["lianlu_generated_tokens_total",] == 12
    assert samples["lianlu_requests_total", "length"] == 3
    assert samples["lianlu_kv_pages",] == 256
    assert samples["lianlu_kv_pages_held",] == 0
    assert samples["lianlu_time_to_first_token_seconds_count",] == 2
    assert samples["lianlu_time_per_output_token_seconds_count",] == 1
    assert abs(samples["lianlu_time_per_output_token_seconds_sum",] - 0.2) < 1e-9


def test_two_servers_do_not_share_numbers(make_engine) -> None:
    first, second = Metrics(make_engine()), Metrics(make_engine())
    first.observe(0, 1, 2, 3)
    assert b"lianlu_request_seconds_count 0.0" in second.exposition()
