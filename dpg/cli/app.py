"""The `dpg` command: registers the commands of the other modules and prints user errors.

A command imports what it needs beyond typer and rich when it is called, which keeps `dpg --help` fast.
"""

import sys

import typer

from dpg.cli import calibrate, claims, diagnose, doctor, import_agent, landscape, plan, repro, show, ui, watch
from dpg.runtime.console import configure_process
from dpg.runtime.errors import UserError

app = typer.Typer(
    name="dpg",
    help="A laboratory for deep policy gradient methods.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    # A defect keeps its plain traceback, which can be searched for and pasted.
    pretty_exceptions_enable=False,
)
app.command(epilog=repro.EPILOG)(repro.repro)
app.command(epilog=plan.EPILOG)(plan.plan)
app.command(epilog=claims.EPILOG)(claims.claims)
app.command(epilog=show.EPILOG)(show.show)
app.command("import", epilog=import_agent.EPILOG)(import_agent.import_agent)
app.command(epilog=watch.EPILOG)(watch.watch)
app.command(epilog=landscape.EPILOG)(landscape.landscape)
app.command(epilog=diagnose.EPILOG)(diagnose.diagnose)
app.command(epilog=ui.EPILOG)(ui.ui)
app.command(epilog=doctor.EPILOG)(doctor.doctor)
app.command(epilog=calibrate.EPILOG)(calibrate.calibrate)


@app.callback(epilog="Experiments, parameters and results are DVC's: see `dvc exp --help` and the README.")
def dpg() -> None:
    """A laboratory for deep policy gradient methods.

    Run commands from the project's root, where `params.yaml` and `dvc.yaml` are.
    """


def main() -> None:
    """Run the command line; a `UserError` is printed as one message, with exit code 1."""
    configure_process()
    try:
        app(prog_name="dpg")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
