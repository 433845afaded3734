"""The series: shapes of the published sizes, prompts that end where the answer starts, profiles."""

from __future__ import annotations

import subprocess
import sys

import huggingface_hub
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import make_series
from xlam_lib import assets, mixture, models, paper, runs
from xlam_lib.errors import AssetError, ProfileError

XLAM = [model.name for model in paper.MODELS]
PROFILES = {
    "h100-1b-fc": "xLAM-1b-fc-r",
    "h100-7b-fc": "xLAM-7b-fc-r",
    "h100-7b": "xLAM-7b-r",
    "h100-8x7b": "xLAM-8x7b-r",
    "h100-8x22b": "xLAM-8x22b-r",
}


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(assets.embedded_model()))


# ------------------------------------------------------------------------------------------------- series


@pytest.mark.parametrize("reported", paper.MODELS, ids=XLAM)
def test_the_series_is_the_reports_table(reported):
    model = models.SERIES[reported.name]
    assert model.base.split("/")[1].lower().startswith(reported.base.lower().split(" (")[0])
    assert "instruct" in model.base.lower()
    assert (model.kind, model.sft, model.dpo) == (reported.kind, reported.sft.lower(), reported.dpo.lower())
    assert model.context == 1024 * reported.context
    assert model.recipe == ("fc" if model.kind == models.FUNCTION_CALLING else "general")
    decimals = 2 if reported.parameters < 10 else 1 if reported.parameters < 100 else 0
    assert round(models.count_parameters(model).total / 1e9, decimals) == reported.parameters


# The published figures: safetensors' totals on the Hub; 12.9 and 39 billion active, by the Mixtrals' makers.
@pytest.mark.parametrize(
    ("name", "total", "active", "embedding"),
    [
        ("xLAM-1b-fc-r", 1_346_471_936, 1_346_471_936, 2 * 32_256 * 2048),
        ("xLAM-8x7b-r", 46_702_792_704, 12.9e9, 2 * 32_000 * 4096),
        ("xLAM-8x22b-r", 140_630_071_296, 39.2e9, 2 * 32_768 * 6144),
        ("SmolLM2-135M-Instruct", 134_515_008, 134_515_008, 49_152 * 576),
        ("SmolLM2-360M-Instruct", 361_821_120, 361_821_120, 49_152 * 960),
        ("SmolLM2-1.7B-Instruct", 1_711_376_384, 1_711_376_384, 49_152 * 2048),
    ],
)
def test_parameters_are_counted_once_and_only_the_chosen_experts_are_active(name, total, active, embedding):
    count = models.count_parameters(models.SERIES[name])
    assert count.total == total
    assert count.active == pytest.approx(active, rel=5e-3)
    assert count.embedding == embedding


def test_the_embedded_model_has_the_shapes_of_its_checkpoint():
    from transformers import AutoConfig

    model = models.SERIES[assets.EMBEDDED_MODEL]
    checkpoint = AutoConfig.from_pretrained(str(assets.embedded_model()))
    for name, value in model.shapes.items():
        assert getattr(checkpoint, name) == (pytest.approx(value) if name == "rms_norm_eps" else value), name


def test_entries_are_consistent():
    for name, model in models.SERIES.items():
        assert name == model.name
        assert model.recipe in mixture.RECIPES
        assert model.context == model.shapes["max_position_embeddings"]
        assert model.revision is None or (len(model.revision) == 40 and int(model.revision, 16))
        assert models.config(model).eos_token_id is None
    assert len({model.base for model in models.SERIES.values()}) == len(models.SERIES)
    assert models.config(models.SERIES["xLAM-7b-r"]).sliding_window is None
    assert models.config(models.SERIES["xLAM-1b-fc-r"]).rope_parameters["factor"] == 4


def test_a_model_is_found_by_its_name_or_its_base():
    model = models.find("xLAM-7b-r")
    assert models.find("mistralai/Mistral-7B-Instruct-v0.2") is model
    assert models.lookup("someone/other") is None
    with pytest.raises(ProfileError, match=r"'xLAM-9b' is not of the series; .*xLAM-8x22b-r \(mistralai/"):
        models.find("xLAM-9b")


def test_importing_the_series_does_not_import_torch():
    code = "import sys, xlam_lib.models; print('torch' in sys.modules or 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_base_is_fetched_at_its_pinned_revision_and_another_one_wins(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    asked = []

    def download(identifier, revision=None, **_):
        asked.append((identifier, revision))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    model = models.SERIES["xLAM-1b-fc-r"]
    for name in (model.base, f"{model.base}@main", "someone/other"):
        assets.model_folder(name)
    assert asked == [(model.base, model.revision), (model.base, "main"), ("someone/other", None)]


def test_the_name_of_what_training_makes_is_not_taken_for_its_base():
    with pytest.raises(AssetError, match=r"its training starts from mistralai/Mixtral-8x7B-Instruct-v0\.1"):
        assets.model_folder("xLAM-8x7b-r")


# ------------------------------------------------------------------------------------------- tiny models


@pytest.mark.parametrize("name", XLAM)
def test_tiny_models_keep_what_makes_the_architecture(name):
    import torch

    model = models.SERIES[name]
    state = torch.get_rng_state()
    tiny, again, other = (models.tiny(model, 300, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    full, small = models.config(model), tiny.config
    assert type(full) is type(small) and small.vocab_size == 300 and small.num_hidden_layers == 2
    assert tiny.num_parameters() < 1e6 and tiny.dtype == torch.float32
    for kept in (
        "rope_parameters",
        "tie_word_embeddings",
        "rms_norm_eps",
        "sliding_window",
        "num_experts_per_tok",
    ):
        assert getattr(full, kept, None) == getattr(small, kept, None), kept
    assert full.num_attention_heads * small.num_key_value_heads == (
        small.num_attention_heads * full.num_key_value_heads
    )
    weights, same, different = (next(iter(m.parameters())) for m in (tiny, again, other))
    assert torch.equal(weights, same) and not torch.equal(weights, different)
    if "num_local_experts" in model.shapes:
        assert small.num_local_experts == 4


@pytest.mark.parametrize("name", XLAM)
def test_a_tiny_checkpoint_of_every_xlam_model_loads_and_has_gradients(name, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = make_series(tmp_path, name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert tokenizer.chat_template == models.SERIES[name].template
    assert model.config.model_type == models.SERIES[name].shapes["model_type"]
    assert model.config.eos_token_id == tokenizer.eos_token_id
    chat = [{"role": "user", "content": "Which trams stop at the mill?"}]
    ids = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    model(**ids, labels=ids["input_ids"]).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


# ------------------------------------------------------------------------------------------ prompt forms

TEMPLATES = {"deepseek": models.DEEPSEEK, "mistral": models.MISTRAL, "chatml": models.CHATML}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
turns = st.lists(st.tuples(texts, texts), min_size=1, max_size=3)


def render(tokenizer, template, messages, **more):
    return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **more)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@settings(max_examples=30, deadline=None)
@given(turns=turns, system=st.none() | texts)
def test_a_prompt_ends_where_its_answer_starts(tokenizer, template, turns, system):
    messages = [] if system is None else [{"role": "system", "content": system}]
    for question, answer in turns:
        messages.append({"role": "user", "content": question})
        prompt = render(tokenizer, template, messages, add_generation_prompt=True)
        messages.append({"role": "assistant", "content": answer})
        whole = render(tokenizer, template, messages)
        assert whole.startswith(prompt + answer + tokenizer.eos_token)  # as training puts them together
        assert whole[len(prompt + answer + tokenizer.eos_token) :].strip() == ""
        assert question in prompt and (system or "") in prompt


def test_prompt_forms_are_the_bases(tokenizer):
    chat = [{"role": "user", "content": "Hi"}]
    assert render(tokenizer, models.MISTRAL, chat, add_generation_prompt=True).endswith("[INST] Hi [/INST]")
    assert render(tokenizer, models.CHATML, chat, add_generation_prompt=True) == (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    deepseek = render(tokenizer, models.DEEPSEEK, chat, add_generation_prompt=True)
    assert deepseek.startswith(tokenizer.bos_token + "You are")
    assert deepseek.endswith(".\n### Instruction:\nHi\n### Response:\n")
    given_system = [{"role": "system", "content": "Be brief."}, *chat]
    assert render(tokenizer, models.DEEPSEEK, given_system).startswith(f"{tokenizer.bos_token}Be brief.\n###")


@pytest.mark.parametrize("template", [models.DEEPSEEK, models.MISTRAL])
def test_a_role_that_a_form_has_no_place_for_is_an_error(tokenizer, template):
    with pytest.raises(Exception, match="only user and assistant messages"):
        render(tokenizer, template, [{"role": "tool", "content": "7"}])


def test_a_tokenizers_own_template_is_kept(tokenizer):
    own = tokenizer.chat_template
    assert models.with_template(tokenizer, models.SERIES["xLAM-7b-r"]) is tokenizer
    assert tokenizer.chat_template == own != models.MISTRAL


# ----------------------------------------------------------------------------------------------- profiles


@pytest.mark.parametrize(("profile", "name"), PROFILES.items())
def test_a_profile_trains_its_model_as_the_report_does(profile, name):
    values, model = runs.load_profile(profile), models.SERIES[name]
    assert models.find(values["model"]) is model and values["model"] == model.base
    assert values["method"] == model.sft
    assert values["recipe"] == model.recipe
    assert values["warmup_steps"] == 100
    assert values["epochs"] > 1  # "several"
    assert values["example_tokens"] < values["max_tokens"] <= values["batch_tokens"]
    assert max(values["max_tokens"], values["dpo_max_tokens"]) <= model.context
    assert values["learning_rate"] == (5e-6 if model.recipe == "fc" else 1e-5)
    processes = {"one-gpu": 1, "fsdp2-8gpu": 8, "fsdp2-nodes": 16}
    assert values["streams"] % processes[values["launch"]] == 0
    assert values["dpo_streams"] % processes[values["dpo_launch"]] == 0
    assert values["dpo_batch_size"] * values["dpo_accumulation"] * values["dpo_streams"] == 64


def test_the_profiles_are_of_the_whole_series():
    assert {name for name in runs.profiles() if name.startswith("h100")} == set(PROFILES)
    assert list(PROFILES.values()) == XLAM
