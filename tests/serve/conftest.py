"""A tiny chat model with random weights, made once; small enough to run in milliseconds."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import uvicorn

from lianlu.job import Job
from lianlu.model.checkpoint import init_weights, save_model
from lianlu.model.config import DecoderConfig
from lianlu.model.decoder import Decoder
from lianlu.model.section import TokenizerConfig
from lianlu.model.tokenizer import train_tokenizer
from lianlu.serve.app import serve
from lianlu.serve.config import ServeConfig
from lianlu.serve.engine import Engine

torch.set_num_threads(1)

TEXT = (
    "The function os.path.join joins one or more path segments. 中文 naïve {name: value} 012345. "
)

MakeEngine = Callable[..., Engine]


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3-shaped model in fp32 whose greedy output wanders (large random weights)."""
    root = tmp_path_factory.mktemp("served")
    corpus, tokenizer, model = (root / name for name in ("corpus", "tokenizer", "model"))
    for directory in (corpus, tokenizer):
        directory.mkdir()
    pq.write_table(pa.table({"text": [TEXT * 3] * 20}), corpus / "part-00000.parquet")
    train_tokenizer(TokenizerConfig(vocab_size=384), Job(out=tokenizer, inputs={"corpus": corpus}))
    config = DecoderConfig.new(vocab_size=384, layers=2, width=64, heads=4, kv_heads=2, context=256)
    decoder = Decoder(config)
    init_weights(decoder, seed=1)
    with torch.no_grad():
        decoder.model.embed_tokens.weight.mul_(10)
    save_model(decoder, model, tokenizer_from=tokenizer)
    return model


@pytest.fixture
def make_engine(model_dir: Path) -> MakeEngine:
    """An engine over the tiny model, its config given by keyword."""

    def make(**settings: object) -> Engine:
        return Engine.load(model_dir, ServeConfig.model_validate({"kv_tokens": 4096, **settings}))

    return make


class Server:
    """A server in a thread; uvicorn installs signal handlers only in the main one."""

    def __init__(
        self, model_dir: Path, monkeypatch: pytest.MonkeyPatch, **settings: object
    ) -> None:
        self.engine: Engine | None = None
        self.url = ""
        ready = threading.Event()
        load = Engine.load
        servers = []

        def loaded(path: Path, config: ServeConfig) -> Engine:
            self.engine = load(path, config)
            return self.engine

        def told(url: str) -> None:
            self.url = url
            ready.set()

        original = uvicorn.Server.__init__

        def remember(server: uvicorn.Server, config: uvicorn.Config) -> None:
            original(server, config)
            servers.append(server)

        monkeypatch.setattr("lianlu.serve.app.Engine.load", loaded)
        monkeypatch.setattr(uvicorn.Server, "__init__", remember)
        config = ServeConfig.model_validate(
            {"port": 0, "kv_tokens": 4096, "threads": 1, **settings}
        )
        self.thread = threading.Thread(target=serve, args=(model_dir, config, told), daemon=True)
        self.thread.start()
        assert ready.wait(20)
        self.servers = servers

    def stop(self) -> None:
        self.servers[0].should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()

    def idle(self) -> bool:
        """Whether every page comes free within a second."""
        assert self.engine is not None
        pool = self.engine.scheduler.pool
        for _ in range(100):
            if len(pool.free) == len(pool.references) and not self.engine.busy:
                pool.check()
                return True
            time.sleep(0.01)
        return False


@pytest.fixture(scope="module")
def server(model_dir: Path) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        server = Server(model_dir, monkeypatch)
        yield server
        server.stop()


@pytest.fixture
def start_server(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Server]:
    """A server over the tiny model with settings of its own; the caller stops it."""
    return lambda **settings: Server(model_dir, monkeypatch, **settings)
