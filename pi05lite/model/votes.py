"""Several answers to one prompt, so that what most of them say can be told.

An answer tells boxes before words (pi0.5, section IV-C), and a side of a box is known to some bins,
among which its share is split. To take the likeliest id each time would therefore take a word,
where a box is more likely than any word, or the sharpest box of several. So boxes are drawn, and
words that differ in boxes alone count together.
"""

import torch


class Spread:
    """What `Pi05.generate` calls with samples=votes to choose ids.

    Whether a number comes, and which, is drawn from the model's shares; of words the likeliest is
    taken. Draws are the middles of as many equal shares as there are votes, in another order at
    each token: the same for every prompt, whatever stands beside it.

    numbers: first and end of the ids that tell numbers.
    """

    def __init__(self, votes, numbers, limit):
        self.votes, self.numbers = votes, slice(*numbers)
        chance = torch.Generator().manual_seed(0)
        orders = [torch.randperm(votes, generator=chance) for _ in range(limit)]
        self.draws = (torch.stack(orders) + 0.5) / votes  # (limit, votes)

    def __call__(self, logits, step):
        """The next ids (B * votes,) from logits (B * votes, V), at a step of the answer."""
        shares = logits.float().softmax(dim=-1)
        numbers = shares[:, self.numbers]
        a_word = 1 - numbers.sum(-1, keepdim=True)
        until = torch.cat([a_word, numbers], dim=-1).cumsum(-1)
        draws = self.draws[step].to(until).repeat(len(logits) // self.votes)
        drawn = (until < draws[:, None]).sum(-1).clamp(max=numbers.shape[1])  # 0: a word
        shares[:, self.numbers] = 0
        return torch.where(drawn == 0, shares.argmax(-1), self.numbers.start + drawn - 1)
