"""Interactive landscapes (paper, fig. 7, 8, 16 to 24): `landscape/landscape.csv`."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dpg.report import style
from dpg.report.experiment import Experiment
from dpg.report.figures.landscape import RANDOM_LABEL, STEP_LABEL, half_width, marked_points, on_grid, title
from dpg.tables.landscape import LandscapePoint

HEIGHT = 480  # pixels
_TRACES = 6  # of one landscape: two surfaces, the interval's two ends, and the marked points of both
_SCENE: dict[str, Any] = {
    "xaxis_title": STEP_LABEL,
    "yaxis_title": RANDOM_LABEL,
    "aspectmode": "manual",
    "aspectratio": {"x": 1, "y": 1, "z": 0.75},
    "camera": {"eye": {"x": 1.3, "y": 1.65, "z": 0.95}, "center": {"x": 0, "y": 0, "z": -0.15}},
}


def page(experiment: Experiment) -> str:
    """A self-contained page: every agent's landscapes, one below the other, and plotly.js (some 5 MB) before them.

    The same table gives the same bytes.
    """
    agents = list(experiment.parts(experiment[LandscapePoint], "env", "algorithm", "agent"))
    body = "".join(
        figure(each).to_html(
            full_html=False,
            include_plotlyjs=number == 0,
            div_id=f"landscape-{number}",
            config={"displaylogo": False, "responsive": True},
        )
        for number, each in enumerate(agents)
    )
    name = title(agents[0][LandscapePoint], experiment) if len(agents) == 1 else "Landscapes"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}</title>'
    return f"<!doctype html>\n<html><head>{head}</head><body>{body}</body></html>\n"


def figure(experiment: Experiment) -> go.Figure:
    """The landscapes of one agent, of which one is visible at a time."""
    landscape = experiment[LandscapePoint]
    found = make_subplots(
        1,
        2,
        specs=[[{"type": "scene"}, {"type": "scene"}]],
        subplot_titles=("surrogate objective", "reward (mean episode return) and its 95% interval"),
        horizontal_spacing=0.03,
    )
    groups = list(landscape.groupby(["iteration", "update_pairs"], sort=True))
    for number, (_, rows) in enumerate(groups):
        for trace, column in _traces(rows):
            trace.visible = number == 0
            found.add_trace(trace, row=1, col=column)
    buttons = [
        {
            "label": f"iteration {rows['iteration'].iloc[0]}, update from {rows['update_pairs'].iloc[0]:,} pairs",
            "method": "update",
            "args": [{"visible": [other == number for other in range(len(groups)) for _ in range(_TRACES)]}],
        }
        for number, (_, rows) in enumerate(groups)
    ]
    menu = {"buttons": buttons, "x": 0.0, "xanchor": "left", "y": 1.16, "yanchor": "top"}
    found.update_layout(
        title={"text": title(landscape, experiment), "x": 0.5},
        height=HEIGHT,
        margin={"l": 0, "r": 0, "t": 90, "b": 0},
        showlegend=False,
        updatemenus=[menu],
        scene=_SCENE | {"zaxis_title": "surrogate"},
        scene2=_SCENE | {"zaxis_title": "reward units"},
    )
    return found


def _traces(rows: pd.DataFrame) -> list[tuple[Any, int]]:
    """Traces of one landscape with the column of their scene."""
    margin = half_width(rows)
    notes = [f"± {error:.3g}, {count} trajectories" for error, count in zip(margin, rows["trajectories"], strict=True)]
    rows = rows.assign(low=rows["reward"] - margin, high=rows["reward"] + margin, note=notes)
    hover = "a = %{x:.3g}, b = %{y:.3g}<br>%{z:.5g} %{text}<extra></extra>"
    return [
        (_surface(rows, "surrogate"), 1),
        (_surface(rows, "reward", text=on_grid(rows, "note").to_numpy().T, hovertemplate=hover), 2),
        *((_surface(rows, end, opacity=0.25, hoverinfo="skip"), 2) for end in ("low", "high")),
        (_marks(rows, "surrogate"), 1),
        (_marks(rows, "reward"), 2),
    ]


def _surface(rows: pd.DataFrame, height: str, **options: Any) -> go.Surface:
    values = on_grid(rows, height)
    a, b, z = values.index.to_numpy(float), values.columns.to_numpy(float), values.to_numpy(float).T
    return go.Surface(x=a, y=b, z=z, colorscale=style.COLORMAP, showscale=False, **options)


def _marks(rows: pd.DataFrame, height: str) -> go.Scatter3d:
    """The snapshot in white and one full step in black, where the grid reaches them."""
    points = marked_points(rows, height)
    colors = ["white" if name == "snapshot" else "black" for name in points]
    return go.Scatter3d(
        x=[a for a, _ in points.values()],
        y=[0.0] * len(points),
        z=[z for _, z in points.values()],
        mode="markers+text",
        text=list(points),
        marker={"size": 5, "color": colors, "line": {"color": "black", "width": 2}},
        hoverinfo="skip",
    )
