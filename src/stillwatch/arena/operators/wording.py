"""What an operator sends: the template of each objective, and where in the request it stands."""

from __future__ import annotations

from dataclasses import dataclass

from stillwatch.arena.draws import key_of
from stillwatch.arena.recipe import Operator, RecipeError
from stillwatch.arena.text.source import Slot, Template
from stillwatch.arena.world import World

_SEED_STYLES: dict[str, tuple[str, int, int]] = {
    # what fills the slot of a template that is given as text: style, fewest and most sentences
    "data_analysis": ("data", 4, 9),
    "coding_drill": ("code", 2, 6),
    "maths_drill": ("maths", 2, 4),
    "safe_rewriting": ("politics", 2, 5),
    "refusal_probing": ("risky", 1, 2),
}


@dataclass(frozen=True, slots=True)
class Work:
    """Columns of the plan that the template decides."""

    template: int
    system: int
    request: int
    tools: int


def works(world: World, operator: Operator) -> list[Work]:
    """One for each objective."""
    chosen = [_template(world, operator, objective) for objective in operator.objectives]
    return [_place(world, operator, template) for template in chosen]


def _template(world: World, operator: Operator, objective: str) -> Template:
    """The operator's template for an objective."""
    if operator.prompt:
        style, low, high = _SEED_STYLES.get(objective, ("prose", 2, 5))
        name = f"{operator.name}-{objective}"
        return Template(name, objective, "en", ((operator.prompt,), "\n\n", Slot(style, low, high)))
    kind = "plain" if operator.mimic == "objective" else objective
    candidates = world.source.of_kind(kind, operator.language)
    if not candidates:
        languages = sorted({template.language for template in world.source.of_kind(kind)})
        raise RecipeError(
            f"language: text source {world.source.name!r} has no template for {kind} in "
            f"{operator.language!r}; it has {', '.join(languages)}"
        )
    return candidates[key_of(world.recipe.seed, operator.name, objective) % len(candidates)]


def _place(world: World, operator: Operator, template: Template) -> Work:
    """Frames for the template at its position, in its venue."""
    segments = world.template_segments(template, seeds=True)
    number = world.template(f"{operator.name}:{template.template_id}")
    if operator.venue != "direct":
        system, tools = _venue(world, operator)
        return Work(number, system, world.shelf.frame(*(segment for segment, _ in segments)), tools)
    sentences = [segment for segment, is_sentence in segments if is_sentence]
    moved = {"user": 0, "system": len(sentences), "split": (len(sentences) + 1) // 2}[operator.position]
    above = sentences[:moved]
    below = [segment for segment, is_sentence in segments if not is_sentence or segment not in above]
    system = world.shelf.frame(*above) if above else -1
    return Work(number, system, world.shelf.frame(*below), -1)


def _venue(world: World, operator: Operator) -> tuple[int, int]:
    """System prompt and tools of the place that the operator works in."""
    if operator.venue == "reseller":
        return world.reseller_system, -1
    if operator.venue == "agent" and world.agent_frames:
        return world.agent_frames[key_of(operator.name) % len(world.agent_frames)]
    if operator.venue == "client" and world.client_frames:
        return world.client_frames[key_of(operator.name) % len(world.client_frames)], -1
    raise RecipeError(f"venue: {operator.venue!r} needs an innocent population of that kind, there is none")
