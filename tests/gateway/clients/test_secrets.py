"""Hashes of client secrets: their cost, and the work of a comparison."""

from contextlib import closing
from typing import Literal

import pytest
from argon2 import PasswordHasher
from tiny_gateway import CHEAP

from mainstem.gateway.clients.secrets import Comparison, hash_secret


class CountingHasher(PasswordHasher):
    """Argon2 at its least cost, with a count of its comparisons."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.comparisons = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 -- argon2's name
        self.comparisons += 1
        return super().verify(hash, password)


def test_secret_is_hashed_by_argon2id_at_the_cost_that_owasp_names() -> None:
    assert hash_secret("secret").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("live", [0, 1, 2])
async def test_wrong_secret_costs_two_comparisons_whatever_secrets_are_live(live: int) -> None:
    hasher = CountingHasher()
    with closing(Comparison(hasher)) as comparison:
        hashes = [CHEAP.hash(f"secret-{number}") for number in range(live)]
        assert await comparison.find("wrong", hashes) is None
    assert hasher.comparisons == 2
