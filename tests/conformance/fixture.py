"""The server that the official conformance suite asks for, in both eras.

    fixture.py                   over stdio, in the era that the client opens with
    fixture.py --legacy          over stdio, like a server of 2025-11-25
    fixture.py --http PORT       over HTTP, both eras: what the suite says of the fixture itself

Names and texts are the suite's. Where a tool needs something of the client, it asks by the means of the connection's era: a
request in the middle of the call, or a result that requires input.
"""

from __future__ import annotations

import argparse
import base64
import json
import struct
import sys
import warnings
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import is_version_at_least
from pydantic import BaseModel

warnings.simplefilter("ignore", MCPDeprecationWarning)

Context = ServerRequestContext[Any, Any]
Result = dict[str, Any]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
    + _chunk(b"IEND", b"")
).decode()
_SAMPLES = bytes(8)
_FORMAT = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
WAV = base64.b64encode(
    b"RIFF" + struct.pack("<I", 36 + len(_SAMPLES)) + b"WAVE" + _FORMAT + b"data" + struct.pack("<I", len(_SAMPLES)) + _SAMPLES
).decode()


def modern(context: Context) -> bool:
    return is_version_at_least(context.protocol_version, "2026-07-28")


def text(value: str) -> Result:
    return {"content": [{"type": "text", "text": value}]}


# --- questions ------------------------------------------------------------------------------------------------------------


def form(message: str, required: list[str] | None = None, /, **properties: Any) -> Result:
    schema = {"type": "object", "properties": properties, "required": list(properties) if required is None else required}
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}}


def sample(prompt: str, most: int = 100) -> Result:
    message = {"role": "user", "content": {"type": "text", "text": prompt}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": most}}


ROOTS: Result = {"method": "roots/list", "params": {}}
STRING = {"type": "string"}
NAME = form("What is your name?", name=STRING)
_NEEDS = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}


def capabilities(context: Context) -> Result:
    if not modern(context):
        declared = context.session.client_capabilities
        return declared.model_dump(exclude_none=True) if declared else {}
    meta: Any = context.meta or {}
    collected: Result = meta.get("io.modelcontextprotocol/clientCapabilities", {})
    return collected


def require(context: Context, *needed: str) -> None:
    missing = [name for name in needed if name not in capabilities(context)]
    if missing:
        code = types.MISSING_REQUIRED_CLIENT_CAPABILITY if modern(context) else types.INVALID_REQUEST
        raise MCPError(code, f"the client lacks {missing[0]}", {"requiredCapabilities": {name: {} for name in missing}})


class Asked(Exception):
    """The result that asks a modern client."""

    def __init__(self, result: Result) -> None:
        super().__init__("input required")
        self.result = result


def answers_given(params: Any) -> dict[str, Any]:
    collected: dict[str, Any] = {}
    for key, answer in (params.input_responses or {}).items():
        collected[key] = answer if isinstance(answer, dict) else answer.model_dump(by_alias=True, exclude_none=True, mode="json")
    return collected


async def ask(context: Context, params: Any, questions: dict[str, Result], *, state: str | None = None) -> dict[str, Any]:
    """The client's answers, by the means of the era. Raises: Asked, which a modern client answers by another request."""
    require(context, *(_NEEDS[question["method"]] for question in questions.values()))
    if not modern(context):
        return {key: await _request(context, question) for key, question in questions.items()}
    given = answers_given(params)
    if set(questions) <= set(given):
        if state is not None and params.request_state != state:
            raise MCPError(types.INVALID_PARAMS, "this requestState is not mine")
        return given
    asked: Result = {"resultType": "input_required", "inputRequests": questions}
    raise Asked(asked if state is None else {**asked, "requestState": state})


async def _request(context: Context, question: Result) -> dict[str, Any]:
    model: Any = {
        "elicitation/create": types.ElicitRequest,
        "sampling/createMessage": types.CreateMessageRequest,
        "roots/list": types.ListRootsRequest,
    }[question["method"]]
    answer: Any = {
        "elicitation/create": types.ElicitResult,
        "sampling/createMessage": types.CreateMessageResult,
        "roots/list": types.ListRootsResult,
    }[question["method"]]
    request = model.model_validate(question)
    within = ServerMessageMetadata(related_request_id=context.request_id)
    got = await context.session.send_request(request, answer, metadata=within)
    dumped: dict[str, Any] = got.model_dump(by_alias=True, exclude_none=True, mode="json")
    return dumped


# --- tools ----------------------------------------------------------------------------------------------------------------

SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def _object(**properties: Any) -> Result:
    return {"type": "object", "properties": properties, "required": list(properties)}


SCHEMAS: dict[str, Result] = {
    "test_sampling": _object(prompt=STRING),
    "test_elicitation": _object(message=STRING),
    "test_x_mcp_header": _object(region={"type": "string", "x-mcp-header": "Region"}),
    "json_schema_2020_12_tool": SCHEMA_2020_12,
}
NAMES = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_error_handling",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "json_schema_2020_12_tool",
    "test_x_mcp_header",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
]
IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}


def resource(uri: str, mime: str, body: str) -> Result:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": body}}


CONTENT: dict[str, Result] = {
    "test_simple_text": text("This is a simple text response for testing."),
    "test_image_content": {"content": [IMAGE]},
    "test_audio_content": {"content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]},
    "test_embedded_resource": {
        "content": [resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
    },
    "test_multiple_content_types": {
        "content": [
            {"type": "text", "text": "Multiple content types test:"},
            IMAGE,
            resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ]
    },
    "test_error_handling": {**text("This tool intentionally returns an error for testing"), "isError": True},
    "test_logging_tool": text("done"),
}
DEFAULTS = form(
    "Please confirm or change",
    [],
    name={"type": "string", "default": "John Doe"},
    age={"type": "integer", "default": 30},
    score={"type": "number", "default": 95.5},
    status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    verified={"type": "boolean", "default": True},
)
OPTIONS = ["option1", "option2", "option3"]
TITLED = [{"const": "value1", "title": "First Option"}, {"const": "value2", "title": "Second Option"}]
ENUMS = form(
    "Please choose",
    [],
    untitledSingle={"type": "string", "enum": OPTIONS},
    titledSingle={"type": "string", "oneOf": [*TITLED, {"const": "value3", "title": "Third Option"}]},
    legacyEnum={"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
    untitledMulti={"type": "array", "items": {"type": "string", "enum": OPTIONS}},
    titledMulti={"type": "array", "items": {"anyOf": [*TITLED, {"const": "value3", "title": "Third Choice"}]}},
)
CONFIRM = form("Please confirm", ok={"type": "boolean"})


def typed(
    handler: Callable[[Context, Any], Awaitable[Result]], model: type[BaseModel]
) -> Callable[[Context, Any], Awaitable[Any]]:
    """The SDK adds what an era requires only to its own models."""

    async def handle(context: Context, params: Any) -> BaseModel:
        result = await handler(context, params)
        asks = result.get("resultType") == "input_required"
        return (types.InputRequiredResult if asks else model).model_validate(result)

    return handle


class Fixture:
    """The server and what can change in it."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.extra_tool = self.extra_prompt = False
        self.server: Server[Any] = Server(
            "conformance-fixture",
            version="1.0.0",
            instructions="Everything that the conformance suite asks for.",
            on_list_tools=typed(self.list_tools, types.ListToolsResult),
            on_call_tool=typed(self.call_tool, types.CallToolResult),
            on_list_prompts=typed(self.list_prompts, types.ListPromptsResult),
            on_get_prompt=typed(self.get_prompt, types.GetPromptResult),
            on_list_resources=typed(self.list_resources, types.ListResourcesResult),
            on_list_resource_templates=typed(self.list_templates, types.ListResourceTemplatesResult),
            on_read_resource=typed(self.read_resource, types.ReadResourceResult),
            on_subscribe_resource=typed(self.accept, types.EmptyResult),
            on_unsubscribe_resource=typed(self.accept, types.EmptyResult),
            on_set_logging_level=typed(self.accept, types.EmptyResult),
            on_completion=typed(self.complete, types.CompleteResult),
            on_subscriptions_listen=ListenHandler(self.bus),
        )
        self.server.middleware.append(RequestStateBoundary(RequestStateSecurity(keys=[b"k" * 32]), default_audience="fixture"))
        changes = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        self.options = self.server.create_initialization_options(changes)

    async def accept(self, context: Context, params: Any) -> Result:
        return {}

    # --- tools ------------------------------------------------------------------------------------------------------------

    async def list_tools(self, context: Context, params: Any) -> Result:
        names = [*NAMES, *(["test_dynamic"] if self.extra_tool else [])]
        tools = [
            {"name": name, "description": name.replace("_", " "), "inputSchema": SCHEMAS.get(name, {"type": "object"})}
            for name in names
        ]
        return {"tools": tools}

    async def call_tool(self, context: Context, params: Any) -> Result:
        if params.name in CONTENT:
            return CONTENT[params.name]
        handler = getattr(self, params.name, None) if params.name in NAMES else None
        if handler is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        try:
            result: Result = await handler(context, params)
        except Asked as asked:
            return asked.result
        return result

    async def json_schema_2020_12_tool(self, context: Context, params: Any) -> Result:
        return text(json.dumps(params.arguments))

    async def test_x_mcp_header(self, context: Context, params: Any) -> Result:
        return text(json.dumps(params.arguments))

    async def test_tool_with_logging(self, context: Context, params: Any) -> Result:
        for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await context.session.send_log_message("info", words, related_request_id=context.request_id)
            await anyio.sleep(0.05)
        return text("logged")

    async def test_tool_with_progress(self, context: Context, params: Any) -> Result:
        for done in (0, 50, 100):
            await context.session.report_progress(done, 100)
            await anyio.sleep(0.05)
        return text("progressed")

    async def test_reconnection(self, context: Context, params: Any) -> Result:
        if context.close_sse_stream is not None:
            await context.close_sse_stream()
        await anyio.sleep(0.1)
        return text("reconnected")

    async def test_sampling(self, context: Context, params: Any) -> Result:
        got = await ask(context, params, {"q": sample(params.arguments["prompt"])})
        return text(f"LLM response: {got['q']['content']['text']}")

    async def test_elicitation(self, context: Context, params: Any) -> Result:
        described = {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        }
        got = await ask(context, params, {"q": form(params.arguments["message"], **described)})
        return text(f"User response: action={got['q']['action']}, content={json.dumps(got['q'].get('content'))}")

    async def _elicited(self, context: Context, params: Any, question: Result) -> Result:
        got = await ask(context, params, {"q": question})
        return text(f"Elicitation completed: action={got['q']['action']}, content={json.dumps(got['q'].get('content'))}")

    async def test_elicitation_sep1034_defaults(self, context: Context, params: Any) -> Result:
        return await self._elicited(context, params, DEFAULTS)

    async def test_elicitation_sep1330_enums(self, context: Context, params: Any) -> Result:
        return await self._elicited(context, params, ENUMS)

    async def test_streaming_elicitation(self, context: Context, params: Any) -> Result:
        return await self._elicited(context, params, CONFIRM)

    async def test_missing_capability(self, context: Context, params: Any) -> Result:
        require(context, "sampling")
        return text("sampling is there")

    async def test_trigger_tool_change(self, context: Context, params: Any) -> Result:
        self.extra_tool = not self.extra_tool
        await self.bus.publish(ToolsListChanged())
        if not modern(context):
            await context.session.send_tool_list_changed()
        return text("changed")

    async def test_trigger_prompt_change(self, context: Context, params: Any) -> Result:
        self.extra_prompt = not self.extra_prompt
        await self.bus.publish(PromptsListChanged())
        if not modern(context):
            await context.session.send_prompt_list_changed()
        return text("changed")

    async def test_input_required_result_elicitation(self, context: Context, params: Any) -> Result:
        got = await ask(context, params, {"user_name": NAME})
        return text(f"Hello, {got['user_name']['content']['name']}!")

    async def test_input_required_result_sampling(self, context: Context, params: Any) -> Result:
        got = await ask(context, params, {"capital_question": sample("What is the capital of France?")})
        return text(got["capital_question"]["content"]["text"])

    async def test_input_required_result_list_roots(self, context: Context, params: Any) -> Result:
        got = await ask(context, params, {"client_roots": ROOTS})
        return text(", ".join(root["uri"] for root in got["client_roots"]["roots"]))

    async def test_input_required_result_request_state(self, context: Context, params: Any) -> Result:
        await ask(context, params, {"confirm": CONFIRM}, state="state of one")
        return text("state-ok")

    async def test_input_required_result_tampered_state(self, context: Context, params: Any) -> Result:
        return await self.test_input_required_result_request_state(context, params)

    async def test_input_required_result_multiple_inputs(self, context: Context, params: Any) -> Result:
        questions = {"user_name": NAME, "greeting": sample("Generate a greeting", 50), "client_roots": ROOTS}
        got = await ask(context, params, questions, state="state of three")
        return text(json.dumps(got))

    async def test_input_required_result_multi_round(self, context: Context, params: Any) -> Result:
        first = {"step1": form("Step 1: What is your name?", name=STRING)}
        second = {"step2": form("Step 2: What is your favorite color?", color=STRING)}
        if modern(context) and params.request_state == "round 2":
            got = await ask(context, params, second, state="round 2")
        else:
            await ask(context, params, first, state="round 1")
            if modern(context):
                raise Asked({"resultType": "input_required", "inputRequests": second, "requestState": "round 2"})
            got = await ask(context, params, second)
        return text(f"color {got['step2']['content']['color']}")

    async def test_input_required_result_capabilities(self, context: Context, params: Any) -> Result:
        can = capabilities(context)
        questions = {"user_name": NAME, "greeting": sample("Generate a greeting", 50)}
        allowed = {key: question for key, question in questions.items() if _NEEDS[question["method"]] in can}
        return text(json.dumps(await ask(context, params, allowed)))

    # --- prompts ----------------------------------------------------------------------------------------------------------

    async def list_prompts(self, context: Context, params: Any) -> Result:
        arguments = {
            "test_prompt_with_arguments": ["arg1", "arg2"],
            "test_prompt_with_embedded_resource": ["resourceUri"],
        }
        names = ["test_simple_prompt", *arguments, "test_prompt_with_image", "test_input_required_result_prompt"]
        prompts = [
            {
                "name": name,
                "description": name.replace("_", " "),
                "arguments": [{"name": argument, "required": True} for argument in arguments.get(name, [])],
            }
            for name in [*names, *(["test_dynamic_prompt"] if self.extra_prompt else [])]
        ]
        return {"prompts": prompts}

    async def get_prompt(self, context: Context, params: Any) -> Result:
        given = params.arguments or {}
        prompt_text = {"type": "text", "text": "Please process the embedded resource above."}
        if params.name == "test_simple_prompt":
            contents: list[Result] = [{"type": "text", "text": "This is a simple prompt for testing."}]
        elif params.name == "test_prompt_with_arguments":
            words = f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"
            contents = [{"type": "text", "text": words}]
        elif params.name == "test_prompt_with_embedded_resource":
            contents = [resource(given["resourceUri"], "text/plain", "Embedded resource content for testing."), prompt_text]
        elif params.name == "test_prompt_with_image":
            contents = [IMAGE, {"type": "text", "text": "Please analyze the image above."}]
        elif params.name == "test_input_required_result_prompt":
            question = form("What context should the prompt use?", context=STRING)
            try:
                got = await ask(context, params, {"user_context": question})
            except Asked as asked:
                return asked.result
            contents = [{"type": "text", "text": f"Use {got['user_context']['content']['context']}"}]
        else:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
        return {"messages": [{"role": "user", "content": content} for content in contents]}

    # --- resources --------------------------------------------------------------------------------------------------------

    async def list_resources(self, context: Context, params: Any) -> Result:
        mimes = {"static-text": "text/plain", "static-binary": "image/png", "watched-resource": "text/plain"}
        collected = [
            {"uri": f"test://{name}", "name": name, "description": name.replace("-", " "), "mimeType": mime}
            for name, mime in mimes.items()
        ]
        return {"resources": collected}

    async def list_templates(self, context: Context, params: Any) -> Result:
        template = {"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"}
        return {"resourceTemplates": [{**template, "description": "Data by id"}]}

    async def read_resource(self, context: Context, params: Any) -> Result:
        uri = str(params.uri)
        if uri == "test://static-binary":
            return {"contents": [{"uri": uri, "mimeType": "image/png", "blob": PNG}]}
        texts = {
            "test://static-text": "This is the content of the static text resource.",
            "test://watched-resource": "Watched.",
        }
        if uri in texts:
            return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": texts[uri]}]}
        id = uri.removeprefix("test://template/").removesuffix("/data")
        if uri != f"test://template/{id}/data":
            code = types.INVALID_PARAMS if modern(context) else -32002
            raise MCPError(code, "Resource not found", {"uri": uri})
        body = json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": body}]}

    async def complete(self, context: Context, params: Any) -> Result:
        values = [name for name in ("paris", "park", "party") if name.startswith(params.argument.value)]
        return {"completion": {"values": values, "total": len(values), "hasMore": False}}

    # --- life -------------------------------------------------------------------------------------------------------------

    async def serve_stdio(self, *, legacy: bool) -> None:
        async with stdio_server() as (source, target):
            if legacy:
                await serve_loop(self.server, source, target, lifespan_state={}, init_options=self.options)
            else:
                await self.server.run(source, target, self.options)

    def serve_http(self, port: int) -> None:
        import uvicorn

        app = self.server.streamable_http_app(host="127.0.0.1")
        # h11, because httptools leaves white space around header values
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", http="h11")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--legacy", action="store_true")
    parser.add_argument("--http", type=int, metavar="PORT")
    args = parser.parse_args()
    if args.http:
        Fixture().serve_http(args.http)
    else:
        anyio.run(lambda: Fixture().serve_stdio(legacy=args.legacy))
    sys.exit(0)


if __name__ == "__main__":
    main()
