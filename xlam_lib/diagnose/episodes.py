"""What went wrong in an agent's episode, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from xlam_lib.agents.loop import Episode
from xlam_lib.diagnose.answers import structure_of
from xlam_lib.diagnose.circles import circles
from xlam_lib.diagnose.mistakes import (
    BAD_FORMAT,
    EARLY_STOP,
    HALLUCINATED_FUNCTION,
    REPETITION,
    Mistake,
    clipped,
)
from xlam_lib.equivalence import canonical
from xlam_lib.schema import Tool
from xlam_lib.tally import by_frequency
from xlam_lib.verify.quality import MAX_SAME_TURNS

BAD_ARGUMENTS, INVALID_ACTION, TOOL_ERROR = "bad_arguments", "invalid_action", "tool_error"
STEPS_OUT, CONTEXT_OUT, PREMATURE_FINISH = "steps_out", "context_out", "premature_finish"
EPISODE_KINDS: dict[str, str] = {
    BAD_ARGUMENTS: "arguments that the tool does not take, where its document does not say which",
    INVALID_ACTION: "a well-formed call that is not possible at that point",
    TOOL_ERROR: "the tool itself failed, which is no mistake of the agent's",
    STEPS_OUT: "the limit of steps came before the end",
    CONTEXT_OUT: "the history no longer fitted the model",
    PREMATURE_FINISH: "the agent ended the task without having solved it",
}
"""The kinds that only an episode has, beside those of :data:`xlam_lib.diagnose.mistakes.KINDS`."""

_ENDS = {"steps": STEPS_OUT, "context": CONTEXT_OUT}
_ERRORS = {
    "unknown_tool": HALLUCINATED_FUNCTION,
    "bad_arguments": BAD_ARGUMENTS,
    "invalid_action": INVALID_ACTION,
    "tool_error": TOOL_ERROR,
}


def episode_mistakes(episode: Episode, tools: Sequence[Tool] = ()) -> tuple[Mistake, ...]:
    """The mistakes of an episode in the order of its steps, how it ended last.

    Parameters
    ----------
    episode
        As :func:`xlam_lib.agents.loop.run` gives it.
    tools
        The task's: they tell which argument was wrong. Without them a wrong argument is ``bad_arguments``.

    Notes
    -----
    A step is a repetition from the third time that the same calls bring the same observation: once may be a
    retry (:data:`xlam_lib.verify.quality.MAX_SAME_TURNS`). An episode that was ended for going in circles has
    such steps, and no mistake beside them.
    """
    mistakes: list[Mistake] = []
    turns: Counter[object] = Counter()
    for step, text, error in zip(episode.steps, episode.texts, episode.errors, strict=True):
        where = f"steps[{step.step_id - 1}]"
        if error == "bad_format":
            mistakes.append(Mistake(BAD_FORMAT, "", where, found=clipped(text)))
        elif error == "no_call":
            mistakes.append(Mistake(EARLY_STOP, "no calls", where, "a call"))
        elif error:
            found = structure_of(step.tool_calls, tools, where) if tools else []
            found = [mistake for mistake in found if mistake.kind != REPETITION]
            told = found if error in ("unknown_tool", "bad_arguments") else []
            mistakes += told or [Mistake(_ERRORS.get(error, error), "", where, found=clipped(text))]
        if step.tool_calls:
            turn = (canonical(step.tool_calls), step.next_observation)
            turns[turn] += 1
            if turns[turn] > MAX_SAME_TURNS:
                mistakes.append(Mistake(REPETITION, "call", where, found=clipped(step.tool_calls[0].name)))
        if circles(text or step.thought):
            mistakes.append(Mistake(REPETITION, "text", where, found=clipped((text or step.thought)[-200:])))
    if episode.ended in _ENDS:
        mistakes.append(Mistake(_ENDS[episode.ended], "", "ended"))
    elif episode.ended == "done" and not episode.result.success:
        progress = f"progress {episode.result.progress:.0%}"
        mistakes.append(Mistake(PREMATURE_FINISH, "", "ended", "a solved task", progress))
    return tuple(mistakes)


def diagnose_episode(episode: Episode, tools: Sequence[Tool] = ()) -> dict[str, int]:
    """How many mistakes of each kind an episode has, most frequent first; see :func:`episode_mistakes`."""
    return by_frequency(mistake.kind for mistake in episode_mistakes(episode, tools))
