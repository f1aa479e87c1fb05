"""What a name on the command line means: a run's model, or a model directory."""

from dataclasses import dataclass
from pathlib import Path

from lianlu.agent.config import AgentConfig
from lianlu.errors import UserError
from lianlu.recipe import Recipe
from lianlu.record import Run, read_run
from lianlu.serve.config import ServeConfig


@dataclass(frozen=True)
class Target:
    """A model, and the recipe of the run that made it, if a run did."""

    model: Path
    recipe: Recipe | None

    def serving(
        self, host: str | None = None, port: int | None = None, api_keys: Path | None = None
    ) -> ServeConfig:
        """The recipe's `serve` section, with what the command line says instead."""
        config = self.recipe.serve if self.recipe else ServeConfig()
        said = {"host": host, "port": port, "api_key_file": api_keys}
        return config.model_copy(update={k: v for k, v in said.items() if v is not None})

    def agent(self) -> AgentConfig:
        """The recipe's `agent` section, or the defaults."""
        return (self.recipe and self.recipe.agent) or AgentConfig()


def find_target(name: str, runs: Path) -> Target:
    """Raises UserError when `name` is neither a model directory nor a run with a model."""
    if (Path(name) / "config.json").is_file():
        return Target(Path(name), None)
    if "/" in name or not (runs / name).exists():
        raise UserError(
            f"{name}: neither a model directory (no config.json) nor a run in {runs}",
            "`lianlu run RECIPE` makes a run; `lianlu hub get ID` fetches a model",
        )
    return target_of(read_run(runs, name))


def target_of(run: Run) -> Target:
    """Raises UserError when the run has made no model yet."""
    return Target(run.model(), run.recipe())
