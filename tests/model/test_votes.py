import pytest
import torch

from pi05lite.model.votes import Spread

NUMBERS = (2, 6)


def votes_for(shares, votes=8, step=0):
    """The ids that a row of these shares gets, sorted."""
    choose = Spread(votes, NUMBERS, 5)
    return sorted(choose(torch.tensor([shares]).log().repeat(votes, 1), step).tolist())


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("shares, expected", [
    # a word at 0.375, likelier than each number: as many votes as its share, the rest spread
    ((0.375, 0.0, 0.125, 0.25, 0.125, 0.125), [0, 0, 0, 2, 3, 3, 4, 5]),
    # words count together whether one comes at all, and the likeliest of them is taken
    ((0.25, 0.375, 0.0, 0.25, 0.125, 0.0), [1, 1, 1, 1, 1, 3, 3, 4]),
    ((0.5, 0.5, 0.0, 0.0, 0.0, 0.0), [0] * 8),
    ((0.0, 0.0, 0.0, 1.0, 0.0, 0.0), [3] * 8),
])
def test_votes_fall_by_shares_of_numbers_and_to_the_likeliest_word(shares, expected, step):
    assert votes_for(shares, step=step) == expected


def test_draws_are_the_same_for_every_row_and_apart_at_every_token():
    choose = Spread(8, NUMBERS, 5)
    logits = torch.tensor([[0.0, 0.0, 0.25, 0.25, 0.25, 0.25]]).log().repeat(24, 1)
    rows = [choose(logits, step).view(3, 8) for step in range(5)]
    assert all((row == row[0]).all() for row in rows)
    assert len({tuple(row[0].tolist()) for row in rows}) == 5
    again = Spread(8, NUMBERS, 5)
    assert all(torch.equal(again(logits, step).view(3, 8), row) for step, row in enumerate(rows))


def test_rounding_never_leads_past_the_last_number():
    shares = torch.full((1, 6), 1e-9)
    shares[0, 5] = 1
    logits = shares.log().repeat(10_001, 1)
    assert set(Spread(10_001, NUMBERS, 1)(logits, 0).tolist()) <= {0, 1, 5}
