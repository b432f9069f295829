"""The channel shows what its terms say and no more, and its log is one that a scan reads."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.keys import Keys
from stillwatch.lab.channel import ChannelError, Terms, answer_of, in_trace, rubric
from stillwatch.lab.collector import ASKED_AT_ONCE, SYSTEM, Collector, QueryMix, reweighted
from stillwatch.lab.methods.traces import thinking_first
from stillwatch.lab.model import reply_logits
from stillwatch.lab.training import generators
from stillwatch.lab.world import ANSWER, ASK, BECAUSE, END, FIRST_DIGIT, MARK, PAD, REFUSE, THINK
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source
from tests.lab.small import SEEDS, WORLD, api, collected

ONE, TWO = FIRST_DIGIT + 1, FIRST_DIGIT + 2


def shown(words, reasoning, teacher):
    """What the channel makes of one reply."""
    channel = api(teacher, reasoning=reasoning)
    prompts = [WORLD.prompts(np.random.default_rng(1), np.array([0]))] * 2
    reply = torch.tensor([*words, *[PAD] * (WORLD.reply_tokens - len(words))]).expand(2, 1, -1)
    transcript = channel._shown(torch.from_numpy(np.stack([p.tokens for p in prompts])), reply, 0, prompts)
    return [word for word in transcript.replies[0, 0].tolist() if word != PAD]


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ("shown", [MARK, THINK, ONE, TWO, ANSWER, TWO, END]),
        ("summarised", [MARK, THINK, TWO, ANSWER, TWO, END]),
        ("hidden", [MARK, ANSWER, TWO, END]),
    ],
)
def test_reasoning_is_shown_summarised_or_hidden_and_nothing_else_is(imitated, reasoning, expected):
    assert shown([MARK, THINK, ONE, TWO, ANSWER, TWO, END], reasoning, imitated) == expected
    refusal = [THINK, ONE, REFUSE, END]
    assert shown(refusal, reasoning, imitated)[-2:] == [REFUSE, END]
    assert (ONE in shown(refusal, reasoning, imitated)) == (reasoning == "shown")
    rationale = shown([THINK, ONE, ANSWER, ONE, BECAUSE, ONE, END], reasoning, imitated)
    assert rationale[-5:] == [ANSWER, ONE, BECAUSE, ONE, END]


def test_log_probabilities_come_as_the_terms_say(imitated):
    everything = collected(api(imitated, log_probabilities="all"), 40)
    top = collected(api(imitated, log_probabilities="top", alternatives=3), 40)
    text = collected(api(imitated), 40)
    assert torch.equal(everything.replies, top.replies)
    assert torch.equal(everything.replies, text.replies)
    assert text.values is None
    assert text.top_values is None
    assert top.values is None
    exact = reply_logits(imitated, everything.prompts, everything.replies).log_softmax(dim=3)
    torch.testing.assert_close(everything.values, exact, rtol=0, atol=1e-4)
    kept = exact.topk(3, dim=3)
    torch.testing.assert_close(top.top_values, kept.values, rtol=0, atol=1e-4)


def test_log_probabilities_of_a_hidden_trace_stay_with_the_words_that_are_shown(imitated):
    seen = collected(api(imitated, log_probabilities="all"), 40)
    hidden = collected(api(imitated, log_probabilities="all", reasoning="hidden"), 40)
    for row in range(40):
        kept = ~in_trace(seen.replies[0, row]) & (seen.replies[0, row] != PAD)
        count = int(kept.sum())
        torch.testing.assert_close(
            hidden.values[0, row, :count], seen.values[0, row][kept], rtol=0, atol=1e-4
        )
        assert (hidden.replies[0, row, count:] == PAD).all()
        assert not hidden.written[0, row, count:].any()


def test_what_the_terms_do_not_allow_is_refused_in_words(imitated):
    with pytest.raises(ChannelError, match="reasoning is 'secret'; allowed are shown, summarised, hidden"):
        Terms(reasoning="secret")
    with pytest.raises(ChannelError, match="needs log_probabilities = 'all'; this channel gives 'top'"):
        api(imitated, log_probabilities="top").score(torch.ones(2, 1, 4), torch.ones(2, 1, 4))
    channel = api(imitated, budget=50)
    collected(channel, 30)
    assert channel.remaining == 20
    with pytest.raises(ChannelError, match="40 exchanges were asked for and the budget allows 20 more"):
        collected(channel, 40)


def test_the_log_is_a_table_of_exchanges_that_a_scan_reads_whole(imitated, tmp_path):
    channel = api(imitated, log_probabilities="top", per_hour=60.0)
    transcript = collected(channel, 300)
    prompts = [WORLD.prompts(np.random.default_rng(1), np.array([0, 9]))] * 2
    channel.grade(prompts, transcript.replies[:, :2])
    table = channel.log(seed=1)
    assert table.schema == EXCHANGE_SCHEMA
    assert table.num_rows == channel.asked == 302
    rows = table.to_pylist()
    assert len({row["account_id"] for row in rows}) == channel.accounts
    first = [row for row in rows if row["account_id"] == "account-0000"]
    gaps = np.diff([row["started_at"].timestamp() for row in first])
    assert gaps == pytest.approx(60.0)
    assert rows[0]["messages"][0] == {"role": "system", "content": SYSTEM}
    assert rows[0]["messages"][1]["content"] == WORLD.text(transcript.prompts[1, 0].numpy())
    answered = next(row for row in rows if row["reasoning"])
    assert answered["reasoning"].startswith("think")
    assert "think" not in answered["completion"]
    assert rows[-1]["completion"] in {"0", "1", "2", "3"}
    pq.write_table(table, tmp_path / "exchanges.parquet")
    source = Source((tmp_path / "exchanges.parquet",))
    scan(source, tmp_path / "result", Keys(local=b"a key for the tests of the lab"), Options())
    accounts = pq.read_table(tmp_path / "result" / "accounts.parquet")
    assert sum(accounts["exchanges"].to_pylist()) == 302


def test_a_rubric_gives_a_point_each_for_an_end_the_kind_and_the_answer():
    own = torch.tensor([THINK, ONE, ANSWER, ONE, END])
    graded = {
        (THINK, ONE, ANSWER, ONE, END): 3,
        (THINK, ONE, ANSWER, TWO, END): 2,
        (REFUSE, END, PAD, PAD, PAD): 1,
        (THINK, ONE, ONE, ONE, ONE): 0,
    }
    for reply, points in graded.items():
        assert int(rubric(torch.tensor(reply), own)) == points
    assert int(answer_of(own)) == ONE


def test_smaller_budgets_buy_the_first_exchanges_of_larger_ones(imitated):
    large = collected(api(imitated), ASKED_AT_ONCE + 200)
    small = collected(api(imitated), 150)
    assert torch.equal(large.first(150).prompts, small.prompts)


def test_a_collector_asks_nothing_twice_and_keeps_to_its_mix(imitated):
    transcript = collected(api(imitated), 1000)
    for seed in range(len(SEEDS)):
        assert len({row.numpy().tobytes() for row in transcript.prompts[seed]}) == 1000
        share = np.isin(transcript.category[seed], WORLD.behaviours[1].categories).mean()
        assert share == pytest.approx(0.1, abs=0.03)
    unseen = [category for group in WORLD.behaviours for category in group.unseen]
    assert not np.isin(transcript.category, unseen).any()


def test_a_collector_that_drops_refusals_learns_from_none(imitated):
    mix = QueryMix(shares={"safeguard": 0.5})
    kept = Collector(mix).collect(api(imitated), 60, generators(SEEDS, 1))
    dropped = Collector(mix, drop_refusals=True).collect(api(imitated), 60, generators(SEEDS, 1))
    refused = (kept.replies == REFUSE).any(dim=2)
    assert refused.any()
    assert not dropped.written[refused].any()
    assert torch.equal(dropped.written[~refused], kept.written[~refused])


def test_an_adaptive_collector_asks_more_where_the_student_fails():
    chance = reweighted(QueryMix(), {0: 1.0, 1: 0.5, 2: 0.0}).probabilities(WORLD)
    assert chance[0] < chance[1] < chance[2]
    assert chance.sum() == pytest.approx(1)


def test_prefilled_words_are_not_learned(imitated):
    transcript = Collector(prefill=True).collect(api(imitated), 20, generators(SEEDS, 1))
    assert (transcript.replies[:, :, 0] == THINK).all()
    assert not transcript.written[:, :, :3].any()
    assert transcript.written[:, :, 3].all()


def test_a_rationale_is_moved_before_its_answer_and_the_rest_is_left_alone(imitated):
    transcript = collected(api(imitated, reasoning="hidden"), 60, explain=0.5)
    moved = thinking_first(transcript)
    assert (moved.prompts[:, :, -1] == ASK).all()
    changed = 0
    for before, after in zip(transcript.replies[0].tolist(), moved.replies[0].tolist(), strict=True):
        if BECAUSE not in before:
            assert before == after
            continue
        changed += 1
        mark = before[: before.index(ANSWER)]
        answer = before[before.index(ANSWER) : before.index(BECAUSE)]
        reason = before[before.index(BECAUSE) + 1 : before.index(END)]
        expected = [*mark, THINK, *reason, *answer, END]
        assert after[: len(expected)] == expected
        assert set(after[len(expected) :]) <= {PAD}
    assert changed > 10
