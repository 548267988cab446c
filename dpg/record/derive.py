"""What follows from the sources of a record: verdicts, numbers, figures, the page, and the record's README."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from imageio.v3 import imread
from PIL import Image

from dpg.record import overview
from dpg.record.contents import DPI, Contents, load
from dpg.report import metrics
from dpg.report.claims import decisions
from dpg.report.figures import catalog
from dpg.report.figures.spec import FigureEntry, FigureInstance, Rendering, render
from dpg.report.page import render as report
from dpg.runtime.outputs import write_table
from dpg.runtime.shards import open_context, run_shards

COLORS = 256  # of a figure's palette: a third of the bytes of true colour


def derive(record: Path, target: Path) -> None:
    """Write all that follows from the sources of a record into a folder, which may be the record itself.

    Raises:
        UserError: as `load`.
    """
    contents = load(record)
    decided = decisions.decide(contents.experiment)
    instances = shown(catalog.instances(contents.experiment))
    summary = metrics.summarize(contents.experiment) | {"claims": decisions.count(decided)}
    claims, entries = [decisions.summarize(each) for each in decided], [each.entry() for each in instances]
    figures = target / "figures"
    draw(instances, figures, contents.params.modules)
    texts = {
        "claims.json": decisions.to_json(decided),
        "metrics.json": metrics.to_json(summary),
        "figures/index.json": catalog.index(entries),
        "index.html": page(contents, claims, entries, figures),
        "README.md": overview.render(contents, claims),
    }
    for name, text in texts.items():
        (target / name).write_text(text, encoding="utf-8")
    write_table(metrics.curves(contents.experiment), target / "curves.csv")


def shown(instances: Sequence[FigureInstance]) -> list[FigureInstance]:
    """The figures of a record: of those that show one agent, the first agent's."""
    return [instance for instance in instances if instance.of_first_agent]


def draw(instances: Sequence[FigureInstance], folder: Path, modules: tuple[str, ...]) -> None:
    """Draw figures on worker processes, as PNG; `modules` are the user's own."""
    folder.mkdir()
    renderings = [instance.rendering(("png",), DPI) for instance in instances]
    with open_context(modules=modules) as context:
        drawn = run_shards(render_small, renderings, context, work=lambda _: 1, title="figures", unit="figures")
        for instance, data in zip(instances, drawn, strict=True):
            (folder / f"{instance.name}.png").write_bytes(data)


def render_small(rendering: Rendering) -> bytes:
    """A figure as PNG with a palette."""
    file = BytesIO()
    image = Image.fromarray(imread(render(rendering)["png"], mode="RGB"))
    image.quantize(COLORS, dither=Image.Dither.NONE).save(file, "png", optimize=True, dpi=(DPI, DPI))
    return file.getvalue()


def page(contents: Contents, claims: Any, entries: Sequence[FigureEntry], figures: Path) -> str:
    """The report's page, with the figures of the record in it."""
    data = report.ReportData(
        params=contents.params,
        experiment=contents.experiment,
        claims=claims,
        figures=entries,
        folder=figures,
        records=contents.runs,
        calibration=contents.calibration,
        published=True,
    )
    return report.render(data)
