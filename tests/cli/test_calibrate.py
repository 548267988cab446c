"""`dpg calibrate` says what is right, and what is not."""

import io

from rich.console import Console

from dpg.cli import calibrate
from dpg.tables.calibrate import Check

SOUND = Check("cosine", truth=1.0, estimate=1.1, standard_error=0.1, z=1.0, passed=True, broken=False)
REJECTED = Check("gamma dropped", truth=1.0, estimate=9.0, standard_error=0.1, z=80.0, passed=False, broken=True)


def printed(*checks: Check) -> list[str]:
    console = Console(width=120, file=io.StringIO())
    console.print(calibrate.table(checks))
    return console.file.getvalue().splitlines()


def test_what_came_out_as_it_should_is_not_shouted_about():
    text = "\n".join(printed(SOUND, REJECTED))
    assert "broken: gamma dropped" in text
    assert "NOT AS IT SHOULD BE" not in text
    assert calibrate.summary([SOUND, REJECTED]) == ("1 of 1 sound estimators passed, 1 of 1 broken ones were rejected.")


def test_a_sound_estimator_that_fails_and_a_broken_one_that_passes_stand_out():
    failed = Check("cosine", 1.0, 9.0, 0.1, 80.0, passed=False, broken=False)
    unnoticed = Check("gamma dropped", 1.0, 1.0, 0.1, 0.0, passed=True, broken=True)
    lines = printed(failed, unnoticed)
    assert any("rejected: NOT AS IT SHOULD BE" in line and "cosine" in line for line in lines)
    assert any("passed: NOT AS IT SHOULD BE" in line and "broken: gamma dropped" in line for line in lines)
    assert calibrate.summary([failed, unnoticed]).startswith("0 of 1 sound estimators passed, 0 of 1")
