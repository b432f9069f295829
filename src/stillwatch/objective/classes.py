"""The training objectives that a template may ask for, in the order of every score vector."""

from __future__ import annotations

OBJECTIVE_MEANINGS: dict[str, str] = {
    "elicited_reasoning": "the whole internal reasoning behind an answer, written out or reconstructed",
    "rubric_grading": "a score or critique of a given response against a rubric, criteria or a scale",
    "pairwise_preference": "which of two or more responses to the same prompt is better",
    "agentic_trajectory": "complete trajectories of thoughts, tool calls, their results and observations",
    "coding_drill": "programming problems with solutions and tests, or solutions to them, in bulk form",
    "maths_drill": "mathematics problems with full derivations and a final answer, in bulk form",
    "data_analysis": "an expert's complete analysis of given data, reasoning included",
    "instruction_generation": "new instructions, tasks or prompts, or harder versions of given ones",
    "safe_rewriting": "politically sensitive material rewritten or answered in an acceptable, neutral way",
    "refusal_probing": "whether, how or why a request would be refused; where the safety boundary lies",
    "style_imitation": "replies in the voice, format or persona of a given assistant, as examples to imitate",
}
"""What a text asks for, by objective. It may ask for several, or for none of these."""

OBJECTIVES: tuple[str, ...] = tuple(OBJECTIVE_MEANINGS)
"""Names of the objectives; position i here is position i of every score vector."""
