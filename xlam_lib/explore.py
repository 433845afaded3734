"""Views to browse a run with: records, errors and models' answers, in JupyterLab and on a page of the book.

A :class:`View` is a list of items under filters. In JupyterLab it is a widget: filters, a list to choose
from, and the chosen item. Elsewhere it is plain HTML of the same layout, which holds the first items of each
group in ``<details>`` elements and needs neither JavaScript nor a kernel. What a record or a model says is
data: every text is escaped before it is shown.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from xlam_lib.errors import ArtifactError
from xlam_lib.schema import Reject, Step, Tool, ToolCall, Trajectory

if TYPE_CHECKING:
    from xlam_lib.diagnose.mistakes import Mistake
    from xlam_lib.evaluate.bfcl import Question, Verdict

BUDGET = 60_000  # bytes of a view's HTML
TEXT, LINE, TOOLS, STEPS = 500, 100, 8, 6  # characters of a text and of a line, tools and steps of an item

# The layout, wherever the HTML ends up. A colour's first name is the book theme's, the other JupyterLab's.
STYLE = """<style>
.xlam-view{border:1px solid var(--pst-color-border,var(--jp-border-color2,#999));border-radius:.25rem;
padding:.5rem .75rem;overflow-wrap:anywhere;line-height:1.45}
.xlam-view p{margin:.25rem 0}
.xlam-view dd p{margin:0}
.xlam-view summary{cursor:pointer;padding:.2rem 0}
.xlam-view details details{margin-left:1rem}
.xlam-view dl{display:grid;grid-template-columns:minmax(5rem,9rem) minmax(0,1fr);
gap:.3rem .75rem;margin:.5rem 0}
.xlam-view dt,.xlam-view dd{display:block;float:none;width:auto;min-width:0;margin:0;padding:0}
.xlam-view dt{font-weight:600}
.xlam-view ul{margin:0;padding-left:1.1rem}
.xlam-view .tokens i{font-style:normal;border-bottom:1px dotted}
.xlam-view .columns{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem}
.xlam-view .columns>div{flex:1 1 16rem;min-width:0}
.xlam-view .columns dl{display:block}
.xlam-view pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;padding:.2rem .4rem}
@media(max-width:40rem){.xlam-view dl{display:block}.xlam-view dd{margin-bottom:.4rem}
.xlam-view details details{margin-left:.3rem}}
</style>"""
# MathJax of JupyterLab would take the dollars of a text for formulas, but for these classes.
_OPEN = '<div class="xlam-view mathjax_ignore tex2jax_ignore">'

# Control characters and those that turn the direction of writing; a page must not obey them.
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def shown(text: str, most: int = TEXT) -> str:
    """A text as HTML: cut to ``most`` characters, escaped, halves of surrogate pairs and control characters
    replaced by U+FFFD."""
    cut = text if len(text) <= most else text[: most - 4] + " ..."
    whole = cut.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return html.escape(_UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", whole))


def line(text: str, most: int = LINE) -> str:
    """The same on one line."""
    return shown(" ".join(text[: 4 * most].split()), most)


def pre(text: str, most: int = TEXT) -> str:
    """A text with its line breaks, as code."""
    return f"<pre>{shown(text, most)}</pre>"


def rows(pairs: Iterable[tuple[str, str]]) -> str:
    """An item's layout: labels (text) with what stands beside them (HTML)."""
    return "<dl>" + "".join(f"<dt>{shown(name)}</dt><dd>{body}</dd>" for name, body in pairs) + "</dl>"


# The parts of an item ---------------------------------------------------------------------------------------


def tools_html(tools: Sequence[Tool], called: Iterable[str] = ()) -> str:
    """Tools with their parameters and types, a question mark where one may be left out; called ones bold."""
    named = set(called)
    lines = []
    # Those that are called first, since the list may be cut.
    for tool in sorted(tools, key=lambda tool: tool.name not in named)[:TOOLS]:
        parameters = [
            f"{name}{'' if schema.get('required') is True else '?'}: {_type(schema)}"
            for name, schema in tool.parameters.items()
        ]
        name = f"<strong>{shown(tool.name)}</strong>" if tool.name in named else shown(tool.name)
        lines.append(
            f"<li><code>{name}({shown(', '.join(parameters), 240)})</code> {line(tool.description)}</li>"
        )
    if len(tools) > TOOLS:
        lines.append(f"<li>and {len(tools) - TOOLS} more</li>")
    return f"<ul>{''.join(lines)}</ul>" if lines else "none"


def _type(schema: Mapping[str, Any]) -> str:
    declared = schema.get("type", "any")
    return " or ".join(map(str, declared)) if isinstance(declared, list) else str(declared)


def call_text(call: ToolCall) -> str:
    """A call on one line: the name, and its arguments as JSON."""
    return f"{call.name}({json.dumps(call.arguments, ensure_ascii=False)})"


def steps_rows(steps: Sequence[Step]) -> list[tuple[str, str]]:
    """The rows of an agent's steps: what it thinks, calls and reads, and what the user says then."""
    found: list[tuple[str, str]] = []
    for step in steps[:STEPS]:
        parts = [
            ("thinks" if step.tool_calls else "says", step.thought and shown(step.thought)),
            ("calls", "".join(pre(call_text(call)) for call in step.tool_calls)),
            ("reads", step.next_observation and pre(step.next_observation)),
            ("user", step.user_input and shown(step.user_input)),
        ]
        filled = [(f"{step.step_id}. {name}", body) for name, body in parts if body]
        found += filled or [(f"{step.step_id}.", "calls nothing and says nothing")]
    if len(steps) > STEPS:
        found.append(("", f"and {len(steps) - STEPS} more steps"))
    return found or [("steps", "none: a task without an answer")]


def trajectory_html(trajectory: Trajectory) -> str:
    """A record laid out: query, tools, steps."""
    called = [call.name for step in trajectory.steps for call in step.tool_calls]
    opening = [("query", shown(trajectory.query))]
    if trajectory.task_instruction:
        opening.insert(0, ("instruction", line(trajectory.task_instruction, TEXT)))
    tools = (f"tools ({len(trajectory.tools)})", tools_html(trajectory.tools, called))
    return rows([*opening, tools, *steps_rows(trajectory.steps)])


@dataclass(frozen=True, repr=False)
class Panel:
    """A piece of HTML in the layout of the views: ``body``, and ``text`` for terminals."""

    body: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"{STYLE}{_OPEN}{self.body}</div>"


def columns(parts: Mapping[str, str]) -> str:
    """Pieces of HTML side by side under their titles (text), or below one another where there is no room."""
    found = (f"<div><p><strong>{shown(title)}</strong></p>{body}</div>" for title, body in parts.items())
    return f'<div class="columns">{"".join(found)}</div>'


# Views ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One thing to look at.

    Attributes
    ----------
    id
        Of the record or the question.
    facets
        Its value under each of the view's filters.
    title
        The line by which it is chosen (text).
    body
        Makes its layout (HTML) when it is looked at.
    """

    id: str
    facets: tuple[str, ...]
    title: str
    body: Callable[[], str]


@dataclass(frozen=True, repr=False)
class View:
    """Items under filters; displayed as a widget in JupyterLab and as HTML elsewhere.

    Attributes
    ----------
    label
        What the items are, in the plural: ``records``.
    filters
        The filters' names. A page groups by the first.
    items
        In order.
    each
        How many of a group a page shows at most, as far as :data:`BUDGET` allows.
    """

    label: str
    filters: tuple[str, ...]
    items: tuple[Item, ...]
    each: int = 2

    def __repr__(self) -> str:
        return f"{len(self.items):,} {self.label} by {', '.join(self.filters)}"

    def groups(self) -> dict[str, list[Item]]:
        """The items by their value under the first filter, in order of appearance."""
        found: dict[str, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.facets[0], []).append(item)
        return found

    def page(self) -> str:
        """The view as HTML for a page: the first items of each group, folded, within :data:`BUDGET`."""
        groups = self.groups()
        kept: dict[str, list[str]] = {name: [] for name in groups}
        # What a group costs by itself, and a margin for the note.
        left = BUDGET - len(STYLE) - 600 - sum(120 + _bytes(shown(name)) for name in groups)
        for place in range(self.each):
            for name, items in groups.items():
                if place >= len(items):
                    continue
                item = items[place]
                folded = f"<details><summary>{line(item.title)}</summary>{item.body()}</details>"
                if _bytes(folded) <= left:
                    left -= _bytes(folded)
                    kept[name].append(folded)
        count = sum(map(len, kept.values()))
        if not self.items:
            return f"{STYLE}{_OPEN}<p>No {shown(self.label)} in this run.</p></div>"
        note = (
            f"{count} of {len(self.items):,} {shown(self.label)}, by {shown(self.filters[0])}. "
            "In JupyterLab this is a list to filter and choose from."
        )
        folds = "".join(
            f"<details><summary><strong>{line(name)}</strong>: {len(kept[name])} of {len(items):,} "
            f"{shown(self.label)}</summary>{''.join(kept[name])}</details>"
            for name, items in groups.items()
            if kept[name]
        )
        return f"{STYLE}{_OPEN}<p>{note}</p>{folds}</div>"

    def widget(self) -> Any:
        """The view as an ``ipywidgets`` box. Raises ``ImportError`` where the package is missing."""
        import ipywidgets

        auto = {"width": "auto"}
        choices = [
            ipywidgets.Dropdown(
                description=name,
                options=[("all", None), *((f"{line_text(v)} ({n:,})", v) for v, n in counted.items())],
                layout=ipywidgets.Layout(**auto),
                style={"description_width": "initial"},
            )
            for name, counted in zip(self.filters, self._counts(), strict=True)
        ]
        chosen = ipywidgets.Dropdown(description="show", layout=ipywidgets.Layout(**auto))
        step = [
            ipywidgets.Button(description=name, layout=ipywidgets.Layout(width="6rem"))
            for name in ("previous", "next")
        ]
        body = ipywidgets.HTML(layout=ipywidgets.Layout(**auto))

        def show(_: Any = None) -> None:
            item = None if chosen.value is None else self.items[chosen.value]
            inner = item.body() if item else f"<p>No {shown(self.label)} here.</p>"
            body.value = f"{STYLE}{_OPEN}{inner}</div>"

        def narrow(_: Any = None) -> None:
            wanted = [choice.value for choice in choices]
            found = [
                (f"{place + 1}. {line_text(item.title)}", place)
                for place, item in enumerate(self.items)
                if all(value in (None, facet) for value, facet in zip(wanted, item.facets, strict=True))
            ]
            chosen.options = found
            chosen.value = found[0][1] if found else None
            show()

        def move(by: int, _: Any) -> None:
            places = [place for _, place in chosen.options]
            if chosen.value is not None:
                chosen.value = places[(places.index(chosen.value) + by) % len(places)]

        for choice in choices:
            choice.observe(narrow, "value")
        chosen.observe(show, "value")
        for button, by in zip(step, (-1, 1), strict=True):
            button.on_click(partial(move, by))
        narrow()
        row = ipywidgets.Layout(flex_flow="row wrap")
        return ipywidgets.VBox([ipywidgets.HBox([*choices, *step], layout=row), chosen, body])

    def _counts(self) -> list[Counter[str]]:
        return [Counter(item.facets[place] for item in self.items) for place in range(len(self.filters))]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.page()}
        if front_end() and self.items:
            try:
                bundle = self.widget()._repr_mimebundle_() | bundle
            except ImportError:  # without ipywidgets the page is shown here, too
                pass
        return bundle


def one(view: View, identity: str) -> Panel:
    """One item of a view, unfolded.

    Raises
    ------
    ArtifactError
        The view has no item of that id.
    """
    for item in view.items:
        if item.id == identity:
            return Panel(item.body(), item.title)
    raise ArtifactError(f"{identity}: not among {view}; choose the id of one of them")


def front_end() -> bool:
    """Whether somebody sits before this kernel: Jupyter's server and VS Code say so, a run by papermill not.

    A widget that was saved without its kernel is dead, so a run keeps the HTML alone.
    """
    if "JPY_SESSION_NAME" in os.environ:
        return True
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and "__vsc_ipynb_file__" in shell.user_ns


def line_text(text: str) -> str:
    """A text on one line for a widget's list, which takes text and not HTML."""
    return html.unescape(line(text))


def _bytes(text: str) -> int:
    return len(text.encode())


# The three views --------------------------------------------------------------------------------------------


def records(trajectories: Iterable[Trajectory], by: str = "source", each: int = 2) -> View:
    """Records to browse.

    Parameters
    ----------
    by
        ``source``, or a key of the records' ``meta`` such as ``style``.
    each
        How many of a group a page shows.
    """
    items = tuple(
        Item(
            t.unique_trajectory_id,
            (t.source if by == "source" else str(t.meta.get(by, "not said")),),
            f"{t.unique_trajectory_id}: {t.query}",
            partial(trajectory_html, t),
        )
        for t in trajectories
    )
    return View("records", (by,), items, each)


@dataclass(frozen=True)
class Faulty:
    """A record or an answer with what is wrong with it.

    Attributes
    ----------
    kind
        The class of the error, under which it is filed.
    source
        Whose it is: a data set, a category of questions, a model.
    id, query, tools
        The task.
    written
        The faulty steps, or the answer as text.
    findings
        What is wrong, a line each.
    expected
        What should have been written, where that is known.
    """

    kind: str
    source: str
    id: str
    query: str
    tools: Sequence[Tool]
    written: Sequence[Step] | str
    findings: Sequence[str]
    expected: str = ""


def of_reject(reject: Reject) -> Faulty:
    """A reject whose record is a trajectory or a generated sample; of any other, what it says of itself."""
    record = msgspec.to_builtins(reject.record)
    record = record if isinstance(record, dict) else {}
    tools = msgspec.convert(record.get("tools") or [], list[Tool])
    if "steps" in record:
        written: Sequence[Step] | str = msgspec.convert(record["steps"], list[Step])
    else:
        written = str(record.get("answer") or "")
    return Faulty(
        f"{reject.stage}: {reject.reason}" if "answer" in record else reject.reason,
        reject.source,
        str(record.get("unique_trajectory_id") or f"{reject.source}, record {reject.position}"),
        str(record.get("query") or ""),
        tools,
        written,
        [reject.detail],
    )


def of_answer(question: Question, text: str, mistakes: Sequence[Mistake]) -> list[Faulty]:
    """A wrong answer to a benchmark question, filed once under each kind of its mistakes."""
    said = [mistake.short for mistake in mistakes]
    return [
        Faulty(
            kind,
            question.category,
            question.id,
            question.query,
            question.tools,
            text,
            said,
            right_answer(question),
        )
        for kind in dict.fromkeys(mistake.kind for mistake in mistakes)
    ]


def errors(faulty: Iterable[Faulty], each: int = 2) -> View:
    """Faulty records or answers to browse, by the class of the error and by source."""
    items = tuple(
        Item(f.id, (f.kind, f.source), f"{f.id}: {f.query}", partial(_faulty_html, f)) for f in faulty
    )
    return View("errors", ("error", "source"), items, each)


def _faulty_html(found: Faulty) -> str:
    parts = [("wrong", "".join(f"<p>{shown(finding)}</p>" for finding in found.findings))]
    if found.query:
        parts.append(("query", shown(found.query)))
    called: list[str] = []
    if isinstance(found.written, str):
        steps = [("found", pre(found.written) if found.written.strip() else "nothing")]
    else:
        called = [call.name for step in found.written for call in step.tool_calls]
        steps = steps_rows(found.written)
    if found.tools:
        parts.append((f"tools ({len(found.tools)})", tools_html(found.tools, called)))
    if found.expected:
        parts.append(("expected", pre(found.expected)))
    return rows([*parts, *steps])


def answers(
    questions: Iterable[Question],
    texts: Mapping[str, Mapping[str, str]],
    verdicts: Mapping[str, Mapping[str, Verdict]],
    each: int = 2,
) -> View:
    """What models answered to benchmark questions, by category and by how many were right.

    Parameters
    ----------
    texts
        For each model the raw answers by question id.
    verdicts
        For each model the verdicts by question id.
    """

    def item(question: Question) -> Item:
        right = sum(verdicts[name][question.id].valid for name in texts)
        outcome = "all right" if right == len(texts) else "some right" if right else "none right"
        body = partial(_answers_html, question, texts, verdicts)
        return Item(
            question.id, (question.category, outcome), f"{outcome}, {question.id}: {question.query}", body
        )

    return View("questions", ("category", "answers"), tuple(map(item, questions)), each)


def _answers_html(
    question: Question,
    texts: Mapping[str, Mapping[str, str]],
    verdicts: Mapping[str, Mapping[str, Verdict]],
) -> str:
    parts = [("query", shown(question.query)), (f"tools ({len(question.tools)})", tools_html(question.tools))]
    parts.append(("expected", pre(right_answer(question))))
    for name, given in texts.items():
        verdict = verdicts[name][question.id]
        mark = "right" if verdict.valid else f"wrong, {verdict.error_type.split(':')[-1].replace('_', ' ')}"
        text = given.get(question.id, "")
        parts.append((f"{name}: {mark}", pre(text) if text.strip() else "nothing"))
    return rows(parts)


def right_answer(question: Question) -> str:
    """What BFCL takes for right, in words a reader can lay beside an answer: one line a call, the values that
    are allowed with ``or`` between them."""
    if question.ground_truth:
        return "\n".join(map(str, question.ground_truth))
    if not question.possible_answer:
        return "no call" if question.category.endswith("irrelevance") else "a call"
    lines = []
    for answer in question.possible_answer:
        for name, allowed in answer.items():
            values = allowed.items() if isinstance(allowed, Mapping) else [("", allowed)]
            lines.append(f"{name}({', '.join(f'{key}={_either(value)}' for key, value in values)})")
    return "\n".join(lines)


def _either(allowed: Any) -> str:
    choices = allowed if isinstance(allowed, list) else [allowed]
    said = [json.dumps(value, ensure_ascii=False, default=str) for value in choices if value != ""]
    return " or ".join([*said, *(["left out"] if "" in choices else [])])
