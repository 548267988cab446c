"""Interactive landscapes (paper, fig. 7, 8, 16 to 24): `landscape/landscape.csv`."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dpg.report import style
from dpg.report.aggregate import along_step
from dpg.report.experiment import Experiment
from dpg.report.figures.landscape import RANDOM_LABEL, STEP_LABEL, half_width, on_grid, title
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
    errors = on_grid(rows.assign(half_width=half_width(rows)), "half_width").to_numpy(float).T
    reward = on_grid(rows, "reward").to_numpy(float).T
    note = np.array(
        [
            [f"± {error:.3g}, {count} trajectories" for error, count in zip(*line, strict=True)]
            for line in zip(errors, on_grid(rows, "trajectories").to_numpy().T, strict=True)
        ]
    )
    ends = [_surface(rows, reward + sign * errors, opacity=0.25, showscale=False) for sign in (-1, 1)]
    return [
        (_surface(rows, on_grid(rows, "surrogate").to_numpy(float).T, showscale=False), 1),
        (_surface(rows, reward, showscale=False, text=note), 2),
        *((end, 2) for end in ends),
        (_marks(rows, "surrogate"), 1),
        (_marks(rows, "reward"), 2),
    ]


def _surface(rows: pd.DataFrame, heights: np.ndarray, **options: Any) -> go.Surface:
    values = on_grid(rows, "reward")
    hover = "a = %{x:.3g}, b = %{y:.3g}<br>%{z:.5g} %{text}<extra></extra>" if "text" in options else None
    return go.Surface(
        x=values.index.to_numpy(float),
        y=values.columns.to_numpy(float),
        z=heights,
        colorscale=style.COLORMAP,
        hoverinfo=None if hover or "opacity" not in options else "skip",
        hovertemplate=hover,
        **options,
    )


def _marks(rows: pd.DataFrame, height: str) -> go.Scatter3d:
    """The snapshot and, where the grid reaches it, one full step."""
    cut = along_step(rows)
    along, heights = cut["step"].to_numpy(float), cut[height].to_numpy(float)
    at = [a for a in (0.0, 1.0) if along[0] <= a <= along[-1]]
    return go.Scatter3d(
        x=at,
        y=[0.0] * len(at),
        z=np.interp(at, along, heights),
        mode="markers+text",
        text=["snapshot", "full step"][: len(at)],
        marker={"size": 5, "color": ["white", "black"][: len(at)], "line": {"color": "black", "width": 2}},
        hoverinfo="skip",
    )
