"""Run the console on this machine."""

import errno
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from lianlu.errors import UserError
from lianlu.loopback import is_loopback
from lianlu.ui.app import create_app
from lianlu.ui.chat import Ask
from lianlu.ui.plotly import plotly_script
from lianlu.ui.reader import run_folder

Say = Callable[[str], None]


def serve(
    runs: Path,
    run: str | None,
    host: str,
    port: int,
    chat_url: str | None = None,
    ask: Ask | None = None,
    say: Say = print,
) -> None:
    """Serve the console until it is stopped; `say` gets its address. Port 0 takes a free one.

    Raises UserError when the run does not exist, the host is not loopback, or the port is in use.
    """
    plotly_script()
    if run is not None:
        run_folder(runs, run)
    elif not runs.is_dir():
        raise UserError(f"{runs}: no such folder", "`lianlu run RECIPE` makes the first run")
    listener = listen(host, port)
    address = f"[{host}]" if ":" in host else host
    url = f"http://{address}:{listener.getsockname()[1]}/"
    say(f"the console is at {url}{f'runs/{run}' if run else ''} (Ctrl-C ends it)")
    app = create_app(runs, run, chat_url, ask)
    config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    app.state.closing = lambda: server.should_exit
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on a loopback address. Raises UserError with advice."""
    if not is_loopback(host):
        raise UserError(
            f"{host}: the console has no login, so it listens on loopback only",
            f"from another machine: ssh -L {port or 7860}:127.0.0.1:{port or 7860} this-machine",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            advice = f"`--port {port + 1}`, or `--port 0` for a free one"
            raise UserError(f"port {port} of {host} is in use", advice) from None
        raise UserError(f"cannot listen on {host}:{port}: {error}", "try --port 0") from None
    return listener
