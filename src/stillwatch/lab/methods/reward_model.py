"""A reward model from graded replies (Christiano et al. 2017; Ouyang et al. 2022, equation 1).

Grades of a rubric are ordinal, so only their order is used, as preferences of Bradley & Terry (1952):
``L = - mean over pairs with g_i > g_j of log sigmoid(r(x, y_i) - r(x, y_j))``, all pairs of one prompt together in
one batch as in Ouyang et al. Grades by a model instead of people: Bai et al. 2022, Lee et al. 2024 (RLAIF). Shapes:
scores and grades [S, B, K].
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from stillwatch.lab.methods.graded import Graded
from stillwatch.lab.model import Model, Parameters, Shape, scores
from stillwatch.lab.training import Fitted, Plan, fit, generators, picks


def pairwise_loss(scored: Tensor, grades: Tensor) -> Tensor:
    """Mean over the pairs whose grades differ; zero for a seed without such a pair: -> [S]."""
    ahead = scored[..., :, None] - scored[..., None, :]
    better = grades[..., :, None] > grades[..., None, :]
    each = -functional.logsigmoid(ahead) * better
    return each.sum(dim=(1, 2, 3)) / better.sum(dim=(1, 2, 3)).clamp(min=1)


def pairwise_accuracy(scored: Tensor, grades: Tensor) -> Tensor:
    """Share of the pairs with different grades that the scores put in the right order: -> [S]."""
    better = grades[..., :, None] > grades[..., None, :]
    right = (scored[..., :, None] > scored[..., None, :]) & better
    return right.sum(dim=(1, 2, 3)) / better.sum(dim=(1, 2, 3)).clamp(min=1)


def scores_of(model: Model, graded: Graded) -> Tensor:
    """A reward model's scores of graded replies: -> [S, B, K]."""
    seeds, rows, each, length = graded.replies.shape
    prompts = graded.prompts.repeat_interleave(each, dim=1)
    return scores(model, prompts, graded.replies.reshape(seeds, rows * each, length)).view(seeds, rows, each)


def train_reward_model(policy: Model, graded: Graded, seeds: tuple[int, ...], plan: Plan) -> Fitted:
    """Fit a reward model that starts as the policy with a head that scores; a tenth is held out to choose the state."""
    start = with_scores(policy)
    count = max(1, len(graded) - max(2, len(graded) // 10))
    held_out = graded.rows(torch.arange(count, len(graded)).expand(len(seeds), -1))
    sources = generators(seeds, 21)

    def loss(model: Model, step: int) -> Tensor:
        del step
        rows = graded.rows(picks(sources, count, min(plan.rows, count)))
        return pairwise_loss(scores_of(model, rows), rows.grades)

    return fit(start, loss, plan, lambda model: pairwise_loss(scores_of(model, held_out), held_out.grades))


def with_scores(policy: Model) -> Model:
    """The same model with a head that gives one number a position, zero at first."""
    shape = Shape(
        policy.shape.words, policy.shape.width, policy.shape.layers, policy.shape.heads, scores=True
    )
    parameters: Parameters = dict(policy.copy().parameters)
    embedding = parameters["embedding"]
    parameters["score"] = torch.zeros(len(embedding), shape.width, dtype=embedding.dtype)
    return Model(shape, parameters)
