"""The `dpg` command: registers the commands of the other modules and prints user errors.

A command imports what it needs beyond typer and rich when it is called, which keeps `dpg --help` fast.
"""

import typer

from dpg.cli import calibrate, claims, diagnose, doctor, import_agent, landscape, plan, repro, show, ui, watch
from dpg.runtime.console import run

app = typer.Typer(
    name="dpg",
    help="A laboratory for deep policy gradient methods.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    # A defect keeps its plain traceback, which can be searched for and pasted.
    pretty_exceptions_enable=False,
)
for module in (repro, plan, claims, show, import_agent, watch, landscape, diagnose, ui, doctor, calibrate):
    name = module.__name__.rpartition(".")[2]
    app.command(name.removesuffix("_agent"), epilog=module.EPILOG)(getattr(module, name))


@app.callback(epilog="Experiments, parameters and results are DVC's: see `dvc exp --help` and the README.")
def dpg() -> None:
    """A laboratory for deep policy gradient methods.

    Run commands from the project's root, where `params.yaml` and `dvc.yaml` are.
    """


def main() -> None:
    """Run the command line."""
    run(app, "dpg")
