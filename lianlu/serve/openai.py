"""What OpenAI clients ask for, checked and turned into prompts and sampling parameters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lianlu.errors import UserError
from lianlu.model.template import ChatTemplate
from lianlu.serve.engine import Engine
from lianlu.serve.grammar import json_grammar
from lianlu.serve.request import SamplingParams, Task

CHAT_TOKENS = 512
"""The reply's limit where a chat request gives none. Admission reserves the worst case of each
request: with the whole context for each, one or two would keep all others waiting."""
COMPLETION_TOKENS = 16
"""The same of a completion request, as OpenAI has it."""


class BadRequest(Exception):
    """A request that cannot be answered; `param` names the field at fault."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class Body(BaseModel):
    """Fields that we do not know are ignored: clients send more every year."""

    model_config = ConfigDict(extra="ignore")


Limit = Annotated[int, Field(ge=1)]


class TextPart(Body):
    type: Literal["text"]
    text: str


class CalledFunction(Body):
    name: str
    arguments: str


class ToolCall(Body):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Body):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None

    def plain(self) -> dict[str, Any]:
        """As the chat template takes it."""
        values = self.model_dump(exclude_none=True)
        return values | ({"role": "system"} if self.role == "developer" else {})


class Function(Body):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Body):
    type: Literal["function"]
    function: Function


class NamedFunction(Body):
    name: str


class NamedTool(Body):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Body):
    name: str
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Body):
    include_usage: bool = False


class Sampled(Body):
    """What both kinds of request share. Ranges are checked by `SamplingParams`."""

    model: str
    max_tokens: Limit | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[int, float] | None = None
    n: Annotated[int, Field(ge=1, le=16)] = 1
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    seed: int | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    return_token_ids: bool = False
    """Ours: token ids of prompt and choices, and log-probabilities, for exact trajectories."""


class ChatRequest(Sampled):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Limit | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool = "auto"


class CompletionRequest(Sampled):
    """POST /v1/completions."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: int | None = None
    echo: Literal[False] = False
    suffix: Literal[None] = None


def chat_tasks(body: ChatRequest, engine: Engine) -> list[Task]:
    """One task for each of `n` choices.

    Raises:
        BadRequest: fields that contradict each other, the model or their ranges.
    """
    template = engine.template
    if template is None:
        raise BadRequest("this model has no chat template: use /v1/completions", "messages")
    tools = _tools(body)
    try:
        prompt = template.encode([m.plain() for m in body.messages], tools, generate=True)
        grammar = _grammar(body, tools, template)
    except UserError as error:
        raise BadRequest(str(error), "messages") from error
    if body.top_logprobs is not None and not body.logprobs:
        raise BadRequest("top_logprobs needs logprobs: true", "top_logprobs")
    logprobs = (body.top_logprobs or 0) if body.logprobs or body.return_token_ids else None
    limit = body.max_completion_tokens or body.max_tokens
    return _choices(body, [prompt], limit, logprobs, grammar, engine)


def completion_tasks(body: CompletionRequest, engine: Engine) -> list[Task]:
    """`n` tasks for each prompt, prompt by prompt.

    Raises:
        BadRequest: as `chat_tasks`.
    """
    prompts: list[list[int]] = []
    given: Sequence[Any] = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if given and isinstance(given[0], int):
        given = [given]
    for prompt in given:
        ids = engine.tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
        # A base model has only ever seen documents behind the end of another one.
        prompts.append(ids or [i for i in [engine.tokenizer.eos_id] if i is not None])
    if not prompts:
        raise BadRequest("prompt is empty", "prompt")
    logprobs = 0 if body.logprobs is None and body.return_token_ids else body.logprobs
    limit = COMPLETION_TOKENS if body.max_tokens is None else body.max_tokens
    return _choices(body, prompts, limit, logprobs, None, engine)


def _choices(
    body: Sampled,
    prompts: Sequence[list[int]],
    limit: int | None,
    logprobs: int | None,
    grammar: str | None,
    engine: Engine,
) -> list[Task]:
    given = {
        "top_p": body.top_p,
        "top_k": body.top_k,
        "min_p": body.min_p,
        "repetition_penalty": body.repetition_penalty,
        "frequency_penalty": body.frequency_penalty,
        "presence_penalty": body.presence_penalty,
        "logit_bias": body.logit_bias,
        "seed": body.seed,
    }
    tasks = []
    for prompt in prompts:
        room = max(1, min(engine.context - len(prompt), CHAT_TOKENS))
        try:
            params = SamplingParams(
                max_tokens=room if limit is None else limit,
                temperature=1.0 if body.temperature is None else body.temperature,
                stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
                stop_ids=tuple(body.stop_token_ids or ()),
                ignore_eos=body.ignore_eos,
                logprobs=logprobs,
                grammar=grammar,
                **{key: value for key, value in given.items() if value is not None},  # type: ignore[arg-type]
            )
        except ValueError as error:
            field = str(error).split()[0]
            raise BadRequest(
                str(error), field if field in type(body).model_fields else None
            ) from error
        for i in range(body.n):
            seed = None if body.seed is None else body.seed + i
            tasks.append(Task(prompt, replace(params, seed=seed)))
    return tasks


def _tools(body: ChatRequest) -> list[dict[str, Any]] | None:
    if not body.tools or body.tool_choice == "none":
        if body.tool_choice not in ("none", "auto"):
            raise BadRequest("tool_choice asks for a call and there are no tools", "tool_choice")
        return None
    return [tool.model_dump(exclude_none=True) for tool in body.tools]


def _grammar(
    body: ChatRequest, tools: list[dict[str, Any]] | None, template: ChatTemplate
) -> str | None:
    """What the reply is constrained to: a form of JSON, text or a call, a call, nothing."""
    form = body.response_format
    if form is not None and form.type != "text":
        if tools:
            raise BadRequest("response_format cannot be combined with tools", "response_format")
        if form.type == "json_object":
            return json_grammar()
        if form.json_schema is None:
            raise BadRequest("response_format.json_schema is missing", "response_format")
        return json_grammar(form.json_schema.schema_)
    if not tools:
        return None
    if body.tool_choice == "auto":
        return template.tool_grammar(tools)
    named = body.tool_choice.function.name if isinstance(body.tool_choice, NamedTool) else None
    return template.call_grammar(tools, named)
