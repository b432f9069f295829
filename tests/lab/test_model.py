"""The stacked model: seeds do not touch each other, and a cache changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stillwatch.lab.methods.imitation import imitation_loss
from stillwatch.lab.model import (
    Sampling,
    Shape,
    draw,
    generate,
    hidden,
    initial,
    logits,
    reply_logits,
    word_logits,
)
from stillwatch.lab.training import Plan, fit, generators, picks, rows_of
from stillwatch.lab.world import END, PAD

SHAPE = Shape(words=23, width=16, layers=2)


def some_tokens(seeds, rows, length):
    return torch.from_numpy(np.random.default_rng(5).integers(END + 1, SHAPE.words, (seeds, rows, length)))


def test_a_seed_has_the_same_numbers_alone_and_in_a_stack():
    prompts, replies = some_tokens(3, 8, 5), some_tokens(3, 8, 4)

    def trained(chosen):
        seeds = [11, 12, 13]
        sources = generators([seeds[place] for place in chosen], 1)

        def loss(model, step):
            rows = picks(sources, 8, 4)
            asked, said = rows_of(prompts[chosen], rows), rows_of(replies[chosen], rows)
            return imitation_loss(reply_logits(model, asked, said), said, torch.ones_like(said))

        start = initial(SHAPE, [seeds[place] for place in chosen], torch.float64)
        return fit(start, loss, Plan(steps=12)).model

    together, alone = trained([0, 1, 2]), trained([1])
    for name, value in alone.parameters.items():
        torch.testing.assert_close(together.parameters[name][1:2], value, rtol=0, atol=1e-9)


def test_reading_word_by_word_with_a_cache_gives_the_logits_of_reading_at_once():
    model = initial(SHAPE, [1, 2], torch.float64)
    tokens = some_tokens(2, 3, 7)
    tokens[:, 1, :3] = PAD
    whole = logits(model, tokens)
    cache, parts = [], []
    for stop in range(1, 8):
        state = hidden(model, tokens[:, :, stop - 1 : stop], cache, tokens[:, :, :stop] != PAD)
        parts.append(word_logits(model, state))
    real = (tokens != PAD)[..., None]
    torch.testing.assert_close(torch.cat(parts, dim=2) * real, whole * real, rtol=0, atol=1e-9)


def test_nobody_attends_padding_or_what_comes_later():
    model = initial(SHAPE, [1], torch.float64)
    tokens = some_tokens(1, 2, 7)
    tokens[:, :, :2] = PAD
    changed = tokens.clone()
    changed[:, :, -1] = END + 1
    torch.testing.assert_close(logits(model, tokens)[:, :, 2:-1], logits(model, changed)[:, :, 2:-1])
    assert not torch.allclose(logits(model, tokens)[:, :, -1], logits(model, changed)[:, :, -1])


def test_greedy_replies_are_the_most_likely_words_and_are_padded_after_their_end():
    model = initial(SHAPE, [1, 2])
    prompts = some_tokens(2, 40, 5)
    replies = generate(model, prompts, Sampling(6, 0.0), generators([1, 2], 3))
    best = reply_logits(model, prompts, replies).argmax(dim=3)
    ended = (replies == END).cumsum(dim=2) > 0
    after = ended & (replies != END)
    assert torch.equal(replies[~after], best[~after])
    assert (replies[after] == PAD).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_words_are_drawn_as_often_as_the_model_says(temperature):
    scored = torch.tensor([0.0, 1.0, 2.0, -1.0]).expand(1, 40_000, 4)
    drawn = draw(scored, temperature, generators([4], 9))
    seen = torch.bincount(drawn[0], minlength=4) / 40_000
    torch.testing.assert_close(seen, torch.softmax(scored[0, 0] / temperature, dim=0), rtol=0, atol=0.01)


def test_each_seed_ends_at_its_own_best_state_on_held_out_rows():
    start = initial(SHAPE, [1, 2])
    looks = iter([[3.0, 1.0], [1.0, 2.0], [2.0, 3.0], [2.0, 3.0]])
    states = []

    def held_out(model):
        states.append(model.copy())
        return torch.tensor(next(looks))

    def loss(model, step):
        return model.parameters["embedding"].square().sum(dim=(1, 2))

    fitted = fit(start, loss, Plan(steps=40, check_every=10, patience=2), held_out)
    assert fitted.steps == 40
    for name, value in fitted.model.parameters.items():
        assert torch.equal(value[0], states[1].parameters[name][0])
        assert torch.equal(value[1], states[0].parameters[name][1])
