"""Task-instruction rephrasing (xLAM report, section 3.2): the same rules in other words, and proof of it.

Rewordings come from three places. Our own four instructions have a grammar: each rule is a sentence with
several wordings, so that every text it gives holds every rule. Any other instruction is reworded by rules
that touch only what is safe (a few synonyms, the order of rules that stand side by side), or is left as it
is. And a model can propose rewordings. The report keeps a rewording only where a model that is given it
still produces the right calls; :func:`verify` does that with any back end.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import msgspec

from xlam_lib.asking import unfenced
from xlam_lib.errors import ProfileError, SchemaError
from xlam_lib.formats import ParseError, dump_json, load_json
from xlam_lib.generation import Backend, Generation, Message, generate
from xlam_lib.preferences import fault
from xlam_lib.prompts import (
    SECTIONS,
    STYLES,
    TASK_INSTRUCTION_AGENT,
    TASK_INSTRUCTION_AGENT_BRIEF,
    TASK_INSTRUCTION_FC,
    TASK_INSTRUCTION_FC_BRIEF,
    answer_format,
    messages,
)
from xlam_lib.schema import Trajectory

# ------------------------------------------------------------------------------------------ the grammar

# A grammar is a sequence of blocks, a block a sequence of rules that may change places, and a rule a
# sequence of wordings. In a wording {a|b} is a choice; <tool>, <tools> and <query> stand for words that are
# drawn once for the whole text.
Rule = Sequence[str]
Block = Sequence[Rule]

_TOOL_WORDS = ("function", "tool")
_QUERY_WORDS = ("query", "request")

_ONLY_LISTED: Rule = (
    "{Use|Call|Work with} only the <tools> and {the |}arguments {that are |}listed.",
    "{Never|Do not} {call|use} a <tool> or {pass|give} an argument that is not listed.",
    "{Stay with|Keep to} the <tools> and {the |}arguments {that are |}listed{| and use no others}.",
    "No <tool> and no argument {beyond|other than} those listed {may|can} be used.",
)
_REQUIRED_TYPED: Rule = (
    "Give every required argument a value of {its|the} declared type.",
    "{Fill in|Set|Supply} {all|each of the} required arguments, each with a value of {its|the} "
    "declared type.",
    "No required argument may be {missing|left out}, and {each|every} value must have the declared type.",
    "{Every|Each} call needs all {its|the} required arguments, with values of the declared types.",
    "{Make sure|See to it} that no required argument is missing and that values have the declared types.",
)
_FC_GROUNDED: Rule = (
    "Take the values from the <query> {rather than|instead of} {making them up|inventing them}.",
    "Values {come|must come} from the <query> and are {never|not} {invented|made up|guessed}.",
    "{Never|Do not} {invent|make up|guess} values: take what the <query> {says|states|gives}.",
    "{Use|Fill in} the values that the <query> {gives|states|holds}, and {invent|make up|guess} none.",
)
_FC_OPTIONAL: Rule = (
    "{Leave optional arguments out|Omit optional arguments} unless the <query> asks for them.",
    "{Pass|Set|Give} an optional argument only {if|when|where} the <query> asks for it.",
    "Optional arguments {stay out|are left out|are omitted} unless the <query> {asks|calls} for them.",
    "{Leave out|Omit|Skip} optional arguments that the <query> does not ask for.",
)
_AGENT_GROUNDED: Rule = (
    "Take values from the <query>, {the user's words|what the user says} or the observations.",
    "Values {come|must come} from the <query>, the user's {words|messages} or the observations.",
    "{Use|Fill in} values that the <query>, the user's words or the observations {give|state|hold}.",
    "Every value {has|needs} its source in the <query>, the user's {words|messages} or the observations.",
)

_GRAMMARS: dict[str, Sequence[Block]] = {
    TASK_INSTRUCTION_FC: (
        (
            (
                "You {turn|translate} a user's request into <tool> calls.",
                "Your {task|job} is to {turn|translate} a user's request into <tool> calls.",
                "{Turn|Translate} the user's request into <tool> calls.",
                "You {answer|carry out} a user's request {with|by means of} <tool> calls.",
                "A user asks for something, and you write the <tool> calls that {do it|carry it out}.",
            ),
        ),
        (
            (
                "Compare the <query> with the <tools> on offer and decide which calls {carry it "
                "out|fulfil it}.",
                "{Look at|Read} the <query> and the <tools> on offer, and decide which calls carry it out.",
                "{Decide|Choose}, from the <tools> on offer, which calls {carry out|fulfil} the <query>.",
                "{Check|See} which of the <tools> on offer {fit|suit} the <query>, and decide which calls "
                "{carry it out|fulfil it}.",
            ),
        ),
        (
            (
                "Call a <tool> once for each separate thing that is asked.",
                "{Make|Write} one call for {each|every} separate thing that is asked{| for}.",
                "{Each|Every} separate thing that is asked {for |}{gets|takes} one call.",
                "If several separate things are asked, {make|write} one call for each{| of them}.",
            ),
            _ONLY_LISTED,
            _REQUIRED_TYPED,
            _FC_GROUNDED,
            _FC_OPTIONAL,
        ),
        (
            (
                "If no <tool> fits, or a required value is not known, make no call.",
                "{Make no call|Call nothing} {if|when} no <tool> fits or a required value is {not "
                "known|unknown}.",
                "When no <tool> fits, or a required value is {not known|unknown}, {call "
                "nothing|make no call}.",
                "{Where|If} no <tool> fits, or a required value is {not known|unknown}, the list of calls "
                "{stays|is} empty.",
            ),
        ),
    ),
    TASK_INSTRUCTION_FC_BRIEF: (
        (
            (
                "Call the <tools> that {answer|fulfil|carry out|serve} the <query>.",
                "{Answer|Fulfil|Carry out|Serve} the <query> {by calling|with calls to} the "
                "<tools>{| on offer}.",
                "{Choose|Pick|Write|Make} the <tool> calls that {answer|fulfil|carry out|serve} the <query>.",
            ),
        ),
        (
            (
                "If no <tool> fits, call none.",
                "{Call none|Make no call|Call nothing} {if|when|where} no <tool> fits.",
                "{No <tool> that fits|No fitting <tool>}: no call.",
                "{When|Where} {none|no <tool>} fits, {call none|make no call|call nothing}.",
            ),
        ),
    ),
    TASK_INSTRUCTION_AGENT: (
        (
            (
                "You are an agent that {reaches|achieves} a user's goal with the <tools> on offer, "
                "one step at a "
                "time.",
                "{Work|Act} as an agent: {reach|achieve} the user's goal step by step with the "
                "<tools> on offer.",
                "As an agent, your {task|job} is to {reach|achieve} a user's goal with the <tools> on offer, "
                "{one step at a time|step by step}.",
                "As an agent, you use the <tools> on offer to {reach|achieve} a user's goal, "
                "{one step at a time|step by step}.",
            ),
        ),
        (
            (
                "In each step look at the <query> and at what the earlier steps brought, think about what is "
                "still needed, and then call <tools> or speak to the user.",
                "{At|In} every step, look at the <query> and at the {results|outcome} of the earlier steps, "
                "{consider|think about} what is still {needed|missing}, and then call <tools> or "
                "{speak|talk} to the user.",
                "{Begin|Start} each step with the <query> and with what the earlier steps brought, "
                "{think about|work out} what is still {needed|missing}, and then call <tools> or "
                "{speak|talk} to the user.",
            ),
        ),
        (_ONLY_LISTED, _REQUIRED_TYPED, _AGENT_GROUNDED),
        (
            (
                "When the goal is reached, call nothing and say so.",
                "{Once|As soon as} the goal is {reached|achieved}, {call nothing|make no call} and "
                "{say so|tell the user}.",
                "{Say so|Tell the user}, and {call nothing|make no call}, {when|once} the goal is "
                "{reached|achieved}.",
            ),
        ),
    ),
    TASK_INSTRUCTION_AGENT_BRIEF: (
        (
            (
                "{Reach|Achieve} the user's goal {step by step|one step at a time}: call <tools>, or none "
                "{when|once} it is {reached|achieved}.",
                "{Work|Go} step by step {towards|to reach} the user's goal: call <tools>, or none "
                "{once|when} "
                "it is {reached|achieved}.",
                "{One step at a time|Step by step}, call <tools> until the user's goal is "
                "{reached|achieved}, "
                "and {then|from then on} {call none|none}.",
                "Call <tools>, {one step at a time|step by step}, to {reach|achieve} the user's goal, "
                "{and|but} none {when|once} it is {reached|achieved}.",
                "{Step by step|One step at a time}, {reach|achieve} the user's goal {with|by} <tool> calls; "
                "{call none|make none} {when|once} it is {reached|achieved}.",
            ),
        ),
    ),
}
OWN = tuple(_GRAMMARS)

_CHOICE = re.compile(r"\{([^{}]*)\}")


def _derived(grammar: Sequence[Block], draw: random.Random) -> str:
    tool, query = draw.choice(_TOOL_WORDS), draw.choice(_QUERY_WORDS)
    sentences = []
    for block in grammar:
        for rule in draw.sample(list(block), len(block)):
            chosen = _CHOICE.sub(lambda match: draw.choice(match[1].split("|")), draw.choice(rule))
            sentences.append(chosen.replace("<tool", tool).replace("<query", query).replace(">", ""))
    return " ".join(sentences)


# --------------------------------------------------------------------------------- any other instruction

_SYNONYMS: dict[str, tuple[str, ...]] = {
    "for example": ("for instance",),
    "for instance": ("for example",),
    "make sure that": ("ensure that",),
    "ensure that": ("make sure that",),
    "in order to": ("to",),
    "do not": ("don't",),
    "don't": ("do not",),
    "cannot": ("can't",),
    "can't": ("cannot",),
    "you are required to": ("you must",),
    "your task is to": ("your job is to",),
    "your job is to": ("your task is to",),
    "if necessary": ("if needed", "where needed"),
    "if needed": ("if necessary", "where needed"),
    "is able to": ("can",),
    "are able to": ("can",),
    "utilize": ("use",),
    "utilizing": ("using",),
    "assist": ("help",),
    "obtain": ("get",),
    "prior to": ("before",),
    "several": ("multiple",),
}
_PHRASE = re.compile(
    r"(?<![\w'-])(?:" + "|".join(sorted(_SYNONYMS, key=len, reverse=True)) + r")(?![\w'-])(?! not\b)",
    re.IGNORECASE,
)
# Quoted texts, code, placeholders, tags, list items and lines such as "Action: ..." may be what a parser or
# an environment expects to the letter.
_FIXED = re.compile(
    r"```.*?```|`[^`\n]*`|\"[^\"\n]*\"|“[^”\n]*”|(?<!\w)'[^'\n]*'(?!\w)|\{[^{}]*\}|\[[^\[\]]*\]|<[^<>\n]*>"
    r"|^[ \t]*[\w ]{1,30}:[^\n]*$|^[ \t]*(?:[-*#>]|\d+[.)])[^\n]*$|(?<!\S)[^\s_/@\\]*+[_/@\\]\S*",
    re.DOTALL | re.MULTILINE,
)
# Characters; a longer text is a manual or a mistake, and is left as it is.
LONGEST = 10_000
_MASK = 0xE000  # the first code point of the private use area
_MASKED = re.compile("[\ue000-\uf8ff]")
_BREAK = re.compile(r"((?<=[.!])[ \t]+(?=[A-Z]))")
_STANDS_ALONE = re.compile(r"(?:Do not|Don't|Never|Always|You must|You should)\b[^.!?:;]*[.!]")
_REFERS = re.compile(
    r"\b(?:it|its|this|that|these|those|they|them|their|then|such|also|otherwise|however|instead|so|next|"
    r"after|before|first|second|third|last|finally|above|below|following|former|latter|previous|same)\b",
    re.IGNORECASE,
)


def _reworded(instruction: str, draw: random.Random) -> str:
    """The instruction with some safe changes; itself where none is safe."""
    if _MASKED.search(instruction):
        return instruction
    fixed: list[str] = []

    def mask(match: re.Match[str]) -> str:
        fixed.append(match[0])
        return chr(_MASK + len(fixed) - 1)

    def phrase(match: re.Match[str]) -> str:
        found = match[0]
        new = draw.choice((found, *_SYNONYMS[found.lower()]))
        # A capital within the sentence is a name's or a heading's, and stays.
        if not (found.islower() or (found[0].isupper() and found[1:].islower())):
            return found
        return new[0].upper() + new[1:] if found[0].isupper() else new

    text = _FIXED.sub(mask, instruction)
    if len(fixed) > 0xF8FF - _MASK:
        return instruction
    # Two rules in one line need some room; pages of short lines are passed by.
    lines = text.split("\n")
    text = "\n".join(_reordered(line, draw) if len(line) > 40 else line for line in lines)
    text = _PHRASE.sub(phrase, text)
    return _MASKED.sub(lambda match: fixed[ord(match[0]) - _MASK], text)


def _reordered(line: str, draw: random.Random) -> str:
    """A line whose neighbouring rules, each understood without the others, have changed places."""
    parts = _BREAK.split(line)  # sentence, white space, sentence ...
    run: list[int] = []
    for place in range(0, len(parts) + 2, 2):
        sentence = parts[place] if place < len(parts) else ""
        if (
            _STANDS_ALONE.fullmatch(sentence)
            and not _REFERS.search(sentence)
            and not _MASKED.search(sentence)
        ):
            run.append(place)
            continue
        if len(run) > 1:
            for old, new in zip(run, draw.sample([parts[i] for i in run], len(run)), strict=True):
                parts[old] = new
        run = []
    return "".join(parts)


def paraphrases(instruction: str, count: int, seed: int = 0) -> list[str]:
    """At most ``count`` distinct rewordings of an instruction, without a model.

    Our own instructions (:data:`OWN`) have several hundred each, by grammar; any other has as many as the
    safe changes to it allow, which may be none.

    Returns
    -------
    The same list for the same arguments, never holding the instruction itself.
    """
    if count < 0:
        raise ProfileError(f"count is {count}; give 0 or more")
    return list(_paraphrases(instruction, count, seed))


@lru_cache(maxsize=256)  # a source has few instructions for its many records
def _paraphrases(instruction: str, count: int, seed: int) -> tuple[str, ...]:
    if len(instruction) > LONGEST:
        return ()
    draw = random.Random(f"{seed}/{instruction}")
    grammar = _GRAMMARS.get(instruction)
    found: dict[str, None] = {}
    idle = 0
    while len(found) < count and idle < 200:  # that many draws without a new one: there are hardly more
        text = _reworded(instruction, draw) if grammar is None else _derived(grammar, draw)
        idle = idle + 1 if text in found or text == instruction else 0
        if text != instruction:
            found.setdefault(text)
    return tuple(found)


# ------------------------------------------------------------------------------------------------ records

HOW = ("given", "grammar", "rules", "unchanged")


def instruction_of(trajectory: Trajectory, length: str = "full") -> str:
    """The instruction that the record's prompt shows: its own, or ours of that ``length`` where it "
    "has none."""
    if trajectory.task_instruction:
        return trajectory.task_instruction
    if answer_format(trajectory).has_thought:
        return TASK_INSTRUCTION_AGENT_BRIEF if length == "brief" else TASK_INSTRUCTION_AGENT
    return TASK_INSTRUCTION_FC_BRIEF if length == "brief" else TASK_INSTRUCTION_FC


def apply(trajectory: Trajectory, instruction: str) -> Trajectory:
    """A copy of the record with that task instruction."""
    return msgspec.structs.replace(trajectory, task_instruction=instruction)


def choose(identity: str, seed: int, variants: Sequence[str]) -> str:
    """The variant of one record: decided by its id and the seed, whatever other records there are."""
    if not variants:
        raise ProfileError(f"record {identity!r}: there are no variants to choose from")
    return random.Random(f"{seed}/{identity}/instruction").choice(list(variants))


def rephrase(
    trajectory: Trajectory,
    seed: int,
    given: Mapping[str, Sequence[str]] | None = None,
    *,
    count: int = 300,
    length: str = "full",
) -> tuple[Trajectory, str]:
    """The record with its instruction reworded, and how it was done.

    Parameters
    ----------
    given
        Rewordings by instruction, such as :func:`verify` kept; they go before what the rules would do.
    count
        How many rewordings to draw from where the rules make them.
    length
        Which of our instructions a record without one has, ``full`` or ``brief``.

    Returns
    -------
    The record and one of :data:`HOW`; ``unchanged`` returns the record itself. Count them.
    """
    instruction = instruction_of(trajectory, length)
    variants: Sequence[str] = (given or {}).get(instruction, ())
    how = "given"
    if not variants:
        variants = _paraphrases(instruction, count, seed)
        how = "grammar" if instruction in _GRAMMARS else "rules"
    if not variants:
        return trajectory, "unchanged"
    return apply(trajectory, choose(trajectory.unique_trajectory_id, seed, variants)), how


# -------------------------------------------------------------------------------------------- with a model


class Rewording(msgspec.Struct, frozen=True):
    """A candidate and what became of it.

    Attributes: its ``text``; the share of right answers under it (``rate``, ``None`` if it was not tried);
    the wrong answers by fault, as :func:`xlam_lib.preferences.fault` names them; and the ``reason`` why it
    was turned away, empty if it was kept.
    """

    text: str
    rate: float | None = None
    faults: dict[str, int] = {}
    reason: str = ""


class Proposals(msgspec.Struct, frozen=True):
    """What a model proposed: usable ``texts``, and what was ``rejected``. They add up to what was "
    "asked for."""

    texts: list[str]
    rejected: list[Rewording]


class Verified(msgspec.Struct, frozen=True):
    """Candidates tried on probe records.

    Attributes: the ``original`` instruction's share of right answers, the number of ``answers`` that each
    share is taken over, and the candidates ``kept`` and ``rejected``, which add up to those given.
    """

    original: float
    answers: int
    kept: list[Rewording]
    rejected: list[Rewording]


_HINTS = (
    "Use short sentences.",
    "Write one flowing paragraph.",
    "Write a list of rules, one a line.",
    "Use plain everyday words.",
    "Use a formal tone.",
    "Begin with what must not be done.",
    "Address the reader as you.",
    "Be as brief as you can.",
)


def _section_marks() -> tuple[frozenset[str], tuple[str, ...]]:
    """Whole lines, and pieces of lines, by which a prompt's reader tells its sections."""
    marks = {
        line
        for style in STYLES.values()
        for section in SECTIONS
        for line in style(section, "\0").split("\n")
        if line != "\0"
    }
    return frozenset(marks), tuple(sorted(mark for mark in marks if mark[0] in "[<"))


_MARK_LINES, _MARK_PIECES = _section_marks()


def propose(
    instruction: str, backend: Backend, count: int, *, max_new_tokens: int = 512, batch_size: int = 32
) -> Proposals:
    """Ask a model for ``count`` rewordings, each in a request of its own and with its own hint on style.

    What it writes is text for a prompt: an answer that is not the JSON asked for, equals the instruction or
    an earlier proposal, or holds a mark of the prompt's sections, is rejected with that reason.
    """
    if count < 0:
        raise ProfileError(f"count is {count}; give 0 or more")
    chats: list[list[Message]] = []
    for number in range(count):
        content = (
            "Below is a task instruction for a model that calls functions, as a JSON string. Say the same in "
            "other words. Keep every rule, every condition and every name, and add none. "
            f"{_HINTS[number % len(_HINTS)]} This is version {number + 1} of {count}; make it differ from "
            'the others. Write nothing but one JSON object: {"instruction": "your text"}\n\n'
            f"{dump_json(instruction)}"
        )
        chats.append([{"role": "user", "content": content}])
    answers = generate(chats, backend, max_new_tokens=max_new_tokens, batch_size=batch_size)
    texts: dict[str, None] = {}
    rejected: list[Rewording] = []
    for answer in answers:
        text, reason = _proposal(answer)
        if not reason and text == instruction:
            reason = "unchanged"
        elif not reason and text in texts:
            reason = "duplicate"
        if reason:
            rejected.append(Rewording(text, reason=reason))
        else:
            texts.setdefault(text)
    return Proposals(list(texts), rejected)


def _proposal(answer: Generation) -> tuple[str, str]:
    """The instruction in a model's answer, or its raw text with the reason why it is none."""
    raw = answer.text.strip()
    if answer.finish in ("length", "context"):
        return raw, "cut off"
    try:
        value = load_json(unfenced(raw))
    except ParseError:
        return raw, "unreadable"
    if not isinstance(value, dict) or list(value) != ["instruction"]:
        return raw, "unreadable"
    text = value["instruction"]
    if not isinstance(text, str):
        return raw, "unreadable"
    text = text.strip()
    if not text:
        return raw, "empty"
    lines = {line.strip() for line in text.split("\n")}
    if lines & _MARK_LINES or any(mark in text for mark in _MARK_PIECES):
        return text, "holds a section's mark"
    return text, ""


def verify(
    candidates: Sequence[str],
    probes: Sequence[Trajectory],
    backend: Backend,
    *,
    at_least: float = 0.5,
    max_new_tokens: int = 256,
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Keep the candidates under which a model still produces the right calls (xLAM report, section 3.2).

    Every step of every probe is a question: the prompt with the candidate as its task instruction and the
    earlier steps as its history. An answer is right when its calls are the step's, in any order
    (:func:`xlam_lib.preferences.fault`). Answers are asked for in JSON whatever the probes' formats, so that
    nothing but the instruction differs.

    Parameters
    ----------
    probes
        Records with steps. Their own instructions, or ours where they have none, are the original.
    at_least
        The share of right answers that is needed even where the original does worse; above 0, because a
        model that gets nothing right proves nothing. With few answers the shares are coarse: one of 60 is
        1.7 points.

    Raises
    ------
    ProfileError
        There is no probe, or ``at_least`` is not above 0 and at most 1.
    SchemaError
        A probe has no steps.
    """
    if not 0 < at_least <= 1:
        raise ProfileError(f"at_least is {at_least}; give a share above 0, at most 1")
    if not probes:
        raise ProfileError("there are no probe records; give some whose right calls are known")
    for probe in probes:
        if not probe.steps:
            raise SchemaError(
                f"probe {probe.unique_trajectory_id!r}: has no steps to compare with; leave it out"
            )
    distinct = list(dict.fromkeys(candidates))
    chats = [_question(probe, step) for probe in probes for step in range(1, len(probe.steps) + 1)]
    size = len(chats)
    for candidate in distinct:
        for probe in probes:
            changed = apply(probe, candidate)
            chats.extend(_question(changed, step) for step in range(1, len(probe.steps) + 1))
    answers = generate(
        chats, backend, max_new_tokens=max_new_tokens, batch_size=batch_size, progress=progress
    )
    references = [
        (step.tool_calls, [tool.name for tool in probe.tools]) for probe in probes for step in probe.steps
    ]

    def tried(number: int) -> tuple[float, dict[str, int]]:
        faults: Counter[str] = Counter()
        mine = answers[number * size : (number + 1) * size]
        for (calls, tools), answer in zip(references, mine, strict=True):
            wrong = fault(calls, answer.text, tools)
            if wrong:
                faults[wrong] += 1
        return (size - faults.total()) / size, dict(sorted(faults.items()))

    original, _ = tried(0)
    kept: list[Rewording] = []
    rejected: list[Rewording] = []
    for number, candidate in enumerate(distinct, 1):
        rate, faults = tried(number)
        reason = ""
        if rate < original:
            reason = "below the original"
        elif rate < at_least:
            reason = "below at_least"
        (rejected if reason else kept).append(Rewording(candidate, rate, faults, reason))
    twice = Counter(candidates)
    for candidate in distinct:
        rejected.extend([Rewording(candidate, reason="duplicate")] * (twice[candidate] - 1))
    return Verified(original, size, kept, rejected)


def _question(probe: Trajectory, step: int) -> list[Message]:
    fmt = "json_thought" if answer_format(probe).has_thought else "json"
    return messages(probe, format=fmt, step=step)[:1]
