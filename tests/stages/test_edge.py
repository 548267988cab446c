"""How a stage fails."""

import pytest

from dpg.runtime.errors import UserError
from stages import edge


def test_what_a_user_can_mend_is_one_message_and_exit_code_1(monkeypatch, capsys):
    def main() -> None:
        raise UserError("ppo.lr = -1: must be positive")

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(SystemExit) as stopped:
        edge.run(main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: ppo.lr = -1: must be positive\n"


def test_a_defect_keeps_its_traceback(monkeypatch):
    def main() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(ZeroDivisionError):
        edge.run(main)
