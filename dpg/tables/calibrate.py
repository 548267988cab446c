"""The table of `calibrate`."""

from typing import Annotated

from dpg.tables.table import Section, TableScope, table


@table("calibrate/calibration.csv", Section.FURTHER, per="check of an estimator", scope=TableScope.PIPELINE)
class Check:
    """Every estimator against a known answer ([known_answers.md](known_answers.md)), in `data/calibrate`."""

    name: Annotated[str, "-", "the estimator, and what is done to it where it is broken on purpose"]
    truth: Annotated[float, "of the estimate", "the closed form"]
    estimate: Annotated[float, "of the estimate", "what was measured"]
    standard_error: Annotated[float, "of the estimate", "its standard error"]
    z: Annotated[float, "-", "the normal score of the distance; 4 or more rejects"]
    passed: Annotated[bool, "-", "not rejected"]
    broken: Annotated[bool, "-", "broken on purpose: must be rejected"]

    @property
    def as_expected(self) -> bool:
        """A sound estimator passes, a broken one is rejected."""
        return self.passed != self.broken
