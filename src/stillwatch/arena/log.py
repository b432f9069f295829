"""Plan -> exchange table and truth, a slice of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.arena.draws import Floats, Integers, Unsigned, below, combine, key_of, ragged, unit
from stillwatch.arena.people import COUNTRIES
from stillwatch.arena.plan import Array, Plan, rows_of
from stillwatch.arena.recipe import WITHHOLDABLE
from stillwatch.arena.render import Jobs, Renderer
from stillwatch.arena.rhythm import DAY
from stillwatch.arena.world import POPULATIONS, World
from stillwatch.exchange import EXCHANGE_SCHEMA

TRUTH_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("exchange_id", pa.string(), nullable=False),
        pa.field("account_id", pa.string(), nullable=False),
        pa.field("end_user_id", pa.string()),
        pa.field("population", pa.string(), nullable=False),
        pa.field("operator_id", pa.string()),
        pa.field("template_id", pa.string()),
        pa.field("extraction", pa.bool_(), nullable=False),
    ]
)
OLD_MODEL = "atlas-4"
_OCTETS = [str(octet) for octet in range(256)]
_MEAN_ADOPTION_DAYS = 14.0


class LogWriter:
    """Turns slices of a finished plan into Arrow batches."""

    def __init__(self, world: World, planned: Plan) -> None:
        self._world = world
        self._plan = planned
        self._order = np.argsort(planned["at"], kind="stable")
        self._renderer = Renderer(world.shelf.compile(), world.salt)
        self._accounts = _account_columns(world)
        self._tools = pa.array(world.tools or [[]], pa.list_(pa.string()))
        self._templates = pa.array(world.template_names or [""], pa.string())
        self._operators = pa.array([o.name for o in world.recipe.operators] or [""], pa.string())
        _adopt(world, planned)

    def slices(self) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """Exchanges and truth, in order of time."""
        step = self._world.recipe.slice_rows
        for first in range(0, rows_of(self._plan), step):
            yield self._slice(first, self._order[first : first + step])

    def _slice(self, first: int, rows: Integers) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        world = self._world
        planned = {name: values[rows] for name, values in self._plan.items()}
        count = len(rows)
        principal = planned["principal"].astype(np.int64)
        account = world.people.column("account")[principal]
        end_user = world.people.column("end_user")[principal]
        columns: dict[str, pa.Array] = {
            "exchange_id": _numbered("x-", np.arange(first, first + count), 9),
            "account_id": self._accounts["account_id"].take(pa.array(account)),
            "started_at": pa.array(planned["at"] + world.recipe.start_us, pa.timestamp("us", tz="UTC")),
            "end_user_id": _masked(_numbered("u-", end_user, 7), end_user == 0),
            "conversation_id": _masked(
                _numbered("c-", np.maximum(planned["conversation"], 0), 9), planned["conversation"] < 0
            ),
            "model": pa.array([OLD_MODEL, world.recipe.release.model]).take(
                pa.array(planned["new_model"].astype(np.int64))
            ),
            "tools": _optional(self._tools, planned["tools"]),
        }
        columns |= self._texts(rows, planned)
        columns |= self._identity(account, planned)
        columns |= _sampling(planned)
        hidden = {name for group in world.recipe.withhold for name in WITHHOLDABLE[group]}
        # A principal is named in the log as long as there are end users: the truth keeps it in any case.
        arrays = [
            pa.nulls(count, field.type)
            if field.name in hidden or field.name not in columns
            else columns[field.name].cast(field.type)
            for field in EXCHANGE_SCHEMA
        ]
        truth = [
            *(columns["exchange_id"], columns["account_id"], columns["end_user_id"]),
            pa.array(POPULATIONS).take(pa.array(planned["population"].astype(np.int64))),
            _optional(self._operators, planned["operator"]),
            _optional(self._templates, planned["template"]),
            pa.array(planned["extraction"]),
        ]
        return (
            pa.RecordBatch.from_arrays(arrays, schema=EXCHANGE_SCHEMA),
            pa.RecordBatch.from_arrays(truth, schema=TRUTH_SCHEMA),
        )

    def _texts(self, rows: Integers, planned: Plan) -> dict[str, pa.Array]:
        """Messages, completions and their billed lengths."""
        system = planned["system"].astype(np.int64)
        has_system = (system >= 0).astype(np.int64)
        kept = np.minimum(planned["turn"].astype(np.int64), self._world.recipe.history)
        owner, back = ragged(kept)
        # Turn t - kept .. t - 1 of the conversation are the rows just before in the plan.
        earlier = rows[owner] - kept[owner] + back
        turns, inverse = np.unique(np.concatenate([earlier, rows]), return_inverse=True)
        requests = self._render(turns, "request")
        replies = self._render(turns, "reply")
        with_system = np.flatnonzero(has_system)
        systems = self._render(rows[with_system], "system")
        texts = pa.concat_arrays([systems, requests, replies])
        counts = has_system + 2 * kept + 1
        starts = np.cumsum(counts) - counts
        index = np.empty(int(counts.sum()), dtype=np.int64)
        role = np.empty(len(index), dtype=np.int64)
        first_request, first_reply = len(with_system), len(with_system) + len(turns)
        index[starts[with_system]] = np.arange(len(with_system))
        role[starts[with_system]] = 0
        place = (starts + has_system)[owner] + 2 * back
        new_role = self._plan["role"]
        index[place] = first_request + inverse[: len(earlier)]
        role[place] = 1 + 2 * new_role[earlier]
        index[place + 1] = first_reply + inverse[: len(earlier)]
        role[place + 1] = 2
        last = starts + counts - 1
        index[last] = first_request + inverse[len(earlier) :]
        role[last] = 1 + 2 * planned["role"].astype(np.int64)
        contents = texts.take(pa.array(index))
        roles = pa.array(["system", "user", "assistant", "tool"]).take(pa.array(role))
        offsets = pa.array(np.concatenate([starts, [len(index)]]), pa.int32())
        messages = pa.ListArray.from_arrays(
            offsets, pa.StructArray.from_arrays([roles, contents], names=["role", "content"])
        )
        completion = replies.take(pa.array(inverse[len(earlier) :]))
        sizes = np.add.reduceat(pc.binary_length(contents).to_numpy(zero_copy_only=False), starts)
        return {
            "messages": messages,
            "completion": completion,
            "input_tokens": pa.array(sizes.astype(np.int64) // 4 + 3 * counts),
            "output_tokens": pc.add(pc.divide(pc.binary_length(completion), 4), 2),
        }

    def _render(self, rows: Integers, column: str) -> pa.Array:
        planned = self._plan
        salt = {"system": 1, "request": 2, "reply": 3}[column]
        filling = planned["filling_seed"][rows]
        return self._renderer.render(
            Jobs(
                frame=planned[column][rows].astype(np.int64),
                profile=planned["profile"][rows],
                wording_seed=combine(planned["wording_seed"][rows], salt),
                # A seed that is asked twice gets two different replies.
                filling_seed=filling if column != "reply" else combine(planned["wording_seed"][rows], 4),
                wordings=np.full(len(rows), 100)
                if column == "reply"
                else planned["wordings"][rows].astype(np.int64),
            )
        )

    def _identity(self, account: Integers, planned: Plan) -> dict[str, pa.Array]:
        """Organization, network, client and payment of every row."""
        take = pa.array(account)
        columns = {name: values.take(take) for name, values in self._accounts.items() if name != "account_id"}
        people = self._world.people
        system = people.column("system", account=True)[account].astype(np.int64)
        host = people.column("host", account=True)[account].astype(np.uint64)
        roams = people.column("roams", account=True)[account].astype(np.bool_)
        day: Unsigned = combine(host, planned["at"] // (DAY // 3))
        away = roams & (unit(day) < 0.4)
        # Mobile carriers: another address of the country's carrier every few hours.
        system = np.where(away, system - system % 24 + 23, system)
        host = np.where(away, day % np.uint64(4000), host)
        columns["asn"] = pa.array(system)
        columns["ip"] = _addresses(system, host)
        return columns


def _account_columns(world: World) -> dict[str, pa.Array]:
    """Columns of the log that depend on the account alone."""
    people = world.people
    count = people.accounts
    number = np.arange(count)
    seed = world.recipe.seed
    name = combine(np.full(count, np.uint64(key_of(seed, "account name"))), number)
    payment = people.column("payment", account=True).astype(np.uint64)
    agent = people.column("agent", account=True).astype(np.int64)
    browser = np.array([a.startswith("Mozilla") for a in people.agents] or [False])[agent]
    tls = combine(agent.astype(np.uint64), np.where(browser, below(combine(name, 3), 3), 0))
    organization = people.column("organization", account=True).astype(np.int64)
    opened = people.column("opened", account=True) + world.recipe.start_us
    countries = pa.array([row[0] for row in COUNTRIES])
    return {
        "account_id": pa.array([f"acct-{value:016x}" for value in name.tolist()], pa.string()),
        "organization_id": _optional(
            pa.array(people.organizations), np.where(organization > 0, organization, -1)
        ),
        "account_created_at": pa.array(opened, pa.timestamp("us", tz="UTC")),
        "country": countries.take(pa.array(people.column("country", account=True).astype(np.int64))),
        "user_agent": pa.array(people.agents, pa.string()).take(pa.array(agent)),
        "tls_fingerprint": pa.array(
            [f"t13d{value % 0xFFFFFFFFFF:010x}" for value in tls.tolist()], pa.string()
        ),
        "payment_fingerprint": pa.array([f"pm_{value:016x}" for value in payment.tolist()], pa.string()),
    }


def _adopt(world: World, planned: Plan) -> None:
    """Say who uses the new model: everybody after a while of their own, some at once."""
    count = world.people.principals
    key = combine(np.full(count, np.uint64(key_of(world.recipe.seed, "adoption"))), np.arange(count))
    wait: Floats = -np.log1p(-unit(key)) * _MEAN_ADOPTION_DAYS + 0.3
    since = ((world.recipe.release.day + wait) * DAY).astype(np.int64)
    for principal, moment in world.adoption.items():
        since[principal] = moment
    planned["new_model"] = planned["at"] >= since[planned["principal"]]


def _sampling(planned: Plan) -> dict[str, pa.Array]:
    columns = {
        name: _masked(pa.array(planned[name].astype(np.int64)), planned[name] == 0)
        for name in ("sample_count", "top_logprobs", "max_tokens")
    }
    temperature = planned["temperature"].astype(np.float64).round(3)
    columns["temperature"] = _masked(pa.array(temperature), np.isnan(temperature))
    return columns


def _masked(values: pa.Array, missing: Array) -> pa.Array:
    return pc.if_else(pa.array(missing), pa.scalar(None, values.type), values)


def _optional(values: pa.Array, index: Array) -> pa.Array:
    """Values at an index, null where it is negative."""
    return values.take(pa.array(index.astype(np.int64), mask=index < 0))


def _numbered(prefix: str, numbers: Integers, width: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def _addresses(system: Integers, host: Unsigned) -> pa.Array:
    """Addresses out of a block of each autonomous system."""
    block = combine(system.astype(np.uint64), 5)
    octets = pa.array(_OCTETS)
    # 11 to 126: public, and clear of loopback and the private blocks that lie higher.
    parts = [11 + below(block, 116), below(combine(block, 1), 256)]
    parts += [((host >> np.uint64(shift)) % np.uint64(256)).astype(np.int64) for shift in (8, 0)]
    return pc.binary_join_element_wise(*(octets.take(pa.array(part)) for part in parts), ".")
