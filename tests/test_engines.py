"""The compiled engine: the same answers as our own loop, and a conversion that is made once."""

from __future__ import annotations

import json
import sys

import pytest

from xlam_lib import engines
from xlam_lib.endpoint import open_backend
from xlam_lib.engines import CTranslate2Model
from xlam_lib.errors import XlamError
from xlam_lib.generation import generate
from xlam_lib.inference import LocalModel

CHATS = [
    [{"role": "user", "content": text}]
    for text in ("Book a table for two.", "What is the weather in Oslo?", "Add 2 and 3, then multiply by 4.")
]


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLAM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_the_answers_are_those_of_our_own_loop(tiny_model, cached):
    model = LocalModel.load(tiny_model, "ours")
    model.model.float()  # as the engine's is; elsewhere it is bfloat16 where that is fast
    ours = generate(CHATS, model, max_new_tokens=24)
    theirs = generate(CHATS, CTranslate2Model.load(tiny_model, "theirs"), max_new_tokens=24)
    assert theirs == ours
    assert {answer.tokens for answer in theirs} == {24} and {a.finish for a in theirs} == {"length"}


def test_a_stop_token_and_the_end_of_the_json_end_an_answer(tiny_model, cached, monkeypatch):
    model = CTranslate2Model.load(tiny_model)
    (long,) = model.generate(CHATS[:1], 24)
    ids = model.tokenizer(long.text, add_special_tokens=False)["input_ids"]
    monkeypatch.setattr(engines, "ends_json", lambda tokenizer, tokens: len(tokens) == 5)
    (short,) = model.generate(CHATS[:1], 24)
    assert (short.finish, short.tokens) == ("json", 5) and long.text.startswith(short.text) and len(ids) > 5
    model.stop_at_json = False
    fourth = model.engine.generate_batch(
        [model.tokenizer.convert_ids_to_tokens(model.tokenizer.apply_chat_template(
            CHATS[0], add_generation_prompt=True, return_dict=False))],
        max_length=24, include_prompt_in_result=False, sampling_topk=1,
    )[0].sequences[0][3]  # fmt: skip
    model.stops = (fourth,)
    (stopped,) = model.generate(CHATS[:1], 24)
    assert stopped.finish == "stop" and stopped.tokens <= 3


def test_prompts_that_do_not_fit_are_told_apart(tiny_model, cached):
    model = CTranslate2Model.load(tiny_model)
    model.longest = 40
    long = [{"role": "user", "content": "word " * 100}]
    answers = model.generate([long, long], 8)
    assert [answer.finish for answer in answers] == ["context", "context"]
    model.longest = 100
    assert [answer.finish for answer in model.generate([long, CHATS[0]], 8)] == ["context", "length"]


def test_a_checkpoint_is_converted_once_and_found_by_its_content(tiny_model, cached, monkeypatch):
    first = engines._converted(tiny_model, "float32")
    monkeypatch.setattr("ctranslate2.converters.TransformersConverter", None)
    assert engines._converted(tiny_model, "float32") == first
    assert not list(first.parent.glob(".ctranslate2*"))


def test_an_unknown_architecture_is_an_error_that_says_so(tiny_model, cached, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(XlamError, match="odd: ctranslate2 cannot take this checkpoint"):
        CTranslate2Model.load(folder)


def test_without_the_package_it_says_what_to_install(tiny_model, cached, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(XlamError, match="pip install"):
        CTranslate2Model.load(tiny_model)


def test_it_is_one_word_away_and_cannot_hold_to_a_schema(tiny_model, cached):
    backend = open_backend(f"ctranslate2:{tiny_model}")
    assert isinstance(backend, CTranslate2Model)
    with pytest.raises(XlamError, match="cannot hold answers"):
        generate(CHATS, backend, schemas=["{}"] * 3)
