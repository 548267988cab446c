"""Interactive landscapes (paper, fig. 7, 8, 16 to 24): `landscape/landscape.csv`."""

from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from dpg.report import style
from dpg.report.experiment import Experiment
from dpg.report.figures.landscape import RANDOM_LABEL, STEP_LABEL, half_width, marked_points, on_grid
from dpg.report.page import templates
from dpg.tables.landscape import LandscapePoint

Height = Literal["surrogate", "reward"]
TITLES: dict[Height, str] = {
    "surrogate": "Surrogate objective",
    "reward": "Reward (mean episode return) and its interval",
}
_UNITS: dict[Height, str] = {"surrogate": "surrogate", "reward": "reward units"}
_LANDSCAPE = ("env", "algorithm", "agent", "iteration", "update_pairs")  # columns that tell one from another
# As in the figures of the report: the update step runs to the right, at the back.
_SCENE: dict[str, Any] = {
    "xaxis_title": STEP_LABEL,
    "yaxis_title": RANDOM_LABEL,
    "yaxis_autorange": "reversed",
    "aspectmode": "manual",
    "aspectratio": {"x": 1, "y": 1, "z": 0.75},
    "camera": {"eye": {"x": 1.0, "y": -1.65, "z": 0.95}, "center": {"x": 0, "y": 0, "z": -0.15}},
}


def page(experiment: Experiment) -> str:
    """A self-contained page with plotly.js (some 5 MB) that shows one landscape at a time, chosen from a list.

    Browsers keep no more than some 16 WebGL canvases of a page alive; showing all landscapes would take hundreds. The
    same table gives the same bytes.
    """
    rows = experiment[LandscapePoint].sort_values(["iteration", "update_pairs"], kind="stable")
    agents: dict[str, list[tuple[int, str]]] = {}
    figures: list[str] = []
    for number, part in enumerate(experiment.parts(rows, *_LANDSCAPE)):
        update = f"iteration {part.key['iteration']}, update from {part.key['update_pairs']:,} pairs"
        agents.setdefault(f"{part}, agent {part.key['agent']}", []).append((number, update))
        both = (f'"{height}": {figure(part, height).to_json(engine="json")}' for height in TITLES)
        figures.append(f"{{{', '.join(both)}}}")
    return templates.load("report/page/landscapes.html.j2").render(
        agents=agents,
        titles=TITLES,
        confidence=experiment.statistics.confidence,
        figures=f"[{', '.join(figures)}]",
        plotly=get_plotlyjs(),
    )


def figure(experiment: Experiment, height: Height) -> go.Figure:
    """The surrogate or the reward of one landscape, the latter between the ends of its interval."""
    rows = experiment[LandscapePoint]
    found = go.Figure(
        _reward(rows, experiment.statistics.confidence) if height == "reward" else [_surface(rows, height)]
    )
    found.add_trace(_marks(rows, height))
    found.update_layout(
        template="none",
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        showlegend=False,
        scene=_SCENE | {"zaxis_title": _UNITS[height]},
        uirevision=height,  # the view stays when another landscape is shown
    )
    return found


def _reward(rows: pd.DataFrame, confidence: float) -> list[go.Surface]:
    margin = half_width(rows, confidence)
    notes = [f"± {error:.3g}, {count} trajectories" for error, count in zip(margin, rows["trajectories"], strict=True)]
    rows = rows.assign(low=rows["reward"] - margin, high=rows["reward"] + margin, note=notes)
    hover = "a = %{x:.3g}, b = %{y:.3g}<br>%{z:.5g} %{text}<extra></extra>"
    ends = [_surface(rows, end, opacity=0.25, hoverinfo="skip") for end in ("low", "high")]
    return [_surface(rows, "reward", text=on_grid(rows, "note").to_numpy().T, hovertemplate=hover), *ends]


def _surface(rows: pd.DataFrame, height: str, **options: Any) -> go.Surface:
    values = on_grid(rows, height)
    a, b, z = values.index.to_numpy(float), values.columns.to_numpy(float), values.to_numpy(float).T
    shades = {"colorscale": style.COLORMAP, "lighting": {"ambient": 0.9, "diffuse": 0.3}, "showscale": False}
    return go.Surface(x=a, y=b, z=z, **shades, **options)


def _marks(rows: pd.DataFrame, height: str) -> go.Scatter3d:
    """The snapshot in white and one full step in black, where the grid reaches them."""
    points = marked_points(rows, height)
    colors = ["white" if name == "snapshot" else "black" for name in points]
    return go.Scatter3d(
        x=[a for a, _ in points.values()],
        y=[0.0] * len(points),
        z=[z for _, z in points.values()],
        mode="markers",
        text=list(points),
        marker={"size": 5, "color": colors, "line": {"color": "black", "width": 2}},
        hoverinfo="text",
    )
