"""Plotly figures as plain dicts. A colour like `--train` names a property of the style sheet: the
page puts its value in, so that a chart follows light and dark."""

from collections.abc import Mapping, Sequence
from typing import Any

from lianlu.ui.results import Curve, Score

MAX_POINTS = 1500
COLOURS = {"before": "--before", "after": "--after", "after-small": "--small"}
Figure = dict[str, Any]


def loss_figure(curve: Curve, words: Mapping[str, str]) -> Figure:
    """Training and validation loss (nats per token) by optimizer step."""
    traces = []
    if curve.train:
        x, y = _thin(curve.train)
        line = {"color": "--train", "width": 1.6}
        traces.append(_scatter(x, y, words["train"], "lines", line=line))
    if curve.valid:
        x, y = _thin(curve.valid)
        line = {"color": "--valid", "width": 2, "dash": "dot"}
        marker = {"color": "--valid", "size": 7}
        traces.append(_scatter(x, y, words["valid"], "lines+markers", line=line, marker=marker))
    layout = _layout(280) | {
        "xaxis": _axis(words["step"]),
        "yaxis": _axis(words["loss"]),
        "legend": {"x": 1, "xanchor": "right", "y": 1, "bgcolor": "--none"},
        "hovermode": "x unified",
        "showlegend": True,
    }
    return {"data": traces, "layout": layout}


def score_figure(
    scores: Mapping[str, Mapping[str, Score]], words: Mapping[str, str]
) -> Figure | None:
    """One small plot a score (each has its unit): a point a model, its interval as error bar."""
    names = list(dict.fromkeys(name for of_model in scores.values() for name in of_model))[:12]
    if not names:
        return None
    nodes = list(scores)
    traces, layout = [], _layout(90 + 34 * len(nodes)) | {"showlegend": False}
    share, gap = 1 / len(names), 0.05
    annotations = []
    for i, name in enumerate(names):
        suffix = "" if i == 0 else str(i + 1)
        start, end = i * share + (gap / 2 if i else 0), (i + 1) * share - gap / 2
        of_unit = [by_name[name] for by_name in scores.values() if name in by_name]
        layout[f"xaxis{suffix}"] = _axis("") | {
            "domain": [start, end],
            "anchor": f"y{suffix}",
            "nticks": 5,
            "fixedrange": True,
        }
        if all(score.unit == "share" or 0 <= score.value <= 1 for score in of_unit):
            layout[f"xaxis{suffix}"] |= {"range": [-0.03, 1.03], "tickformat": ".0%"}
        layout[f"yaxis{suffix}"] = {
            "categoryorder": "array",
            "categoryarray": [words[node] for node in reversed(nodes)],
            "range": [-0.6, len(nodes) - 0.4],
            "anchor": f"x{suffix}",
            "showticklabels": i == 0,
            "automargin": True,
            "gridcolor": "--grid",
            "fixedrange": True,
        }
        better = "↑" if of_unit[0].better == "higher" else "↓"
        annotations.append(
            {
                "text": _plain(f"{words.get('score.' + name, name)} {better}"),
                "xref": "paper",
                "yref": "paper",
                "x": (start + end) / 2,
                "y": 1,
                "yanchor": "bottom",
                "yshift": 6,
                "showarrow": False,
                "font": {"size": 13, "color": "--text"},
            }
        )
        traces += [
            _score_trace(scores[node][name], words[node], COLOURS.get(node, "--train"), suffix)
            for node in nodes
            if name in scores[node]
        ]
    layout["annotations"] = annotations
    return {"data": traces, "layout": layout}


def _score_trace(score: Score, label: str, colour: str, suffix: str) -> Figure:
    trace = _scatter([score.value], [label], label, "markers")
    trace |= {
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "marker": {"color": colour, "size": 11},
        "hovertemplate": "%{x:.4g}<extra></extra>",
    }
    if score.low is not None and score.high is not None:
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [score.high - score.value],
            "arrayminus": [score.value - score.low],
            "color": colour,
            "thickness": 2,
            "width": 5,
        }
    return trace


def _scatter(
    x: Sequence[float], y: Sequence[float | str], name: str, mode: str, **style: Figure
) -> Figure:
    return {"type": "scatter", "x": x, "y": y, "name": name, "mode": mode, **style}


def _layout(height: int) -> Figure:
    return {
        "height": height,
        "margin": {"l": 52, "r": 12, "t": 34, "b": 40},
        "paper_bgcolor": "--none",
        "plot_bgcolor": "--none",
        "font": {"color": "--muted", "size": 12, "family": "system-ui, sans-serif"},
        "hoverlabel": {"bgcolor": "--panel", "bordercolor": "--line", "font": {"color": "--text"}},
    }


def _axis(title: str) -> Figure:
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": "--grid",
        "linecolor": "--line",
        "zeroline": False,
        "automargin": True,
    }


def _thin(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """At most MAX_POINTS points, evenly taken; the last one always stays."""
    stride = -(-len(points) // MAX_POINTS) if points else 1
    kept = list(points[::stride])
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return [x for x, _ in kept], [y for _, y in kept]


def _plain(text: str) -> str:
    """Plotly reads a few HTML tags in its texts; a name from a file is no markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
