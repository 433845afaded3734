"""The command line: ``python -m xlam_lib run|build|assets|synthesize|train|serve|bench``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from xlam_lib.errors import XlamError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status (1: an error, printed in one paragraph)."""
    parser = argparse.ArgumentParser(prog="python -m xlam_lib", description="The xLAM reproducibility book.")
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="execute the notebooks of a profile through papermill")
    run.add_argument("--profile", default="laptop", help="a name in notebooks/profiles, or a YAML file")
    run.add_argument("--run-id", help="the run's folder below papermill_runs/ (default: the profile's name)")
    run.add_argument("--only", nargs="+", metavar="NOTEBOOK", help="these notebooks alone, such as 06_sft")
    run.add_argument("--no-resume", action="store_true", help="run every notebook again")
    run.add_argument("-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))

    build = commands.add_parser("build", help="build the book from a run's executed notebooks")
    build.add_argument("--run", default="laptop", help="the run (below papermill_runs/)")

    commands.add_parser("assets", help="fetch, check and convert the embedded model and the benchmark")

    make = commands.add_parser("synthesize", help="verified function-calling data for your own APIs")
    make.add_argument("apis", help="tools.py, openapi.yaml, tools.json, a.module, or mcp:COMMAND")
    make.add_argument("--out", required=True, help="folder for the data, what was rejected, and the release")
    make.add_argument("--count", type=int, default=1000, help="samples asked for")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--workers", type=int, default=1, help="processes or connections that execute calls")
    make.add_argument("--base-url", help="of a REST service, where its document does not say")
    make.add_argument("--unsafe", action="store_true", help="call operations that change things, too")
    make.add_argument("--model", default="", help="generate with this model; templates without")
    make.add_argument("--endpoint", default="", help="an OpenAI-compatible server that serves the model")
    make.add_argument("--key-env", default="", help="the environment variable that holds the server's key")

    train = commands.add_parser("train", help="run a training job; each process of a launched training does")
    train.add_argument("job", help="the JSON file that chapters 6 and 7 write")

    serve = commands.add_parser("serve", help="an OpenAI-compatible server for one model, on this machine")
    serve.add_argument("model", help="the folder of a checkpoint")
    serve.add_argument("--adapter", help="a LoRA adapter's folder, merged into it")
    serve.add_argument("--name", help="what requests call the model (default: the last folder's name)")
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in: set a key then")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--key-env", default="", help="the environment variable that holds the clients' key")
    serve.add_argument("--style", default="plain", help="the prompt style that the model was trained with")
    serve.add_argument("--free", action="store_true", help="do not hold calls to the tools' schemas")

    bench = commands.add_parser("bench", help="measure one part against its named baseline")
    bench.add_argument("name", help="a module of xlam_lib.bench")
    bench.add_argument("arguments", nargs=argparse.REMAINDER)

    options = parser.parse_args(arguments)
    options.typed = shlex.join(
        ["python", "-m", "xlam_lib", *(sys.argv[1:] if arguments is None else arguments)]
    )
    try:
        return _run(options)
    except XlamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(options: Any) -> int:
    if options.command == "run":
        from xlam_lib import runs

        overrides = {name: yaml.safe_load(value) for name, value in options.parameters}
        runs.execute(
            options.profile, options.run_id, options.only, resume=not options.no_resume, overrides=overrides
        )
    elif options.command == "build":
        from xlam_lib.build import build

        print(build(options.run))
    elif options.command == "assets":
        from xlam_lib import assets

        for name, folder in assets.prepare().items():
            print(f"{name}: {folder}")
    elif options.command == "synthesize":
        _synthesize(options)
    elif options.command == "train":
        from pathlib import Path

        from xlam_lib.train import job

        return job.main(Path(options.job))
    elif options.command == "serve":
        _serve(options)
    else:
        from xlam_lib import bench

        bench.main(options.name, options.arguments)
    return 0


def _serve(options: Any) -> None:
    import os
    from pathlib import Path

    from xlam_lib import serve
    from xlam_lib.chat_template import Prompting
    from xlam_lib.errors import ProfileError
    from xlam_lib.inference import LocalModel

    key = os.environ.get(options.key_env, "") if options.key_env else ""
    if options.key_env and not key:
        raise ProfileError(f"the variable {options.key_env} is not set; put the clients' key into it")
    prompting = Prompting(options.style)
    name = options.name or Path(options.adapter or options.model).resolve().name
    # A chat's next turn goes on from what was read for the last one.
    model = LocalModel.load(options.model, name, adapter=options.adapter, keep=8192)
    worker = serve.Worker(model, serve.Limits())
    service = serve.Service(name, worker, prompting, key=key, held=not options.free)
    serve.run(service, options.host, options.port)


def _synthesize(options: Any) -> None:
    from tqdm import tqdm

    from xlam_lib.synthesis.generators import open_generator
    from xlam_lib.synthesis.own import make_data_set

    generator = open_generator(
        options.model, options.endpoint, options.key_env, answers=f"{options.out}/answers.jsonl"
    )
    more: dict[str, Any] = {"base_url": options.base_url} if options.base_url else {}
    if options.unsafe:
        more["unsafe"] = True
    with tqdm(total=options.count, unit="sample") as bar:

        def told(done: int, _: int) -> None:
            bar.update(done - bar.n)

        made = make_data_set(
            options.apis,
            options.out,
            count=options.count,
            seed=options.seed,
            workers=options.workers,
            generator=generator,
            progress=told,
            command=options.typed,
            **more,
        )
    for name, reason in made.library.skipped.items():
        print(f"not imported: {name}: {reason}")
    total = made.result.funnel.total
    print(
        f"{total.asked} asked, {total.verified} verified; turned away: {total.fail_format} by the format "
        f"check, {total.fail_execution} by execution, {total.fail_semantic} by the semantic check, "
        f"{total.duplicate} as duplicates"
    )
    print(f"{made.release.written} written to {made.release.paths['README.md'].parent}")


if __name__ == "__main__":
    sys.exit(main())
