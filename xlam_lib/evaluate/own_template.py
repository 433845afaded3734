"""Asking a model in the way it was released for: its own chat template, with the tools handed to it.

The unified prompt is the default everywhere. Later xLAM models (and most models for function calling) have
a chat template that writes the tools themselves; :func:`chat` and :class:`OwnTemplate` use it::

    model = OwnTemplate.load(assets.model_folder("Salesforce/xLAM-2-1b-fc-r"))
    answers = generate([chat(question) for question in questions], model)

A template without tools, as with the report's first models, is an error rather than a question without
tools: their published prompt is the unified one, ``messages(trajectory(question, "full"), "brackets")``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from xlam_lib.errors import ProfileError
from xlam_lib.evaluate.questions import Question
from xlam_lib.formats import dump_json
from xlam_lib.generation import Message
from xlam_lib.inference import LocalModel
from xlam_lib.schema import tool_to_openai

TOOLS_ROLE = "tools"


def chat(question: Question) -> list[Message]:
    """A question as a chat whose first message, of the role ``tools``, holds the tools in OpenAI's form."""
    tools = [tool_to_openai(tool) for tool in question.tools]
    return [
        {"role": TOOLS_ROLE, "content": dump_json(tools)},
        *({"role": role, "content": content} for role, content in question.messages),
    ]


class OwnTemplate(LocalModel):
    """A local model that is asked through its own chat template; a chat without tools is as usual."""

    def encode(self, chat: Sequence[Message]) -> list[int]:
        """A chat's token ids, up to and including the header of the assistant's turn.

        Raises
        ------
        ProfileError
            The template fails on the chat, or does not show its tools.
        """
        if not chat or chat[0]["role"] != TOOLS_ROLE:
            return super().encode(chat)
        text = prompt(self.tokenizer, chat, self.name)
        return list(self.tokenizer.encode(text, add_special_tokens=False))


def prompt(tokenizer: Any, chat: Sequence[Message], name: str = "the model") -> str:
    """The text that a tokenizer's chat template makes of a chat with tools; ``name`` is for messages.

    Raises
    ------
    ProfileError
        The template fails on the chat, or does not show its tools.
    """
    tools = json.loads(chat[0]["content"])
    try:
        text = tokenizer.apply_chat_template(
            list(chat[1:]), tools=tools, add_generation_prompt=True, tokenize=False
        )
    except Exception as error:  # templates are programs of their own and raise what they like
        raise ProfileError(
            f"{name}: its chat template cannot write this chat ({type(error).__name__}: {error}); "
            "ask it with the unified prompt"
        ) from error
    missing = [tool["function"]["name"] for tool in tools if tool["function"]["name"] not in text]
    if missing:
        raise ProfileError(
            f"{name}: its chat template does not show the tool {missing[0]!r}; "
            "ask it with the unified prompt (style brackets)"
        )
    return text
