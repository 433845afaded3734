"""Views: what is shown is what was given, escaped, small, and static where nobody sits before the kernel."""

from __future__ import annotations

import html
import html.parser
import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_lib import explore
from xlam_lib.diagnose.mistakes import Mistake
from xlam_lib.errors import ArtifactError
from xlam_lib.evaluate.bfcl import Question, Verdict
from xlam_lib.schema import Reject, Step, Tool, ToolCall, Trajectory, encode

TOOL = Tool(
    "light_stove",
    "Lights the stove.",
    {"room": {"type": "string", "required": True}, "hours": {"type": "integer"}},
)
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)> & \ud83d \x00 \u202e \"'"


def record(number: int = 0, query: str = "Warm the hut.", source: str = "huts", **more) -> Trajectory:
    steps = [
        Step(1, "A stove warms.", [ToolCall("light_stove", {"room": "hut"})], '{"lit": true}'),
        Step(2, "It is lit."),
    ]
    return Trajectory(
        f"{source}/{number}", source, tools=[TOOL], query=query, steps=more.pop("steps", steps), **more
    )


def question(number: int = 0, category: str = "simple_python", refuse: bool = False) -> Question:
    allowed = {"room": ["hut", "cabin"], "hours": ["", 2]}
    answer = [] if refuse else [{"light_stove": allowed}]
    return Question(
        f"{category}_{number}", category, "python", "Warm it.", (), [], [TOOL], possible_answer=answer
    )


class Balance(html.parser.HTMLParser):
    """The elements of a page, which must be closed in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert all(name == "class" for name, _ in attrs), attrs
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S))


def test_records_show_query_tools_and_steps_under_their_group():
    view = explore.records([record(0), record(1), record(2), record(0, "Which bus?", "buses")])
    page = view.page()
    Balance(page)
    assert repr(view) == "4 records by source"
    assert (
        "<strong>huts</strong>: 2 of 3 records" in page and "<strong>buses</strong>: 1 of 1 records" in page
    )
    told = text_of(page)
    assert "light_stove" in told and "(room: string, hours?: integer)" in told and "Lights the stove." in told
    assert 'light_stove({"room": "hut"})' in told and "A stove warms." in told and '{"lit": true}' in told
    assert "huts/2" not in told and "3 of 4 records" in told


def test_records_go_by_a_key_of_meta_and_say_where_it_is_missing():
    view = explore.records([record(0, meta={"style": "simple"}), record(1)], by="style")
    assert list(view.groups()) == ["simple", "not said"]


def test_long_lists_and_texts_are_cut_and_say_so():
    tools = [Tool(f"t{number}") for number in range(20)]
    steps = [Step(number, "x" * 900) for number in range(1, 12)]
    long = Trajectory(
        "a/0", "a", tools=[*tools, TOOL], query="q", steps=[*steps[:1], record().steps[0], *steps]
    )
    told = text_of(explore.trajectory_html(long))
    assert "and 13 more" in told and "and 7 more steps" in told and "x" * 901 not in told
    assert "light_stove" in told.split("and 13 more")[0], "a called tool is not cut away"


def test_nothing_that_a_record_says_is_obeyed():
    evil = Trajectory(
        EVIL, EVIL, EVIL, [Tool(EVIL, EVIL, {EVIL: {"type": EVIL}})], query=EVIL,
        steps=[Step(1, EVIL, [ToolCall(EVIL, {EVIL: EVIL})], EVIL, EVIL)],
    )  # fmt: skip
    reject = Reject(EVIL, 0, EVIL, EVIL, EVIL, evil)
    verdict = Verdict("simple_python_0", "simple_python", False, False, EVIL)
    for view in (
        explore.records([evil]),
        explore.errors([explore.of_reject(reject)]),
        explore.answers(
            [question()], {EVIL: {"simple_python_0": EVIL}}, {EVIL: {"simple_python_0": verdict}}
        ),
    ):
        page = view.page()
        assert Balance(page).seen <= {
            "style", "div", "p", "details", "summary", "strong", "dl", "dt", "dd", "ul", "li", "code", "pre",
        }  # fmt: skip
        page.encode()  # no half of a surrogate pair is left
        assert "\x00" not in page and "\u202e" not in page and "\ufffd" in page
        assert view.widget().children[-1].value.count("<script") == 0


@given(st.text(alphabet=st.characters(exclude_categories=[]), max_size=80))
def test_any_text_becomes_html_that_can_be_written(text: str):
    page = explore.rows([(text, explore.pre(text)), (text, explore.line(text))])
    Balance(page)
    json.dumps(page).encode()
    page.encode()


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=60))
def test_a_plain_text_is_shown_as_it_is(text: str):
    assert html.unescape(explore.shown(text)) == text


def test_a_view_stays_below_its_budget():
    many = [record(number, "Warm " * 200, f"source {number % 90}") for number in range(900)]
    page = explore.records(many, each=9).page()
    assert len(page.encode()) <= explore.BUDGET
    assert len(page.encode()) > explore.BUDGET / 2
    Balance(page)


def test_errors_of_trajectories_of_samples_and_of_native_records():
    of_record = Reject(
        "huts", 3, "incorrect argument type", "hours is text", "verify", json.loads(encode(record()))
    )
    sample = {"query": "Warm it.", "tools": [], "answer": '{"answers": []}'}
    of_sample = Reject("synthetic", 4, "answer is not JSON", "no brace", "format", sample)
    of_native = Reject("huts", 5, "not the native shape", "line 7")
    found = [explore.of_reject(reject) for reject in (of_record, of_sample, of_native)]
    assert [f.kind for f in found] == [
        "incorrect argument type",
        "format: answer is not JSON",
        "not the native shape",
    ]
    assert [f.id for f in found] == ["huts/0", "synthetic, record 4", "huts, record 5"]
    told = text_of(explore.errors(found).page())
    for said in ("hours is text", "light_stove(", "no brace", '{"answers": []}', "line 7"):
        assert said in told


def test_an_answer_with_two_kinds_of_mistakes_stands_under_both():
    mistakes = [Mistake("wrong_value", where="a"), Mistake("wrong_value", where="b"), Mistake("extra_call")]
    found = explore.of_answer(question(), "text", mistakes)
    assert [f.kind for f in found] == ["wrong_value", "extra_call"]
    told = text_of(explore.errors(found).page())
    assert "wrong_value at b" in told and "expected" in told and 'room="hut" or "cabin"' in told
    assert explore.of_answer(question(), "text", []) == []


def test_answers_show_each_model_against_what_was_expected():
    asked = [question(0), question(1), question(0, "irrelevance", refuse=True)]
    texts = {"base": {q.id: "Hello" for q in asked}, "tuned": {q.id: "{}" for q in asked[:2]}}
    verdicts = {
        "base": {q.id: Verdict(q.id, q.category, False, False, "ast_decoder:decoder_failed") for q in asked},
        "tuned": {q.id: Verdict(q.id, q.category, q.id != asked[1].id, True) for q in asked},
    }
    view = explore.answers(asked, texts, verdicts)
    assert [item.facets[1] for item in view.items] == ["some right", "none right", "some right"]
    told = text_of(view.page())
    assert "base: wrong, decoder failed" in told and "tuned: right" in told
    assert 'light_stove(room="hut" or "cabin", hours=2 or left out)' in told
    assert "no call" in text_of(explore.one(view, "irrelevance_0")._repr_html_())
    with pytest.raises(ArtifactError, match="simple_python_9"):
        explore.one(view, "simple_python_9")


def test_an_empty_view_says_so():
    view = explore.records([])
    assert "No records in this run." in view.page()
    assert set(view._repr_mimebundle_()) == {"text/plain", "text/html"}


def test_the_widget_filters_and_steps_through_what_is_left():
    view = explore.records([record(0), record(1, "Cool it."), record(0, "Which bus?", "buses")])
    filters, chosen, body = view.widget().children
    source, previous, following = filters.children
    assert [label for label, _ in source.options] == ["all", "huts (2)", "buses (1)"]
    assert chosen.value == 0 and "Warm the hut." in body.value
    source.value = "buses"
    assert [label for label, _ in chosen.options] == ["3. buses/0: Which bus?"] and "Which bus?" in body.value
    source.value = "huts"
    following.click()
    assert chosen.value == 1 and "Cool it." in body.value
    following.click()
    assert chosen.value == 0
    previous.click()
    assert chosen.value == 1


def test_a_run_keeps_html_alone_and_jupyterlab_gets_the_widget(monkeypatch: pytest.MonkeyPatch):
    view = explore.records([record()])
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert set(view._repr_mimebundle_()) == {"text/plain", "text/html"}
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/01_unify.ipynb")
    bundle = view._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert bundle["text/html"] == view.page() and bundle["text/plain"] == repr(view)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert set(view._repr_mimebundle_()) == {"text/plain", "text/html"}
