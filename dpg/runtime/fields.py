"""The kinds of values in `params.yaml`, each with what is allowed, and the base of its sections."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

ALL = "all"  # among tasks or algorithms: each of them


def _numeral_to_number(value: object) -> object:
    """YAML 1.1 readers take `1e-05`, which DVC writes, for a string: read such numerals as numbers."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def a_list(example: str) -> BeforeValidator:
    """Take a list for a tuple, and refuse what is neither."""

    def convert(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise PydanticCustomError("list", "must be a list, such as {example}", {"example": example})
        return tuple(value)

    return BeforeValidator(convert)


def all_or_a_list(example: str) -> BeforeValidator:
    """Take a list for a tuple, and `all` for that of it; refuse what is neither."""

    def convert(value: object) -> tuple[Any, ...]:
        if value == ALL:
            return (ALL,)
        if not isinstance(value, list | tuple):
            raise PydanticCustomError("list", "must be all or a list, such as {example}", {"example": example})
        return tuple(value)

    return BeforeValidator(convert)


def increasing(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse entries that do not increase."""
    if list(values) != sorted(set(values)):
        raise PydanticCustomError("increasing", "must increase from each entry to the next")
    return values


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse an entry that is there twice."""
    if len(set(values)) != len(values):
        raise PydanticCustomError("distinct", "must not name an entry twice")
    return values


def _gymnasium_id(value: str) -> str:
    # It names folders and DVC stages. Whether there is such a task, `stages.params` finds out by making it.
    if ":" in value:
        raise PydanticCustomError("env", "must not name a module: name it in `modules`, and here the id alone")
    if not re.fullmatch(r"(\w[\w-]*/)?\w[\w.-]*", value):
        allowed = (
            "must be a Gymnasium id of letters, digits, _, - and ., with a namespace or not: Hopper-v4, mine/Task-v0"
        )
        raise PydanticCustomError("env", allowed)
    return value


def in_separate_folders(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a task whose folder would contain another's: `mine` and `mine/Task-v0`."""
    for value in values:
        if (namespace := value.partition("/")[0]) != value and namespace in values:
            message = "must not hold both {namespace} and {value}: the folder of one would lie in that of the other"
            raise PydanticCustomError("folders", message, {"namespace": namespace, "value": value})
    return values


Real = Annotated[float, BeforeValidator(_numeral_to_number), Field(allow_inf_nan=False)]
# Single precision holds their squares and the inverses of these.
LEAST, MOST = 1e-15, 1e15
Positive = Annotated[Real, Field(gt=0), Field(ge=LEAST, le=MOST)]
NonNegative = Annotated[Real, Field(ge=0, le=MOST)]
Fraction = Annotated[Real, Field(gt=0, le=1)]
Discount = Annotated[Real, Field(ge=0, lt=1)]
# No experiment has more of anything; beyond it, arrays no longer fit into memory.
MOST_COUNT = 10**9
MOST_GRID = 200  # points along one axis: all policies of a grid are in memory together
Count = Annotated[int, Field(ge=1, le=MOST_COUNT)]
AtLeastTwo = Annotated[int, Field(ge=2, le=MOST_COUNT)]
AtLeastThree = Annotated[int, Field(ge=3, le=MOST_COUNT)]
GridPoints = Annotated[int, Field(ge=2, le=MOST_GRID)]
Sizes = Annotated[tuple[AtLeastTwo, ...], a_list("[1000, 2000]"), AfterValidator(increasing), Field(min_length=1)]
Hidden = Annotated[tuple[Annotated[int, Field(ge=1, le=65_536)], ...], a_list("[64, 64]")]
Bounded = Annotated[Real, Field(ge=-MOST, le=MOST)]
Range = Annotated[tuple[Bounded, Bounded], a_list("[0.0, 3.0]"), AfterValidator(increasing)]
EnvId = Annotated[str, AfterValidator(_gymnasium_id)]


# Whether a value agrees with others, its dotted name within the section, the value, and what is allowed.
Rule = tuple[bool, str, object, str]


class ParamsSection(BaseModel):
    """A section of `params.yaml`: frozen, strict about types, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def _rules(self) -> Iterator[Rule]:
        """What must hold between values; one rule may rely on those before it."""
        yield from ()

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        for right, name, value, allowed in self._rules():
            if not right:
                text = str(list(value) if isinstance(value, tuple) else value)
                raise PydanticCustomError("mismatch", "{allowed}", {"allowed": allowed, "name": name, "value": text})
        return self
