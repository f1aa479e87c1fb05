import json
from pathlib import Path

from lianlu.ui.charts import MAX_POINTS, loss_figure, score_figure
from lianlu.ui.reader import read_run
from lianlu.ui.results import Curve, Score, scores_of
from lianlu.ui.words import words_of

WORDS = words_of("en")


def test_plotly_itself_accepts_the_figures(runs: Path) -> None:
    from plotly import graph_objects

    curve = Curve("base", [(0, 3.0), (5, 2.0)], [(5, 2.1)], {})
    for figure in (
        loss_figure(curve, WORDS),
        score_figure(scores_of(read_run(runs, "demo")), WORDS),
    ):
        assert figure is not None
        named = json.loads(json.dumps(figure, allow_nan=False).replace('"--none"', '"#fff"'))
        graph_objects.Figure(json.loads(_coloured(json.dumps(named))))


def _coloured(figure: str) -> str:
    for name in ("train", "valid", "before", "after", "small", "grid", "line", "muted", "text"):
        figure = figure.replace(f'"--{name}"', '"#123456"')
    return figure.replace('"--panel"', '"#fff"')


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    points = [(float(step), 1.0) for step in range(100_001)]
    trace = loss_figure(Curve("base", points, [], {}), WORDS)["data"][0]
    assert len(trace["x"]) <= MAX_POINTS + 1
    assert (trace["x"][0], trace["x"][-1]) == (0, 100_000)


def test_intervals_are_error_bars_from_the_estimate() -> None:
    score = Score("tool_call", 0.9, 0.85, 0.94, 200, "share", "higher", None)
    figure = score_figure({"after": {"tool_call": score}}, WORDS)
    assert figure is not None
    bar = figure["data"][0]["error_x"]
    assert abs(bar["array"][0] - 0.04) < 1e-9
    assert abs(bar["arrayminus"][0] - 0.05) < 1e-9


def test_a_score_without_interval_has_no_bar_and_its_name_is_no_markup() -> None:
    score = Score("<b>x</b>", 3, None, None, None, "", "lower", None)
    figure = score_figure({"before": {"<b>x</b>": score}}, WORDS)
    assert figure is not None
    assert "error_x" not in figure["data"][0]
    assert figure["layout"]["annotations"][0]["text"] == "&lt;b&gt;x&lt;/b&gt; ↓"
    assert score_figure({}, WORDS) is None
