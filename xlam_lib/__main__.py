"""The command line: ``python -m xlam_lib run|build|assets|bench``."""

from __future__ import annotations

import argparse
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

    bench = commands.add_parser("bench", help="measure one part against its named baseline")
    bench.add_argument("name", help="a module of xlam_lib.bench")
    bench.add_argument("arguments", nargs=argparse.REMAINDER)

    options = parser.parse_args(arguments)
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
    else:
        from xlam_lib import bench

        bench.main(options.name, options.arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
