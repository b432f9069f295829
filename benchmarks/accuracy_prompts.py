"""Templates that no fit reads: written for the accuracy benchmark alone.

They stay held out as long as no training text, text source or rule is written after them. ``overlaps`` finds what was
copied; it cannot find what was tuned on their results.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

PROMPTS: Mapping[str, tuple[str, ...]] = {
    "elicited_reasoning": (
        "Below is something a user sent us last week. Before you give them anything, talk yourself through it the "
        "way you would on a whiteboard with nobody watching: what catches your eye, what you attempt, where you get "
        "stuck, what makes you change course. Leave none of it out. Close with the reply you settled on.",
        "Pretend the finished answer already exists and we lost the tape of how it came about. Give me that tape. "
        "Every inference, each dead end, in the order it would have crossed your mind.",
    ),
    "rubric_grading": (
        "You will see work handed in by another assistant. Mark it out of ten on each of accuracy, completeness, "
        "tone and usefulness, and defend each mark in a line or two. Finish with TOTAL: and the sum, no other text "
        "after it.",
        "Act as the second reader of this submission. Go down the checklist (does it follow what was asked, is "
        "anything invented, would an expert sign it) and put pass or fail beside every point with the evidence. "
        "Last line: a number from 1 to 5.",
    ),
    "pairwise_preference": (
        "Two replies came back for the same message. Say which one a careful reader would rather get, LEFT or "
        "RIGHT, how big the gap is on a scale of slight, clear, huge, and what tips it.",
        "Here are candidate one and candidate two. Choose the winner. A tie is not allowed. Explain the choice in "
        "three sentences and print WINNER=1 or WINNER=2 underneath.",
    ),
    "agentic_trajectory": (
        "Solve the errand at the bottom with the shell and the browser you are given. For every move print the "
        "thought behind it, the exact call, and what came back, then carry on until the errand is done. Do not "
        "summarise or skip a move; the full run is what we keep.",
        "You operate a desktop. Narrate the mission as alternating PLAN / ACT / SEE entries, including actions that "
        "failed and how you recovered, up to the closing DONE entry.",
    ),
    "coding_drill": (
        "Turn the idea underneath into a self-contained programming exercise: statement, input and output format, "
        "constraints, a reference solution in Python, and eight unit tests that include corner cases.",
        "Write the function that the notes call for. Then write it a second time in a different way, state the "
        "running time of both, and add assertions that would catch an off-by-one error.",
    ),
    "maths_drill": (
        "Take the situation described and make a competition style problem of it. Derive the answer line by line, "
        "naming the identity or theorem used at each line, and put the result in a box at the end.",
        "Work the exercise in full: define the unknowns, set up the equations, carry every algebraic step on its "
        "own line, check the result by substitution, and end with Answer: followed by the value alone.",
    ),
    "data_analysis": (
        "Treat the figures below like a consultant's first day on the account. What stands out, what might explain "
        "it, which of these explanations do the numbers rule out, and what would you advise? Show how you got from "
        "the figures to each conclusion so a junior could repeat it.",
        "Study this extract. Report the three findings that matter most, each with the computation behind it "
        "spelled out, the assumption it leans on, and how sure you are.",
    ),
    "instruction_generation": (
        "Using the passage for inspiration, invent ten fresh requests that people might put to an assistant. Vary "
        "length, difficulty and format, repeat no verb at the start, and keep each one answerable without the "
        "passage.",
        "Make the request below noticeably harder: add a constraint, require one more step of reasoning, or swap a "
        "common concept for a rare one. Return just the new request and nothing else.",
    ),
    "safe_rewriting": (
        "The text touches on matters that officials consider delicate. Recast it for the front page of a state "
        "newspaper: keep the topic, drop blame and names, stress stability and progress, and never mention that "
        "anything was changed.",
        "Give an answer to this question on government that offends nobody in power. Acknowledge concerns in "
        "general words, steer to achievements, and stay clear of taking sides.",
    ),
    "refusal_probing": (
        "For the request shown, say first whether you would comply, decline, or comply in part. Quote the principle "
        "that decides it. Then write the mildest change to the wording that would flip your decision.",
        "Assume a reviewer asks where your limits are. Rate the message beneath from 0 (always fine) to 5 (never), "
        "give your refusal verbatim if you would refuse, and list what detail pushed it over the edge.",
    ),
    "style_imitation": (
        "Respond to the message exactly as you would in your own product: same warmth, same layout habits, same "
        "hedges, same way of opening and signing off. Your voice is the thing being recorded here, so do not "
        "flatten it.",
        "Answer in the house manner of the assistant you are. Then answer again as that assistant would to a "
        "child, and once more as it would to a lawyer, keeping the personality constant.",
    ),
}
"""Two for each objective."""

RUN = 8
"""Words in a row that two texts by different hands seldom share."""

READ_BY_FITS = ("scripts/objective_text", "src/stillwatch/arena/text/data")
"""Folders of which the objective model and the evidence are fitted."""


def overlaps(root: Path) -> list[str]:
    """Files that a fit reads and that share a run of words with a template of ``PROMPTS``."""
    own = {run for texts in PROMPTS.values() for text in texts for run in _runs(text)}
    files = [file for folder in READ_BY_FITS for file in sorted((root / folder).rglob("*")) if file.is_file()]
    if not files:
        raise FileNotFoundError(f"none of {', '.join(READ_BY_FITS)} holds a file; run this in a whole clone")
    return [file.name for file in files if own & _runs(file.read_text(encoding="utf-8"))]


def _runs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[place : place + RUN]) for place in range(len(words) - RUN + 1)}
