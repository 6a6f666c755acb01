from acoustic_calls import ACCOUNT, TOKEN_FORM

from mainstem.sandbox.acoustic.tokens import Tokens


class Watch:
    """Machine time that stands until it is set."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_young_token_is_answered_again_with_what_is_left_of_it() -> None:
    watch = Watch()
    tokens = Tokens(ACCOUNT, watch)
    first = tokens.grant(TOKEN_FORM)
    watch.seconds += 10_799
    again = tokens.grant(TOKEN_FORM)
    assert (first["expires_in"], again["expires_in"]) == (14_400, 3601)
    assert first["access_token"] == again["access_token"]


def test_after_three_hours_a_second_token_is_good_beside_the_first() -> None:
    watch = Watch()
    tokens = Tokens(ACCOUNT, watch)
    first = tokens.grant(TOKEN_FORM)["access_token"]
    watch.seconds += 10_800
    second = tokens.grant(TOKEN_FORM)["access_token"]
    assert first != second
    assert tokens.accepts(f"Bearer {first}")
    assert tokens.accepts(f"bearer {second}")


def test_a_token_ends_after_four_hours() -> None:
    watch = Watch()
    tokens = Tokens(ACCOUNT, watch)
    token = tokens.grant(TOKEN_FORM)["access_token"]
    watch.seconds += 14_399
    assert tokens.accepts(f"Bearer {token}")
    watch.seconds += 1
    assert not tokens.accepts(f"Bearer {token}")


def test_only_the_bearer_scheme_counts() -> None:
    tokens = Tokens(ACCOUNT)
    token = tokens.grant(TOKEN_FORM)["access_token"]
    assert not tokens.accepts(f"Basic {token}")
    assert not tokens.accepts(f"{token}")
    assert not tokens.accepts("")
