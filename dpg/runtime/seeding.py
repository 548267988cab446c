"""One tree of named random streams.

Every random number of an experiment comes from a node of this tree, named after its purpose
(`Seed(0) / "train" / "Hopper-v4" / "ppo" / "agent=3" / "iteration=17"`). A node's numbers depend on the root and the
name alone: not on what else ran, in which order, or on how many workers. No global generator is used.
"""

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Seed:
    """A node of the tree: a root integer and a path of names."""

    root: int
    path: tuple[str, ...] = ()

    def __truediv__(self, name: str | int) -> "Seed":
        """The child called `name`."""
        return Seed(self.root, (*self.path, str(name)))

    def __str__(self) -> str:
        return f"seed {self.root}: {'/'.join(self.path)}"

    def _sequence(self) -> np.random.SeedSequence:
        # Names are joined by a character that none of them contains, so that ("a", "bc") and ("ab", "c") differ.
        digest = hashlib.blake2b("\0".join(self.path).encode(), digest_size=16).digest()
        words = np.frombuffer(digest, dtype="<u4")
        return np.random.SeedSequence(self.root, spawn_key=tuple(int(word) for word in words))

    def generator(self) -> np.random.Generator:
        """A new generator for this node."""
        return np.random.Generator(np.random.PCG64(self._sequence()))

    def integer(self) -> int:
        """An integer in [0, 2^31), for libraries that take one as their seed."""
        return int(self._sequence().generate_state(1)[0] >> 1)
