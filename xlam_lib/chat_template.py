"""A conversation in OpenAI's form as our prompt: in Python, and as a chat template that an engine renders.

A model of this book reads one user message that holds tools, query and earlier steps
(:mod:`xlam_lib.prompts`). Clients send ``messages`` and ``tools`` instead. :func:`read_conversation` makes a
trajectory of them, so that :func:`render` gives the very prompt the model was trained on; :func:`template` is
the same as Jinja, for engines that build prompts themselves. A test holds the two together, through
``apply_chat_template`` of ``transformers``.

The template takes JSON Schema's own type names as they stand (the importers and OpenAI's clients write no
others), and is for the formats whose history is JSON (``json`` and ``json_thought``).

**vLLM.** Read, and never run here: no GPU was at hand. vLLM renders chat templates with ``transformers`` and
hands over the arguments of earlier calls as objects. Of its readers of answers, the one named ``xlam`` (as of
vLLM 0.19 and of its repository after that) takes a JSON *list* of ``{"name", "arguments"}``: bare, in a code
fence, after ``[TOOL_CALLS]``, in ``<tool_call>`` or after ``</think>``. An object ``{"tool_calls": [...]}``,
which our format ``json`` is, it passes on as text. So :func:`write` puts a reader of a few lines beside the
template (``--tool-parser-plugin``), and :func:`vllm_command` names both.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlam_lib import prompts
from xlam_lib.errors import ArtifactError, ProfileError, SchemaError
from xlam_lib.formats import ParseError, dump_json, get_format, load_json
from xlam_lib.generation import Message
from xlam_lib.records import write_text
from xlam_lib.schema import Step, Tool, ToolCall, Trajectory, tool_from_openai, validate

TEMPLATE_FILE, PARSER_FILE, PARSER = "tool_template.jinja", "tool_parser.py", "xlam_book"
_TEMPLATED = ("json", "json_thought")
_MARK = "\0"

# --------------------------------------------------------------------------------------------- in Python


@dataclass(frozen=True)
class Prompting:
    """How prompts are written; it has to be the way in which the model was trained.

    Attributes: ``style`` (a name in :data:`xlam_lib.prompts.STYLES`), ``length`` of the instructions
    (``full`` or ``brief``) and the output ``format``.
    """

    style: str = "plain"
    length: str = "brief"
    format: str = "json"

    def __post_init__(self) -> None:
        if self.style not in prompts.STYLES:
            raise ProfileError(
                f"prompt style {self.style!r} is unknown; choose one of {', '.join(prompts.STYLES)}"
            )
        if self.length not in prompts.LENGTHS:
            raise ProfileError(
                f"instruction length {self.length!r} is unknown; choose one of {', '.join(prompts.LENGTHS)}"
            )
        get_format(self.format)

    @property
    def instruction(self) -> str:
        """The task instruction, to which a client's system message is added."""
        brief = self.length == "brief"
        if get_format(self.format).has_thought:
            return prompts.TASK_INSTRUCTION_AGENT_BRIEF if brief else prompts.TASK_INSTRUCTION_AGENT
        return prompts.TASK_INSTRUCTION_FC_BRIEF if brief else prompts.TASK_INSTRUCTION_FC


def read_tools(tools: Sequence[Mapping[str, Any]]) -> list[Tool]:
    """Tools in OpenAI's form.

    Raises
    ------
    SchemaError
        One is no function, has no name or no usable schema, or two share a name.
    """
    read: list[Tool] = []
    for index, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or tool.get("type", "function") != "function":
            raise SchemaError(f"tools[{index}]: is not of type 'function'; no other tools can be called here")
        try:
            read.append(tool_from_openai(tool))
        except SchemaError as error:
            raise SchemaError(f"tools[{index}]: {error}") from None
    faults = list(validate(Trajectory("conversation", "conversation", query="?", tools=read)))
    if faults:
        raise SchemaError("; ".join(faults))
    return read


def read_conversation(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool], prompting: Prompting
) -> Trajectory:
    """The conversation as a trajectory whose steps are the assistant's turns so far.

    The user's first words are the query, later ones the ``user_input`` of the turn before; what an assistant
    said is its ``thought``; the results of one turn's calls are joined by newlines. System messages follow
    our own task instruction.

    Raises
    ------
    SchemaError
        A message is not of OpenAI's form, a call has no result, or a result no call; the message says which.
    """
    system, query, steps = [], [], []
    said: list[str] = query  # what the user says next belongs here
    results: list[str] = []
    waiting: list[str] = []  # ids of calls without a result

    def close() -> None:
        if waiting:
            raise SchemaError(f"messages: the call {waiting[0]!r} has no result; send a tool message for it")
        if steps:
            steps[-1].next_observation = "\n".join(results)
            steps[-1].user_input = "\n".join(said)
        results.clear()

    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role")
        text = _text(message.get("content"), f"{where}.content")
        if role in ("system", "developer"):
            system.append(text)
        elif role == "user":
            if waiting:
                raise SchemaError(
                    f"{where}: the call {waiting[0]!r} has no result; send its tool message first"
                )
            said += [text] if text else []
        elif role == "assistant":
            if not query:
                raise SchemaError(f"{where}: an assistant message stands before the user's first")
            close()
            said = []
            made = _calls(message, where)
            steps.append(Step(len(steps) + 1, text, [call for _, call in made]))
            waiting = [identity for identity, _ in made]
        elif role == "tool":
            identity = str(message.get("tool_call_id"))
            if identity not in waiting:
                raise SchemaError(
                    f"{where}.tool_call_id: {identity!r} is no call of the assistant message before it"
                    + (f"; waiting are {', '.join(waiting)}" if waiting else "")
                )
            waiting.remove(identity)
            results.append(text)
        else:
            raise SchemaError(f"{where}.role: {role!r} is unknown; use system, user, assistant or tool")
    close()
    if not query:
        raise SchemaError("messages: hold no words of the user; add a message of role 'user'")
    if messages[-1].get("role") == "assistant":
        raise SchemaError("messages: end with the assistant's turn; end with the user's or a tool's")
    return Trajectory(
        unique_trajectory_id="conversation",
        source="conversation",
        task_instruction=prompting.instruction + "".join(f"\n{text}" for text in system),
        tools=list(tools),
        query="\n".join(query),
        steps=steps,
        meta={"format": prompting.format},
    )


def _text(content: Any, where: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
        for part in content
    ):
        return "".join(part["text"] for part in content)
    raise SchemaError(f"{where}: is neither text nor a list of text parts; this model reads text only")


def _calls(message: Mapping[str, Any], where: str) -> list[tuple[str, ToolCall]]:
    """The calls of an assistant's message with their ids."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise SchemaError(f"{where}.tool_calls: is not a list")
    made = [_call(call, f"{where}.tool_calls[{number}]") for number, call in enumerate(calls)]
    return [(str(call.get("id")), one) for call, one in zip(calls, made, strict=True)]


def _call(call: Any, where: str) -> ToolCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise SchemaError(f"{where}: has no function with a name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = load_json(arguments or "{}")
        except ParseError as error:
            raise SchemaError(f"{where}.function.arguments: {error}") from None
    if not isinstance(arguments, Mapping):
        raise SchemaError(f"{where}.function.arguments: is not a JSON object, nor text that holds one")
    return ToolCall(function["name"], dict(arguments))


def render(conversation: Trajectory, prompting: Prompting) -> list[Message]:
    """The chat that a model is asked with: our prompt as one user message."""
    prompt = prompts.render_prompt(
        conversation,
        prompting.style,
        history=conversation.steps,
        format=prompting.format,
        length=prompting.length,
    )
    return [{"role": "user", "content": prompt}]


def plain_chat(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """A conversation without tools, for an answer in words: results of calls become the user's words.

    Neighbouring messages of one role are joined, since some models' templates want roles to alternate.
    """
    system: list[str] = []
    turns: list[Message] = []
    called: dict[str, str] = {}

    def add(role: str, text: str) -> None:
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n\n{text}"
        elif text:
            turns.append({"role": role, "content": text})

    for index, message in enumerate(messages):
        text, role = _text(message.get("content"), f"messages[{index}].content"), message.get("role")
        if role in ("system", "developer"):
            system.append(text)
        elif role == "tool":
            add("user", f"Result of {called.get(str(message.get('tool_call_id')), 'a call')}: {text}")
        elif role in ("user", "assistant"):
            for identity, call in _calls(message, f"messages[{index}]"):
                called[identity] = f"{call.name}({dump_json(call.arguments)})"
            if text:
                add(role, text)
        else:
            raise SchemaError(
                f"messages[{index}].role: {role!r} is unknown; use system, user, assistant or tool"
            )
    if not turns:
        raise SchemaError("messages: hold no words of the user; add a message of role 'user'")
    return [*([{"role": "system", "content": "\n".join(system)}] if system else []), *turns]


# ------------------------------------------------------------------------------------------- as a template

# Every tag strips the white space around it, so the text below is laid out for reading.
_SCHEMA = """
{%- macro shown(schema, required) -%}
  {%- set at = namespace(comma="", said=false) -%}
  {{- "{" -}}
  {%- for key, value in schema.items() -%}
    {%- if key == "required" -%}
      {%- if value is boolean and (value or required) -%}
        {{- at.comma ~ '"required": true' -}}
        {%- set at.comma = ", " -%}
        {%- set at.said = true -%}
      {%- endif -%}
    {%- else -%}
      {{- at.comma ~ key | tojson ~ ": " -}}
      {%- set at.comma = ", " -%}
      {%- if key == "items" and value is mapping -%}
        {{- shown(value, false) -}}
      {%- elif key == "properties" and value is mapping -%}
        {{- listed(schema) -}}
      {%- elif key == "type" and value is sequence and value is not string and value | length == 1 -%}
        {{- value[0] | tojson -}}
      {%- else -%}
        {{- value | tojson -}}
      {%- endif -%}
    {%- endif -%}
  {%- endfor -%}
  {%- if required and not at.said -%}
    {{- at.comma ~ '"required": true' -}}
  {%- endif -%}
  {{- "}" -}}
{%- endmacro -%}
{%- macro listed(schema) -%}
  {%- set needed = schema["required"] -%}
  {%- if needed is not sequence or needed is string -%}
    {%- set needed = [] -%}
  {%- endif -%}
  {{- "{" -}}
  {%- for name, child in (schema["properties"] or {}).items() -%}
    {{- ("" if loop.first else ", ") ~ name | tojson ~ ": " ~ shown(child, name in needed) -}}
  {%- endfor -%}
  {{- "}" -}}
{%- endmacro -%}
"""
_HISTORY = """
{%- macro step(at) -%}
  {{- '{"step_id": ' ~ at.number ~ ', "thought": ' ~ at.thought | tojson -}}
  {{- ', "tool_calls": [' ~ at.calls ~ '], "next_observation": ' ~ at.seen | tojson -}}
  {{- ', "user_input": ' ~ at.said | tojson ~ "}" -}}
{%- endmacro -%}
{%- set at = namespace(system="", query="", steps="", number=0, thought="", calls="", seen="", said="") -%}
{%- set at.results = 0 -%}
{%- for message in messages -%}
  {%- set text = message["content"] or "" -%}
  {%- if message["role"] in ("system", "developer") -%}
    {%- set at.system = at.system ~ "\\n" ~ text -%}
  {%- elif message["role"] == "user" and at.number == 0 -%}
    {%- set at.query = at.query ~ ("\\n" if at.query and text else "") ~ text -%}
  {%- elif message["role"] == "user" -%}
    {%- set at.said = at.said ~ ("\\n" if at.said and text else "") ~ text -%}
  {%- elif message["role"] == "tool" -%}
    {%- set at.seen = at.seen ~ ("\\n" if at.results else "") ~ text -%}
    {%- set at.results = at.results + 1 -%}
  {%- else -%}
    {%- if at.number -%}
      {%- set at.steps = at.steps ~ step(at) ~ ", " -%}
    {%- endif -%}
    {%- set at.number = at.number + 1 -%}
    {%- set at.thought = text -%}
    {%- set at.calls = "" -%}
    {%- set at.seen = "" -%}
    {%- set at.results = 0 -%}
    {%- set at.said = "" -%}
    {%- for call in message["tool_calls"] or [] -%}
      {%- set function = call["function"] -%}
      {%- set arguments = function["arguments"] -%}
      {%- if arguments is string -%}
        {%- set arguments = arguments or "{}" -%}
      {%- else -%}
        {%- set arguments = arguments | tojson -%}
      {%- endif -%}
      {%- set at.calls = at.calls ~ ("" if loop.first else ", ") ~ '{"name": ' ~ function["name"] | tojson
          ~ ', "arguments": ' ~ arguments ~ "}" -%}
    {%- endfor -%}
  {%- endif -%}
{%- endfor -%}
"""
_TOOLS = """
{{- "[" -}}
{%- for tool in tools -%}
  {%- set function = tool["function"] or tool -%}
  {{- ("" if loop.first else ", ") ~ '{"name": ' ~ function["name"] | tojson -}}
  {{- ', "description": ' ~ (function["description"] or "") | tojson -}}
  {{- ', "parameters": ' ~ listed(function["parameters"] or {}) ~ "}" -}}
{%- endfor -%}
{{- "]" -}}
"""


def template(base: str, prompting: Prompting) -> str:
    """The chat template (Jinja) of an engine that is to send our prompts.

    Where a request has tools, it makes the prompt of ``messages`` and ``tools`` and hands it as the only
    message to ``base``, the model's own template; without tools, ``base`` gets the messages as they are.

    Raises
    ------
    ProfileError
        The format's history is not JSON.
    """
    if prompting.format not in _TEMPLATED:
        raise ProfileError(
            f"format {prompting.format!r}: no template for it; choose one of {', '.join(_TEMPLATED)}"
        )
    fmt = get_format(prompting.format)
    wanted = fmt.brief if prompting.length == "brief" else fmt.instruction
    bodies = {
        "task_instruction": f"{{{{- {_quoted(prompting.instruction)} ~ at.system -}}}}",
        "tools": _TOOLS,
        "format_instruction": f"{{{{- {_quoted(wanted)} -}}}}",
        "query": "{{- at.query -}}",
        "history": '{{- "[" ~ at.steps ~ step(at) ~ "]" -}}',
    }
    parts = []
    for name, body in bodies.items():
        before, after = prompts.STYLES[prompting.style](name, _MARK).split(_MARK)
        gap = "\n\n" if parts else ""
        part = f"{{{{- {_quoted(gap + before)} -}}}}{body}{{{{- {_quoted(after)} -}}}}"
        parts.append(f"{{%- if at.number -%}}{part}{{%- endif -%}}" if name == "history" else part)
    return (
        f"{{%- if tools -%}}{_SCHEMA}{_HISTORY}"
        f"{{%- set prompt -%}}{''.join(parts)}{{%- endset -%}}"
        '{%- set messages = [{"role": "user", "content": prompt}] -%}'
        f"{{%- set tools = none -%}}{{%- endif -%}}{base}"
    )


def _quoted(text: str) -> str:
    """A text as a literal of Jinja, which reads JSON's escapes."""
    return json.dumps(text)


_PARSER = '''"""Reads the answers of this model, {"tool_calls": [...]}, for vLLM (--tool-parser-plugin)."""

import json

try:
    from vllm.entrypoints.openai.engine.protocol import (
        DeltaMessage, ExtractedToolCallInformation, FunctionCall, ToolCall,
    )
    from vllm.tool_parsers.abstract_tool_parser import ToolParser, ToolParserManager
except ImportError:  # vLLM before 2026
    from vllm.entrypoints.openai.protocol import (
        DeltaMessage, ExtractedToolCallInformation, FunctionCall, ToolCall,
    )
    from vllm.entrypoints.openai.tool_parsers.abstract_tool_parser import ToolParser, ToolParserManager


@ToolParserManager.register_module("xlam_book")
class XlamBookToolParser(ToolParser):
    def extract_tool_calls(self, model_output, request):
        try:
            answer = json.loads(model_output)
            calls = []
            for call in answer["tool_calls"]:
                arguments = json.dumps(call["arguments"], ensure_ascii=False)
                calls.append(ToolCall(function=FunctionCall(name=call["name"], arguments=arguments)))
        except (ValueError, KeyError, TypeError):
            return ExtractedToolCallInformation(tools_called=False, tool_calls=[], content=model_output)
        said = answer.get("thought") or None
        return ExtractedToolCallInformation(tools_called=bool(calls), tool_calls=calls, content=said)

    def extract_tool_calls_streaming(self, previous_text, current_text, delta_text, *rest):
        return DeltaMessage(content=delta_text)  # streamed as text: ask for calls without stream
'''


def write(folder: str | Path, prompting: Prompting, base: str | Path | None = None) -> tuple[Path, Path]:
    """Write template and reader for vLLM beside an exported model; return the two files.

    Parameters
    ----------
    folder
        Where to write.
    base
        The checkpoint whose own chat template is wrapped; by default ``folder`` itself.

    Raises
    ------
    ArtifactError
        The checkpoint brings no chat template.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(base or folder), trust_remote_code=False)
    if not isinstance(tokenizer.chat_template, str):
        raise ArtifactError(f"{base or folder}: its tokenizer has no chat template; fine-tune it first")
    files = (Path(folder) / TEMPLATE_FILE, Path(folder) / PARSER_FILE)
    write_text(files[0], template(tokenizer.chat_template, prompting))
    write_text(files[1], _PARSER)
    return files


def vllm_command(model: str | Path, folder: str | Path, adapter: str | Path | None = None) -> str:
    """The command that serves ``model`` by vLLM with the files that :func:`write` left in ``folder``.

    With a LoRA ``adapter`` requests name the model ``own``. Not tried here (see the module's text).
    """
    words = ["vllm", "serve", str(model), "--chat-template", str(Path(folder) / TEMPLATE_FILE)]
    words += ["--enable-auto-tool-choice", "--tool-parser-plugin", str(Path(folder) / PARSER_FILE)]
    words += ["--tool-call-parser", PARSER]
    if adapter is not None:
        words += ["--enable-lora", "--lora-modules", f"own={adapter}"]
    return shlex.join(words)
