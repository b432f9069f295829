"""Programs that put their own prompt before every request: clients, agents, integrators, vendors."""

from __future__ import annotations

import json

import numpy as np

from stillwatch.arena.draws import Integers, combine, key_of, unit
from stillwatch.arena.frames import POOL, Segment
from stillwatch.arena.people import Group
from stillwatch.arena.plan import Plan
from stillwatch.arena.populations.chat import Menu, converse, menu, spaced, split
from stillwatch.arena.render import NARROW
from stillwatch.arena.world import Sessions, World


def system_prompts(
    world: World, count: int, low: int, high: int, *name: object, narrow: bool = True
) -> list[str]:
    """System prompts of products that do not exist, each in its own domain."""
    segments = [world.passage("product", "en", 1, 1), world.passage("rule", "en", low, high)]
    return world.compose(segments, count, "system", *name, narrow=narrow)


def clients(world: World, count: int, total: float) -> list[Plan]:
    """Users of public clients: one system prompt, many accounts, own data and much that everybody asks."""
    number = max(1, count // 12)
    who = world.people.add(Group("client", client="library"), count)
    plans = []
    groups = split(who, number, 8, world.generator("client", "groups"))
    prompts = system_prompts(world, len(groups), 3, 8, "client")
    count_asked = 40
    asked = world.compose(
        [world.shelf.passage("question:en", 1, 1)], len(groups) * count_asked, "asked", narrow=True
    )
    # Users of some clients ask what everybody asks; of others they never collide.
    usual = np.clip(unit(world.keys(len(groups), "usual")) * 1.3 - 0.3, 0.0, 0.9)
    eager = world.a_third(len(groups), "client")
    for index, (members, prompt) in enumerate(zip(groups, prompts, strict=True)):
        volumes = world.volumes(len(members), total * len(members) / count, 1.1, "client", index)
        rows = world.sessions(members, volumes, "client", index)
        own = asked[index * count_asked : (index + 1) * count_asked]
        offer = customer_menu(world, own, float(usual[index]))
        world.client_frames.append(world.shelf.fixed(prompt))
        if eager[index]:
            world.move_at_release(members, "client", index)
        plans.append(
            converse(
                *(world, "client", rows, offer),
                system=world.client_frames[-1],
                template=world.template(f"client-{index}"),
            )
        )
    return plans


def agent_menu(world: World) -> Menu:
    """What the sessions of an agent consist of: a task, then results of the tools it called."""
    shelf = world.shelf
    task = shelf.frame(world.passage("question", "en", 1, 2), world.passage("prose", "en", 0, 2))
    with_code = shelf.frame(
        world.passage("question", "en", 1, 1), shelf.choice(["\n"]), world.passage("code", "en", 2, 6)
    )
    result = shelf.frame(world.passage("result", "en", 1, 5))
    listing = shelf.frame(world.passage("code", "en", 2, 8))
    call = shelf.frame(world.passage("tool", "en", 1, 2))
    answer = shelf.frame(world.passage("prose", "en", 1, 3), world.passage("tool", "en", 1, 1))
    return Menu([task, with_code], [0.6, 0.4], [result, listing], [0.6, 0.4], [call, answer], [0.6, 0.4])


def tool_definitions(world: World, *name: object) -> list[str]:
    """Schemas of an agent's tools."""
    words = [topic.verbs[0].split()[0] for topic in world.source.topics["en"]]
    nouns = [topic.nouns[0].replace(" ", "_") for topic in world.source.topics["en"]]
    generator = world.generator("tools", *name)
    schemas = []
    for _ in range(int(generator.integers(3, 9))):
        verb, noun, other = generator.choice(words), generator.choice(nouns), generator.choice(nouns)
        properties = {
            str(noun): {"type": "string"},
            "limit": {"type": "integer"},
            str(other): {"type": "boolean"},
        }
        function = {
            "name": f"{verb}_{noun}",
            "description": f"{str(verb).capitalize()} the {str(noun).replace('_', ' ')}; returns rows.",
            "parameters": {"type": "object", "properties": properties, "required": [str(noun)]},
        }
        schemas.append(json.dumps({"type": "function", "function": function}))
    return schemas


def agent_turns(world: World, principals: Integers, volumes: Integers, *name: object) -> Sessions:
    """Sessions of agents are longer than chats: three times the turns."""
    count = np.maximum(1, np.round(volumes / 5)).astype(np.int64)
    owner = np.repeat(np.arange(len(principals)), count)
    key = world.keys(len(owner), "agent", *name)
    turns = np.minimum(2 + 3 * world.rhythm.turns(combine(key, 1)), 24)
    begins = world.rhythm.people(world.people.habits(), principals[owner], key)
    return world.session_rows(principals[owner], begins, turns, key)


def agents(world: World, count: int, total: float) -> list[Plan]:
    """Users of coding and office agents with a long shared prompt and tool schemas."""
    offer = agent_menu(world)
    who = world.people.add(Group("agent", client="library", weekend=(0.2, 0.8)), count)
    groups = split(who, max(1, count // 20), 8, world.generator("agent", "groups"))
    prompts = system_prompts(world, len(groups), 12, 22, "agent", narrow=False)
    plans = []
    for index, (members, prompt) in enumerate(zip(groups, prompts, strict=True)):
        world.tools.append(tool_definitions(world, index))
        volumes = world.volumes(len(members), total * len(members) / count, 1.0, "agent", index)
        rows = agent_turns(world, members, volumes, index)
        plans.append(
            converse(
                *(world, "agent", rows, offer),
                system=world.shelf.fixed(prompt),
                template=world.template(f"agent-{index}"),
                tools=len(world.tools) - 1,
                role=rows.turn > 0,
                conversation=rows.shown(0.8),
            )
        )
        world.agent_frames.append((world.shelf.fixed(prompt), len(world.tools) - 1))
    return plans


def firm(world: World, *name: object) -> int:
    """Vocabulary of a firm: one topic and its own names."""
    return NARROW + key_of(world.recipe.seed, "firm", *name) % (1 << 30)


def customer_menu(world: World, questions: list[str], usual: float) -> Menu:
    """What customers of a firm write: the usual questions, and some in their own words."""
    shelf = world.shelf
    base = menu(world, popular=0.0)
    much_asked = [" " + question for question in questions] + spaced(world, "popular", "en")[::3]
    asked = shelf.frame(shelf.pool(much_asked, 1.8))
    own = shelf.frame(world.passage("question", "en", 1, 1), world.passage("prose", "en", 0, 2))
    if world.prompts[1]:
        own = shelf.frame(Segment(POOL, *world.prompts, low=120))
    stock = shelf.frame(shelf.pool(spaced(world, "follow_ups", "en"), 1.6))
    return Menu(
        [asked, own],
        [usual, 1 - usual],
        [asked, own, stock],
        [0.6 * usual, 0.8 - 0.6 * usual, 0.2],
        base.replies,
        base.reply_shares,
    )


def program_rows(world: World, principal: Integers, volumes: Integers, *name: object) -> Sessions:
    """Single requests of programs, in the weeks of real clients."""
    owner = np.repeat(np.arange(len(principal)), volumes)
    key = world.keys(len(owner), "program", *name)
    client = (combine(principal.astype(np.uint64), 41) % np.uint64(world.rhythm.clients)).astype(np.int64)
    at = world.rhythm.programs(client[owner], key)
    return world.session_rows(principal[owner], at, np.ones(len(owner), dtype=np.int64), key)


def integrators(world: World, count: int, total: float) -> list[Plan]:
    """Firms with one key, an own system prompt, and customers who ask what customers ask."""
    group = Group("integrator", client="library", network="cloud", organization="each")
    who = world.people.add(group, count)
    prompts = system_prompts(world, count, 3, 9, "integrator")
    volumes = world.volumes(count, total, 1.2, "integrator")
    questions = world.compose([world.shelf.passage("question:en", 1, 1)], count * 25, "faq", narrow=True)
    eager = world.a_third(count, "integrator")
    plans = []
    for index in range(count):
        if eager[index]:
            world.move_at_release(who[index : index + 1], "integrator", index)
        offer = customer_menu(world, questions[index * 25 : index * 25 + 25], 0.45)
        rows = program_rows(world, who[index : index + 1], volumes[index : index + 1], "integrator", index)
        plans.append(
            converse(
                *(world, "integrator", rows, offer),
                system=world.shelf.fixed(prompts[index]),
                template=world.template(f"integrator-{index}"),
                profile=firm(world, "integrator", index),
            )
        )
    return plans


def reseller(world: World, count: int, total: float) -> list[Plan]:
    """One key that serves very many end users, who chat."""
    group = Group("reseller", client="library", network="cloud", organization="each")
    key_holder = int(world.people.add(group, 1)[0])
    account = world.people.account_of(key_holder)
    world.reseller_account = account
    who = world.people.add_end_users(Group("reseller-user", weekend=(0.6, 1.3)), account, count)
    volumes = world.volumes(count, total, 1.2, "reseller")
    rows = world.sessions(who, volumes, "reseller")
    prompt = world.shelf.fixed(system_prompts(world, 1, 2, 3, "reseller", narrow=False)[0])
    world.reseller_system = prompt
    with_prompt = unit(combine(rows.key, 51)) < 2.0
    return [
        converse(
            *(world, "reseller", rows, menu(world, popular=0.2)),
            system=np.where(with_prompt, prompt, -1),
            template=world.template("reseller-0"),
        )
    ]


def tenants(world: World, count: int, total: float) -> list[Plan]:
    """Vendors whose product sends two or three prompts of its own from every tenant's account."""
    group = Group("tenant", client="library", network="cloud", organization="each", opened=(-300.0, -5.0))
    who = world.people.add(group, count)
    plans = []
    groups = split(who, max(1, count // 13), 8, world.generator("tenant", "groups"))
    eager = world.a_third(len(groups), "tenant")
    for index, members in enumerate(groups):
        if eager[index]:
            world.move_at_release(members, "tenant", index)
        steps = 2 + index % 2
        prompts = system_prompts(world, steps, 2, 5, "tenant", index)
        for step, prompt in enumerate(prompts):
            share = total * len(members) / count / steps
            volumes = world.volumes(len(members), share, 0.9, "tenant", index)
            rows = world.sessions(members, volumes, "tenant", index, step)
            firms = np.array([firm(world, "tenant", int(member)) for member in members])
            place = np.searchsorted(np.sort(members), rows.principal)
            plans.append(
                converse(
                    *(world, "tenant", rows, menu(world, popular=0.0)),
                    system=world.shelf.fixed(prompt),
                    template=world.template(f"tenant-{index}-{step}"),
                    profile=firms[np.argsort(members)][place],
                )
            )
    return plans
