"""The templates of HTML pages: `report/page/base.html.j2` has the style that all pages share."""

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def load(name: str, **filters: Callable[..., object]) -> Template:
    """A template by its path in `dpg`, e.g. `diagnose/page.html.j2`; `filters` are its own."""
    environment = Environment(
        loader=PackageLoader("dpg", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)
