"""A library of APIs: functions with their tools, what queries about them say, and who executes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xlam_lib.errors import SchemaError
from xlam_lib.schema import Tool, type_matches
from xlam_lib.synthesis.grammar import Draw, Template, parse
from xlam_lib.synthesis.signatures import tool_of

if TYPE_CHECKING:
    from xlam_lib.synthesis.execute import Executor, Limits

REPORT_CATEGORIES = (
    "Finance", "Data", "Sports", "Travel", "Technology", "Social", "Media", "Entertainment", "Tools",
    "Math", "Business", "Gaming", "Music", "Commerce", "Environment", "Education", "Communication",
    "Lifestyle", "Health", "Other", "Science",
)  # fmt: skip
"""The 21 categories of APIGen's API library, largest share first."""


@dataclass(frozen=True)
class Function:
    """One executable function and what is needed to write queries for it.

    Attributes
    ----------
    name, category, tool
        The tool's name (may be dotted), its category and its tool.
    call
        The Python function, which is run in worker processes only; None where a service is called instead.
    draws, joint
        Slot to its draw, and slot to the key ``a,b`` of slots drawn together.
    asks
        Query templates; each names every required parameter outside ``[...]``.
    missing
        Templates that leave a required parameter out, so no call can be made.
    bad
        A parameter and a well-typed value for which the function raises.
    kin
        Functions of one kin could answer each other's queries and are never offered together.
    needs
        Modules that the function imports when it is called; a worker imports them before its first call.
    """

    name: str
    category: str
    tool: Tool
    call: Callable[..., Any] | None = None
    draws: Mapping[str, Draw] = field(default_factory=dict)
    joint: Mapping[str, str] = field(default_factory=dict)
    asks: tuple[Template, ...] = ()
    missing: tuple[Template, ...] = ()
    bad: tuple[str, Any] | None = None
    kin: str = ""
    needs: tuple[str, ...] = ()


class Registry:
    """A library of APIs: functions by name, and how their calls are executed.

    ``registry.api(...)`` is the decorator that adds a Python function.

    Attributes
    ----------
    name
        For tables and data cards.
    source, path
        Where worker processes find this registry: ``module:NAME`` or ``/path/file.py:NAME``, and folders
        for their import path.
    functions
        What can be offered.
    hidden
        Functions that can be run but are never offered (the planted faults use them).
    executable
        False for tools that nobody can call: the execution check does not apply to them.
    skipped
        What an importer could not take, by name, each with its reason.
    """

    def __init__(
        self,
        source: str = "",
        *,
        name: str = "",
        path: Sequence[str] = (),
        opener: Callable[[int, Limits | None], Executor] | None = None,
        executable: bool = True,
    ) -> None:
        self.source, self.name, self.path = source, name or source, tuple(path)
        self.opener, self.executable = opener, executable
        self.functions: dict[str, Function] = {}
        self.hidden: dict[str, Function] = {}
        self.skipped: dict[str, str] = {}

    def open(self, workers: int = 1, limits: Limits | None = None) -> Executor:
        """What executes calls of this library: a pool of worker processes unless ``opener`` gives another."""
        if self.opener is not None:
            return self.opener(workers, limits)
        from xlam_lib.synthesis.execute import Pool

        return Pool(workers, registry=self.source, limits=limits, path=self.path)

    def subset(self, keep: Callable[[Function], bool]) -> Registry:
        """The library with only the functions that ``keep`` says true of; they are executed as before."""
        part = Registry(
            self.source, name=self.name, path=self.path, opener=self.opener, executable=self.executable
        )
        part.functions = {name: function for name, function in self.functions.items() if keep(function)}
        part.hidden, part.skipped = self.hidden, self.skipped
        return part

    def add(self, function: Function, hidden: bool = False) -> None:
        """Add a function.

        Raises
        ------
        SchemaError
            A template whose slots do not fit the function, or a name taken already.
        """
        _check(function)
        if self.find(function.name):
            raise SchemaError(f"function {function.name!r}: the name is taken; choose another")
        (self.hidden if hidden else self.functions)[function.name] = function

    def api(
        self,
        category: str,
        name: str = "",
        *,
        slots: Mapping[str, Draw] | None = None,
        asks: Sequence[str] = (),
        missing: Sequence[str] = (),
        bad: tuple[str, Any] | None = None,
        kin: str = "",
        needs: Sequence[str] = (),
        hidden: bool = False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register the decorated function; parameters as in :class:`Function`.

        Raises
        ------
        SchemaError
            A type or description that cannot be derived, a template whose slots do not fit the
            function, or a name taken already.
        """

        def register(call: Callable[..., Any]) -> Callable[..., Any]:
            tool = tool_of(call, name)
            self.add(
                Function(
                    tool.name,
                    category,
                    tool,
                    call,
                    dict(slots or {}),
                    joint_of(slots or {}),
                    tuple(map(parse, asks)),
                    tuple(map(parse, missing)),
                    bad,
                    kin,
                    tuple(needs),
                ),
                hidden,
            )
            return call

        return register

    def find(self, name: str) -> Function | None:
        """The function of that name, hidden ones included, or None."""
        return self.functions.get(name) or self.hidden.get(name)


def joint_of(draws: Mapping[str, Draw]) -> dict[str, str]:
    """Slot to the key ``a,b`` of the slots that are drawn together with it."""
    return {part: key for key in draws if "," in key for part in key.split(",")}


def _check(function: Function) -> None:
    parameters = function.tool.parameters
    required = {name for name, schema in parameters.items() if schema["required"]}
    drawn = {part for key in function.draws for part in key.split(",")}
    where = f"function {function.name!r}"
    if drawn - parameters.keys():
        raise SchemaError(f"{where}: slots {sorted(drawn - parameters.keys())} are no parameters of it")
    for template in (*function.asks, *function.missing):
        if template.slots - drawn:
            raise SchemaError(
                f"{where}: {template.source!r} has slots without values {template.slots - drawn}"
            )
    for template in function.asks:
        if required - template.certain:
            raise SchemaError(f"{where}: {template.source!r} lacks {sorted(required - template.certain)}")
    for template in function.missing:
        if required <= template.slots:
            raise SchemaError(f"{where}: {template.source!r} should leave a required parameter out")
    if function.bad and function.bad[0] not in parameters:
        raise SchemaError(f"{where}: the bad value is for {function.bad[0]!r}, which is no parameter of it")


def value_fault(value: Any, schema: Mapping[str, Any], path: str) -> tuple[str, str] | None:
    """What is wrong with a JSON value under a schema, as (reason, detail), or None; any depth."""
    kind = schema.get("type")
    if not type_matches(value, schema):
        return "incorrect argument type", f"{path}: {value!r} is not of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return "value outside the enum", f"{path}: {value!r} is not one of {schema['enum']}"
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            fault = value_fault(item, schema["items"], f"{path}[{index}]")
            if fault:
                return fault
    elif isinstance(value, dict) and "properties" in schema:
        return arguments_fault(value, schema["properties"], path)
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for key, item in value.items():
            fault = value_fault(item, schema["additionalProperties"], f"{path}.{key}")
            if fault:
                return fault
    return None


def arguments_fault(
    arguments: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]], path: str
) -> tuple[str, str] | None:
    """What is wrong with a call's arguments under a flat parameter map, or None."""
    for name in arguments:
        if name not in parameters:
            return "undefined argument passed", f"{path}.{name}: not among {sorted(parameters)}"
    for name, schema in parameters.items():
        if name in arguments:
            fault = value_fault(arguments[name], schema, f"{path}.{name}")
            if fault:
                return fault
        elif schema.get("required") is True:
            return "required argument missing", f"{path}.{name}: is required"
    return None
