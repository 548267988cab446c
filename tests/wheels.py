"""Packages made for tests: real wheels, which pip and uv install without a network."""

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile


def build(folder: Path, name: str, files: Mapping[str, str], entry_points: str = "") -> Path:
    """A wheel of a package with these files."""
    info = f"{name}-1.0.dist-info"
    contents = dict(files) | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    record = "".join(f"{path},,\n" for path in [*contents, f"{info}/RECORD"])
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for path, text in (contents | {f"{info}/RECORD": record}).items():
            archive.writestr(path, text)
    return wheel
