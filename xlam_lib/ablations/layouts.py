"""Records written back in the layout of their source: the "raw" arm of the ablation (xLAM report, figure 3).

Each source writes tools, request and calls in a way of its own, and a model that is trained on raw data meets
them all. A layout is one of these ways: how a prompt of one step looks and how its calls are written. The
words around the data are ours; what is the source's is the shape (see the module of each source in
:mod:`xlam_lib.sources`).

A layout can write any record, so a record of another source can stand in where a source has too few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xlam_lib.formats import calls_as_data, dump_json, get_format
from xlam_lib.schema import Tool, ToolCall, Trajectory, tool_to_openai

_PYTHON_TYPES = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list",
    "object": "dict", "null": "None",
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """One way to write a step: ``prompt`` of a trajectory without its steps, and ``answer`` of its calls."""

    name: str
    prompt: Callable[[Trajectory], str]
    answer: Callable[[Sequence[ToolCall]], str]


def _annotation(schema: Mapping[str, Any]) -> str:
    """A JSON Schema type as the Python annotation that xlam-60k writes."""
    declared = schema.get("type")
    names = declared if isinstance(declared, list) else [declared or "string"]
    kinds = [_PYTHON_TYPES.get(str(name), "str") for name in names]
    kind = kinds[0] if len(kinds) == 1 else f"Union[{', '.join(kinds)}]"
    return kind if schema.get("required") is True else f"{kind}, optional"


def _annotated(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Tools with flat parameters and annotations; choices stand in the description, which is all there is."""
    return [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": {
                name: {"description": _described(schema), "type": _annotation(schema)}
                | ({"default": schema["default"]} if "default" in schema else {})
                for name, schema in tool.parameters.items()
            },
        }
        for tool in tools
    ]


def _described(schema: Mapping[str, Any]) -> str:
    text = str(schema.get("description", ""))
    return f"{text} One of {', '.join(map(str, schema['enum']))}." if "enum" in schema else text


def _functions(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Tools as OpenAI's functions, without the wrapper."""
    return [tool_to_openai(tool)["function"] for tool in tools]


# The prompts ------------------------------------------------------------------------------------------------
# Each explains itself at about the length of the unified prompt's sections, so that no arm reads more.


def _rows(record: Trajectory) -> str:
    return (
        "A row of a table of requests for functions. Its answers are a JSON list with one entry for each "
        "call, and an entry has the name of a function among the tools and its arguments. Arguments whose"
        " type says optional may be left out. A str is written in quotes, an int or a float without, a "
        "bool is true or false, and a list stands in brackets. The list of answers is empty where none of"
        " the tools can serve the query, and nothing stands beside it.\n"
        f"query: {record.query}\ntools: {dump_json(_annotated(record.tools))}\nanswers:"
    )


def _fenced(record: Trajectory) -> str:
    return (
        "[BEGIN OF TASK INSTRUCTION]\nChoose the functions that serve the request and fill in their "
        "parameters. Where none does, choose none.\n[END OF TASK INSTRUCTION]\n\n"
        f"[BEGIN OF AVAILABLE TOOLS]\n{dump_json(_annotated(record.tools))}\n[END OF AVAILABLE TOOLS]\n\n"
        "Write the calls as a JSON list of names and arguments between two fences.\n\n"
        f"[BEGIN OF QUERY]\n{record.query}\n[END OF QUERY]"
    )


def _dialogue(record: Trajectory) -> str:
    return (
        "system: You are an assistant that talks with a human and has the functions below. When the human"
        " asks for something that a function can do, write the call as JSON with its name and arguments, "
        "each call on a line of its own and nothing beside it. Arguments that are required must be there."
        " Otherwise say in words that it cannot be done.\n"
        f"tools: {dump_json(_functions(record.tools))}\nhuman: {record.query}\ngpt:"
    )


def _literals(record: Trajectory) -> str:
    apis = [
        {"api_name": tool["name"], "api_description": tool["description"], "parameters": tool["parameters"]}
        for tool in _annotated(record.tools)
    ]
    return (
        "The list below has APIs that were found for a task. Fulfil the task with them: write a list with"
        " one entry for each call, with the api, its parameters and a number for its response. The names "
        "of the api and of the parameters are those of the list, and the values come from the task. Write"
        " an empty list if no API of the list fulfils the task.\n"
        f'api_list = {apis}\ntask_instruction = "{record.query}"\nOutput:'
    )


def _actions(record: Trajectory) -> str:
    return (
        "You can use APIs to fulfil what the user wants. Write the Action, which is the name of an API "
        "and nothing else, and the Action Input, which is a JSON object with the parameters that it "
        "needs; after that the next Action, if one is needed. Every required parameter must be given. End"
        " with a Final Answer where no API helps.\n"
        f"APIs: {dump_json(_functions(record.tools))}\nUser: {record.query}\nAssistant:"
    )


def _requests(record: Trajectory) -> str:
    return (
        "Write the API requests that the user's words ask for, in the form [ApiName(key1=value1, "
        "key2=value2), ...]. Take the names and keys from the API descriptions and the values from what "
        "the user says. A text stands in quotes, a number does not. Write several requests in one list, "
        "one after the other, where the user asks for several things, and an empty list where no API is "
        "of use. Do not explain the requests, and do not ask the user anything.\n"
        f"API descriptions: {dump_json(_annotated(record.tools))}\n"
        f"User: {record.query}\nGenerate API Request:"
    )


# The answers ------------------------------------------------------------------------------------------------


def _call_lines(calls: Sequence[ToolCall]) -> str:
    if not calls:
        return "I am sorry, none of my functions can do that."
    return "\n".join(dump_json(call) for call in calls_as_data(calls))


def _literal_calls(calls: Sequence[ToolCall]) -> str:
    return str(
        [
            {"api": call.name, "parameters": call.arguments, "responses": [f"API_call_{number}"]}
            for number, call in enumerate(calls)
        ]
    )


def _as(name: str) -> Callable[[Sequence[ToolCall]], str]:
    return lambda calls: get_format(name).render(calls, "")


def _json_fence(calls: Sequence[ToolCall]) -> str:
    return f"```\n{get_format('json_list').render(calls, '')}\n```"


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("rows", _rows, _as("json_list")),
        Layout("fenced", _fenced, _json_fence),
        Layout("dialogue", _dialogue, _call_lines),
        Layout("literals", _literals, _literal_calls),
        Layout("actions", _actions, _as("react")),
        Layout("requests", _requests, _as("python")),
    )
}
SOURCE_LAYOUTS: dict[str, str] = {
    "xlam_60k": "rows",
    "hammer": "fenced",
    "glaive": "dialogue",
    "seal_tools": "literals",
    "toolbench": "actions",
    "toolalpaca": "actions",
    "api_bank": "requests",
}
"""The sources whose records are single requests for calls, and the layout of each."""


def write(record: Trajectory, layout: str) -> tuple[str, str]:
    """A one-step record as prompt and answer in a layout.

    Raises
    ------
    ParseError
        The layout has no way to write the calls (a name of several lines, say).
    """
    chosen = LAYOUTS[layout]
    return chosen.prompt(record), chosen.answer(record.steps[0].tool_calls)
