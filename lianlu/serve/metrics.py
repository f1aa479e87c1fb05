"""What Prometheus scrapes: the engine's counts and the latencies clients saw."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lianlu.serve.engine import Engine

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
SECONDS_PER_TOKEN = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


class Metrics:
    """One registry a server, so that two servers in a process do not share numbers."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(EngineCollector(engine))
        self.first = Histogram(
            "lianlu_time_to_first_token_seconds",
            "From the request to its first token.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.each = Histogram(
            "lianlu_time_per_output_token_seconds",
            "Mean time between the tokens of a completion.",
            buckets=SECONDS_PER_TOKEN,
            registry=self.registry,
        )
        self.whole = Histogram(
            "lianlu_request_seconds",
            "From the request to its last token.",
            buckets=SECONDS,
            registry=self.registry,
        )

    def observe(self, start: float, first: float, end: float, tokens: int) -> None:
        """Note one completion: three monotonic times and its number of tokens."""
        self.first.observe(first - start)
        self.whole.observe(end - start)
        if tokens > 1:
            self.each.observe((end - first) / (tokens - 1))

    def exposition(self) -> bytes:
        """The text format, version 0.0.4."""
        return generate_latest(self.registry)


class EngineCollector(Collector):
    """Reads the engine when asked; plain integers, so another thread may."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def collect(self) -> Iterator[Metric]:
        scheduler, counts = self.engine.scheduler, self.engine.counts
        pages = len(scheduler.pool.references)
        gauges = {
            "requests_running": ("Requests in the batch.", len(scheduler.running)),
            "requests_waiting": ("Requests queued.", len(scheduler.waiting)),
            "kv_pages": ("Pages of the KV cache.", pages),
            "kv_pages_held": ("Pages held by requests.", pages - len(scheduler.pool.free)),
            "step_seconds": ("Smoothed time of an engine step.", scheduler.step_seconds),
        }
        counters = {
            "steps": ("Engine steps.", counts.steps),
            "prompt_tokens": ("Prompt tokens, cached ones included.", counts.prompt_tokens),
            "cached_tokens": ("Prompt tokens found in the cache.", counts.cached_tokens),
            "computed_tokens": ("Tokens that went through the model.", counts.computed_tokens),
            "generated_tokens": ("Tokens generated.", counts.generated_tokens),
            "busy_seconds": ("Time spent in steps.", counts.busy_seconds),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"lianlu_{name}", text, value=value)
        for name, (text, value) in counters.items():
            yield CounterMetricFamily(f"lianlu_{name}", text, value=value)
        finished = CounterMetricFamily("lianlu_requests", "Requests ended.", labels=["reason"])
        for reason, count in counts.finished.items():
            finished.add_metric([reason], count)
        yield finished
