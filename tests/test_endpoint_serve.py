"""The HTTP back end against a server that others wrote: ``transformers serve`` with the embedded model.

What it is and is not: it answers one request after the other, and it samples only for a model whose own
generation settings say so (``do_sample``); for all others any temperature is greedy.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from xlam_lib import assets
from xlam_lib.endpoint import Endpoint, EndpointError
from xlam_lib.synthesis import ModelGenerator, synthesize

pytest.importorskip("fastapi", reason="the server's packages are not installed: transformers[serving]")
pytest.importorskip("uvicorn", reason="the server's packages are not installed: transformers[serving]")

pytestmark = pytest.mark.slow

START_S = 120
"""Until the server answers, most of which is importing torch: 12 s on two cores, 48 s where six processes
share them."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@dataclass
class Serving:
    """``transformers serve`` as a process; it loads the model that a request names, from a folder."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.folder / "hub").mkdir(exist_ok=True)
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_CACHE": str(self.folder / "hub"),
            "OMP_NUM_THREADS": "1",  # with as many threads as cores, a busy machine is six times slower
            "TOKENIZERS_PARALLELISM": "false",
        }
        command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--device", "cpu"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                answer = httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5, trust_env=False)
                if answer.status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        said = (self.folder / "log").read_text(errors="replace")[-2000:]
        self.kill()
        raise AssertionError(f"the server did not start within {START_S} s:\n{said}")

    def kill(self) -> None:
        """SIGKILL, as when it runs out of memory."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Serving]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serving = Serving(tmp_path_factory.mktemp("serving"), port)
    try:
        serving.start()
        yield serving
    finally:
        serving.kill()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """The embedded model, with generation settings that let a request ask for sampling."""
    folder = tmp_path_factory.mktemp("model")
    for file in assets.embedded_model().iterdir():
        (folder / file.name).symlink_to(file)
    generation = json.loads((folder / "generation_config.json").read_text()) | {"do_sample": True}
    (folder / "generation_config.json").unlink()
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return str(folder)


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


CHATS = [chat("Name a fruit."), chat("What is two plus three?"), chat("Say hello in French.")]
ONE_TOOL = {"styles": {"simple": 1.0}, "irrelevant": 0.0}  # prompts as short as can be


def endpoint(server: Serving, model: str, **settings) -> Endpoint:
    settings = {"concurrency": 2, "retries": 1, "backoff_s": 0.2, "timeout_s": 60.0} | settings
    return Endpoint(server.url, model, **settings)


def test_greedy_answers_are_equal_and_their_tokens_counted(server, model):
    backend = endpoint(server, model)
    first = backend.complete(CHATS, max_new_tokens=10)
    assert backend.complete(CHATS, max_new_tokens=10) == first
    assert len({answer.text for answer in first}) == 3 and all(answer.text for answer in first)
    for answer in first:
        assert answer.prompt_tokens > 20 and 1 <= answer.tokens <= 10
        assert answer.finish == ("length" if answer.tokens == 10 else "stop")
    usage = backend.usage
    assert (usage.requests, usage.retries, usage.answers, usage.uncounted) == (6, 0, 6, 0)
    assert usage.prompt_tokens == 2 * sum(answer.prompt_tokens for answer in first)
    assert usage.completion_tokens == 2 * sum(answer.tokens for answer in first)


def test_sampled_answers_follow_the_seed(server, model):
    """One request at a time: the server has one random state for all of them."""

    def draw(seed: int) -> list[str]:
        backend = endpoint(server, model, temperature=0.9, seed=seed, concurrency=1)
        return [answer.text for answer in backend.complete([CHATS[0]] * 2, max_new_tokens=8)]

    first, again, later = draw(0), draw(0), draw(1)
    assert first == again
    assert first[1] == later[0]  # the n-th of equal requests is sent seed + n
    assert len({*first, *later}) > 1


def test_temperature_changes_nothing_unless_the_model_s_settings_sample(server):
    folder = assets.embedded_model()
    assert "do_sample" not in json.loads((folder / "generation_config.json").read_text())
    greedy = endpoint(server, str(folder)).complete(CHATS[:1], max_new_tokens=6)
    hot = endpoint(server, str(folder), temperature=1.5, seed=1)
    assert hot.complete(CHATS[:1], max_new_tokens=6) == greedy


def test_a_model_that_is_not_there_is_an_error_with_its_reason(server, tmp_path):
    with pytest.raises(EndpointError, match="HTTP 500"):
        endpoint(server, str(tmp_path / "none"), retries=1).complete(CHATS[:1])


def test_a_synthesis_runs_through_it_and_a_rerun_sends_nothing(server, model, tmp_path):
    journal = tmp_path / "journal.jsonl"
    backend = endpoint(server, model, temperature=0.7, journal=journal)
    generator = ModelGenerator(backend, settings=ONE_TOOL, max_new_tokens=48)
    result = synthesize(4, tmp_path / "first", generator=generator)
    total = result.funnel.total
    assert total.asked == 4 == len(journal.read_bytes().splitlines())
    failed = total.fail_format + total.fail_execution + total.fail_semantic
    assert failed + total.duplicate + total.verified == 4
    assert backend.usage.requests == 4 and generator.usage.tokens == backend.usage.completion_tokens
    assert 4 <= generator.usage.tokens <= 4 * 48 and generator.usage.prompt_tokens > 4 * 100
    assert result.cost.tokens["generation"] == generator.usage.tokens + generator.usage.prompt_tokens

    backend = endpoint(server, model, temperature=0.7, journal=journal)
    repeated = ModelGenerator(backend, settings=ONE_TOOL, max_new_tokens=48)
    again = synthesize(4, tmp_path / "again", generator=repeated)
    assert (backend.usage.requests, backend.usage.journalled) == (0, 4)
    for name, path in result.paths.items():
        assert path.read_bytes() == again.paths[name].read_bytes()


def test_a_server_that_is_killed_and_started_again(server, model, tmp_path):
    journal = tmp_path / "journal.jsonl"
    chats = [*CHATS, chat("Name a colour.")]
    killed = 0.0

    def kill(done: int, total: int) -> None:
        nonlocal killed
        if done == 2:
            server.kill()
            killed = time.monotonic()

    first = endpoint(server, model, concurrency=1)
    try:
        with pytest.raises(EndpointError, match=r"request 2 failed 2 times.*check the server"):
            first.complete(chats, journal, max_new_tokens=6, progress=kill)
        assert killed and time.monotonic() - killed < 10
        assert first.usage.answers == 2 == len(journal.read_bytes().splitlines())
    finally:
        server.start()
    second = endpoint(server, model, concurrency=1)
    answers = second.complete(chats, journal, max_new_tokens=6)
    assert (second.usage.requests, second.usage.journalled) == (2, 2)
    assert len(answers) == len(journal.read_bytes().splitlines()) == 4
    assert answers[:2] == endpoint(server, model).complete(chats[:2], max_new_tokens=6)
