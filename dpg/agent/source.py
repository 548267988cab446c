"""Where an agent comes from that was trained by other code, and which parts of it are not known."""

from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict

Part = Literal["value_net", "return_normalizer", "policy_adam", "value_adam", "policy_update", "value_update"]
PARTS: tuple[Part, ...] = get_args(Part)

DESCRIPTIONS: dict[Part, str] = {
    "value_net": "the value net",
    "return_normalizer": "the statistics that scaled the rewards",
    "policy_adam": "the state of the policy's optimizer",
    "value_adam": "the state of the value net's optimizer",
    "policy_update": "the settings of the policy update",
    "value_update": "the settings of the value fit",
}


class Source(BaseModel):
    """The files that an agent was read from, by whom it was trained, and what reading it took for granted.

    `files` maps names to SHA-256 digests; the first file holds the networks. `algorithm` is the library's name for it.
    `assumed` are short lines: what the files do not say, and what measurements decided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, str]
    library: str
    version: str
    algorithm: str
    assumed: tuple[str, ...] = ()

    def assuming(self, *lines: str) -> Self:
        """The same with more that is taken for granted."""
        return self.model_copy(update={"assumed": (*self.assumed, *lines)})

    def __str__(self) -> str:
        return " ".join(part for part in (self.algorithm or "an agent", "by", self.library, self.version) if part)
