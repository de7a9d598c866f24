"""The bounds of what peers can send: `python -m tests.support.limits` prints docs/limits.md, with the values that the code has.

A row names its constant: `module:NAME` of the gateway, `module:Class.field` for a default, `file.go:name` of the bridge.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from .paths import ROOT

PAGE = ROOT / "docs" / "limits.md"
_BRIDGE = ROOT / "gateway" / "bridge"
_GO_UNITS = {"time.Second": 1, "time.Minute": 60, "time.Millisecond": 0.001}


def size(value: float) -> str:
    """Bytes, in the largest unit that is whole."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if value >= 1 << shift and value % (1 << shift) == 0:
            return f"{int(value) >> shift} {unit}"
    return f"{int(value)} bytes"


def count(value: float) -> str:
    """A number of things."""
    return f"{int(value):,}"


def time(value: float) -> str:
    """Seconds."""
    return f"{value:g} s"


def rate(value: float) -> str:
    """Bytes a second."""
    return f"{size(value)}/s"


def characters(value: float) -> str:
    """A number of characters."""
    return f"{int(value):,} characters"


def share(value: float) -> str:
    """A part of a whole."""
    return f"{100 * value:g} %"


@dataclass(frozen=True)
class Limit:
    """One row. `test` has one case at the bound and one beyond."""

    what: str
    source: str
    shown: Callable[[float], str]
    then: str  # at the bound
    test: str
    field: str = "constant"
    metric: str = "—"


def value_of(source: str) -> Any:
    """The value of a constant. Raises: AttributeError, ImportError, LookupError, when there is none of that name."""
    module, _, name = source.partition(":")
    if module.endswith(".go"):
        return _go_constant(module, name)
    found = importlib.import_module(f"mcpgateway.{module}")
    owner, _, member = name.partition(".")
    if not member:
        return getattr(found, owner)
    owner_type = getattr(found, owner)
    if issubclass(owner_type, msgspec.Struct):
        return next(field.default for field in msgspec.structs.fields(owner_type) if field.name == member)
    return owner_type.__dataclass_fields__[member].default


def _go_constant(file: str, name: str) -> float:
    declared = re.search(rf"^(?:const)?\s*{name}\s*=\s*([^/\n]+)", (_BRIDGE / file).read_text(), re.MULTILINE)
    if declared is None:
        raise LookupError(f"{file} has no constant {name}")
    value = 1.0
    shift = re.fullmatch(r"(\d+) << (\d+)", declared[1].strip())
    if shift:
        return int(shift[1]) << int(shift[2])
    for factor in declared[1].split("*"):
        value *= _GO_UNITS.get(factor.strip()) or float(factor.replace("_", ""))
    return value


EDGE = "tests/gateway/test_edge_requests.py"
BATCHES = "tests/gateway/test_batches.py"
EDGE_BOUNDS = "tests/gateway/test_edge_bounds.py"
FAIRNESS = "tests/gateway/test_fairness.py"
INVALID = "it is dropped"
COUNTED = "`mcpgateway_upstream_invalid_messages_total`"
SURROGATES = "tests/property/test_decoder.py::test_surrogates_are_searched_up_to_the_bound"
WAITING = "tests/gateway/test_waiting_calls.py"
STREAMS = "tests/gateway/test_streams.py"
ERAS = "tests/gateway/test_upstream_eras.py"
LISTS = "tests/gateway/test_upstream_lists.py"
NOISE = "tests/gateway/test_upstream_noise.py"
GIVEN = "tests/gateway/test_given_resources.py::test_what_is_remembered_is_bounded"
TOO_MANY = "error -32603, `data.reason` TooManyCalls"
CATALOG = "tests/unit/test_catalog.py"
INTAKE = "tests/unit/test_intake_work.py"
CLOSED = "the connection is closed"
HIDDEN = "the item is hidden by name; `lastError` ItemsHidden"
LEFT_OUT = "the rest is left out; `lastError` ItemsHidden"
RETRY = "503 with Retry-After"

CLIENTS = (
    Limit("request target", "edge.limits:MAX_TARGET", size, f"414, {CLOSED}", f"{EDGE}::TestBounds"),
    Limit("request line and headers together", "edge.limits:MAX_HEAD", size, f"431, {CLOSED}", f"{EDGE}::TestBounds"),
    Limit("trailers and chunk extensions of a request", "edge.limits:MAX_HEAD", size, f"431, {CLOSED}", f"{EDGE}::TestBounds"),
    Limit("header lines of a request", "edge.limits:MAX_FIELDS", count, f"431, {CLOSED}", f"{EDGE}::TestBounds"),
    Limit("empty lines before a request", "edge.limits:MAX_BLANK", size, f"400, {CLOSED}", f"{EDGE}::TestBounds"),
    Limit(
        "page of a merged list",
        "catalog.pages:MAX_PAGE",
        size,
        "`nextCursor` names the next page",
        f"{CATALOG}::test_long_lists_come_in_pages_that_make_the_whole",
    ),
    Limit(
        "silence of a response, before a client that asks for streams gets one (at most twice that)",
        "edge.limits:Limits.silence",
        time,
        "an event stream begins, with a comment every 15 s",
        "tests/gateway/test_long_calls.py::test_a_long_call_of_a_client_that_asks_for_streams_by_name_gets_one",
    ),
    Limit(
        "messages of a batch (2025-03-26)",
        "protocol.batches:MAX_BATCH",
        count,
        "400, error -32600",
        f"{BATCHES}::test_a_batch_that_cannot_be_read_is_refused_whole",
    ),
    Limit(
        "responses that wait for the rest of their batch, together",
        "requests.batch:MAX_ANSWERS",
        size,
        "error -32603 in place of those beyond",
        f"{BATCHES}::test_answers_beyond_the_bound_of_a_batch_fail_by_name",
    ),
    Limit(
        "body of a request",
        "config:Config.request_bytes",
        size,
        f"413, {CLOSED}",
        f"{EDGE}::TestBounds",
        "`spec.limits.requestBytes`",
    ),
    Limit(
        "time to the end of the headers",
        "edge.limits:Limits.head_deadline",
        time,
        f"408, {CLOSED}",
        f"{EDGE_BOUNDS}::TestSenders",
        metric='`mcpgateway_connections_cut_total{phase="head"}`',
    ),
    Limit(
        "time to the end of the body, before the rate counts",
        "edge.limits:Limits.body_grace",
        time,
        f"408, {CLOSED}",
        f"{EDGE_BOUNDS}::TestSenders",
        metric='`mcpgateway_connections_cut_total{phase="body"}`',
    ),
    Limit(
        "rate of a body, over all of it",
        "edge.limits:Limits.body_rate",
        rate,
        f"408, {CLOSED}",
        f"{EDGE_BOUNDS}::TestSenders",
        metric='`mcpgateway_connections_cut_total{phase="body"}`',
    ),
    Limit("time between two requests", "edge.limits:Limits.idle_timeout", time, CLOSED, f"{EDGE_BOUNDS}::TestSenders"),
    Limit(
        "bytes read of a connection at once",
        "edge.limits:MAX_READ",
        size,
        "the rest waits for the next turn",
        f"{EDGE_BOUNDS}::TestReaders",
    ),
    Limit(
        "pipelined bytes while a request is answered",
        "edge.limits:MAX_AHEAD",
        size,
        "reading pauses",
        f"{EDGE_BOUNDS}::TestReaders",
    ),
    Limit(
        "time for which a response may stay unread, before the rate counts",
        "edge.limits:Limits.write_grace",
        time,
        CLOSED,
        f"{EDGE_BOUNDS}::TestReaders",
        metric='`mcpgateway_connections_cut_total{phase="response"}`',
    ),
    Limit(
        "rate at which a response is read",
        "edge.limits:Limits.write_rate",
        rate,
        f"reading of requests pauses, then {CLOSED}",
        f"{EDGE_BOUNDS}::TestReaders",
        metric='`mcpgateway_connections_cut_total{phase="response"}`',
    ),
    Limit(
        "unread bytes of a response stream",
        "edge.limits:MAX_UNREAD_EVENTS",
        size,
        "further events are kept for resuming, and not sent",
        "tests/gateway/test_streams.py",
    ),
    Limit(
        "connections",
        "edge.limits:Limits.connections",
        count,
        RETRY,
        f"{EDGE_BOUNDS}::TestConnections",
        "`--max-connections`",
        '`mcpgateway_connections_refused_total{reason="total"}`',
    ),
    Limit(
        "connections of one address (IPv6: of one /64)",
        "edge.limits:Limits.connections_per_address",
        count,
        RETRY,
        f"{EDGE_BOUNDS}::TestConnections",
        "`--max-connections-per-address`",
        '`mcpgateway_connections_refused_total{reason="address"}`',
    ),
    Limit(
        "wrong credentials of one address at once; one a second is forgotten",
        "access.failed_logins:FREE",
        count,
        "each further 401 waits 1 s",
        f"{EDGE_BOUNDS}::TestWrongTokens",
        metric="`mcpgateway_auth_failures_total`",
    ),
    Limit(
        "sessions in use; of one principal half, and its share of the rest",
        "config:Config.max_sessions",
        count,
        RETRY,
        "tests/gateway/test_sessions.py",
        "`spec.limits.maxSessions`",
        "`mcpgateway_sessions`",
    ),
    Limit("open streams of HTTP with SSE (2024-11-05)", "edge.http_sse:_MAX_OPEN", count, RETRY, "tests/gateway/test_streams.py"),
    Limit(
        "calls in flight of one principal",
        "requests.call_limits:MAX_PRINCIPAL",
        count,
        TOO_MANY,
        FAIRNESS,
        metric='`mcpgateway_calls_refused_total{scope="principal"}`',
    ),
    Limit(
        "calls in flight to one server",
        "requests.call_limits:MAX_SERVER",
        count,
        TOO_MANY,
        FAIRNESS,
        metric='`mcpgateway_calls_refused_total{scope="server"}`',
    ),
    Limit(
        "calls of one principal that wait for an answer of its clients; they do not count as in flight",
        "requests.call_limits:MAX_WAITING",
        count,
        "the server's question is refused; error -32603, `data.reason` TooManyCalls",
        WAITING,
        metric='`mcpgateway_calls_refused_total{scope="waiting"}`',
    ),
    Limit(
        "calls of all modern clients that wait for an answer",
        "requests.input_required:MAX_PARKED",
        count,
        "the oldest ends, Timeout",
        WAITING,
    ),
    Limit(
        "time for an answer of a client",
        "requests.input_required:PATIENCE",
        time,
        "the call ends, Timeout",
        "tests/gateway/test_input_required.py::test_a_parked_call_expires_and_belongs_to_its_principal",
    ),
    Limit(
        "open questions of a legacy server in one call of a modern client",
        "requests.input_required:MAX_QUESTIONS",
        count,
        "the server's question is refused",
        WAITING,
    ),
    Limit(
        "rounds of one call in which a modern server asks a legacy client",
        "requests.multi_round_trip:MAX_ROUNDS",
        count,
        "the call fails, error -32603",
        f"{FAIRNESS}::test_a_call_costs_so_many_rounds_and_questions",
    ),
    Limit(
        "questions of one round",
        "requests.multi_round_trip:MAX_QUESTIONS",
        count,
        "the call fails, error -32603",
        f"{FAIRNESS}::test_a_call_costs_so_many_rounds_and_questions",
    ),
    Limit(
        "open questions to one session",
        "streams.questions:MAX_SESSION",
        count,
        "the server's question is refused",
        f"{FAIRNESS}::TestOpenQuestions",
    ),
    Limit(
        "open questions to all sessions",
        "streams.questions:MAX_OPEN",
        count,
        "the oldest counts as not answered",
        f"{FAIRNESS}::TestOpenQuestions",
    ),
    Limit(
        "requests that wait while the gateway starts",
        "requests.startup_gate:MAX_HELD",
        count,
        "error -32603",
        "tests/gateway/test_startup_gate.py",
    ),
    Limit("events kept of one stream", "streams.replay:MAX_EVENTS", count, "the oldest event goes", STREAMS),
    Limit("streams kept of one session", "streams.replay:MAX_STREAMS", count, "the oldest stream goes", STREAMS),
    Limit("bytes kept of one session for resuming", "streams.replay:MAX_SESSION_BYTES", size, "the oldest event goes", STREAMS),
    Limit(
        "bytes kept of all sessions for resuming",
        "streams.replay:MAX_BYTES",
        size,
        "what the largest session has kept goes",
        STREAMS,
    ),
    Limit("open GET streams of one session", "streams.session_streams:MAX_STREAMS", count, "the oldest one ends", STREAMS),
    Limit(
        "resources of one `subscriptions/listen`",
        "streams.listen:MAX_RESOURCES",
        count,
        "error -32602",
        "tests/hostile/test_limits.py::test_a_stream_is_for_so_many_resources",
    ),
    Limit(
        "their URIs together",
        "streams.listen:MAX_URIS_BYTES",
        size,
        "error -32602",
        "tests/hostile/test_limits.py::test_a_stream_is_for_so_many_resources",
    ),
    Limit(
        "params of a request beside `arguments`, `inputResponses`, `requestState` and `notifications`",
        "protocol.request_meta:MAX_BESIDE",
        size,
        "error -32602",
        "tests/hostile/test_limits.py::test_params_are_bounded_beside_the_members_that_stay_bytes",
    ),
    Limit(
        "what a modern client declares in `clientCapabilities`",
        "protocol.request_meta:MAX_CAPABILITIES",
        size,
        "error -32602",
        "tests/hostile/test_limits.py::test_a_client_declares_so_much",
    ),
    Limit(
        "member of a retried request that is compared with the first one by its value",
        "requests.input_required:MAX_COMPARED",
        size,
        "it is compared by its bytes",
        "tests/hostile/test_limits.py::test_a_retry_is_compared_by_value_up_to_the_bound_and_by_bytes_beyond",
    ),
    Limit(
        "resource subscriptions of one session", "streams.resource_subscriptions:MAX_RESOURCES", count, "error -32602", FAIRNESS
    ),
    Limit("URIs in one result that are remembered", "protocol.given_uris:MAX_URIS", count, "the rest is not remembered", GIVEN),
    Limit("URIs remembered for one caller", "requests.given_resources:MAX_OF_CALLER", count, "the oldest is forgotten", GIVEN),
    Limit(
        "URIs remembered for all callers",
        "requests.given_resources:MAX_TOTAL",
        count,
        "those of the caller that was given none for the longest time are forgotten",
        GIVEN,
    ),
)
SERVERS = (
    Limit(
        "lines on stdout that are no messages, kept for the report of an end",
        "upstream.connection:MAX_JUNK",
        count,
        "the rest is counted only",
        "tests/gateway/test_failure_causes.py",
    ),
    Limit("each of them", "upstream.connection:MAX_JUNK_LINE", size, "it is cut", "tests/gateway/test_failure_causes.py"),
    Limit(
        "callers with lost state that have not been told yet, of one server",
        "upstream.lost_state:MAX_LOSSES",
        count,
        "the first one is forgotten",
        "tests/gateway/test_own_processes.py::test_losses_are_bounded",
    ),
    Limit(
        "line, event or response body, after decompression",
        "protocol.limits:MAX_MESSAGE",
        size,
        "the connection fails, ProtocolError",
        "tests/property/test_sse_events.py::test_an_event_has_a_limit",
    ),
    Limit(
        "lines of one event",
        "protocol.limits:MAX_EVENT_LINES",
        count,
        "the connection fails, ProtocolError",
        "tests/property/test_sse_events.py::test_lines_without_content_count_too",
    ),
    Limit(
        "items of a list", "catalog.intake:MAX_ITEMS", count, LEFT_OUT, f"{CATALOG}::test_a_list_is_bounded_by_items_and_says_so"
    ),
    Limit(
        "bytes of all lists of a server",
        "catalog.intake:MAX_BYTES",
        size,
        LEFT_OUT,
        f"{CATALOG}::test_the_lists_of_a_server_are_bounded_by_bytes",
    ),
    Limit(
        "pages of a list",
        "catalog.intake:MAX_PAGES",
        count,
        LEFT_OUT,
        f"{CATALOG}::test_pages_are_bounded_and_a_cursor_that_comes_again_ends_the_list",
    ),
    Limit(
        "cursor of a page",
        "catalog.intake:MAX_CURSOR",
        size,
        LEFT_OUT,
        f"{CATALOG}::test_pages_are_bounded_and_a_cursor_that_comes_again_ends_the_list",
    ),
    Limit(
        "item with its schemas",
        "catalog.repair:MAX_ITEM",
        size,
        HIDDEN,
        "tests/hostile/test_limits.py",
    ),
    Limit(
        "levels of an item with its schemas",
        "catalog.repair:MAX_NESTING",
        count,
        HIDDEN,
        "tests/hostile/test_limits.py",
    ),
    Limit(
        "members of each object of an item that is repaired",
        "catalog.repair:MAX_MEMBERS",
        count,
        HIDDEN,
        "tests/hostile/test_limits.py",
    ),
    Limit(
        "icons of an item, arguments of a prompt",
        "catalog.item_types:MAX_NESTED",
        count,
        "that member is left out",
        "tests/unit/test_catalog.py",
    ),
    Limit(
        "hidden characters, unpaired surrogates or numbers beyond a double's range in an item",
        "catalog.repair:MAX_REPAIRS",
        count,
        HIDDEN,
        "tests/hostile/test_limits.py",
    ),
    Limit(
        "bytes of items in a step of their intake, between two of which others get their turn",
        "catalog.intake:STEP",
        size,
        "the rest waits for the next turn",
        INTAKE,
    ),
    Limit("values of a page, by its commas", "catalog.intake:MAX_VALUES", count, LEFT_OUT, INTAKE),
    Limit("name, URI or URI template of an item", "catalog.repair:MAX_KEY", characters, HIDDEN, "tests/hostile/test_limits.py"),
    Limit(
        "URI that is compared with templates, in linear time",
        "catalog.uri_templates:MAX_URI",
        characters,
        "no template matches it",
        "tests/property/test_catalog.py::test_a_longer_uri_matches_no_template",
    ),
    Limit(
        "page of a list", "catalog.intake:MAX_PAGE", size, LEFT_OUT, f"{CATALOG}::test_a_page_that_is_too_large_is_left_out_whole"
    ),
    Limit(
        "messages handled in one turn of the event loop",
        "upstream.pacing:TURN_MESSAGES",
        count,
        "the rest waits for the next turn",
        NOISE,
    ),
    Limit(
        "bytes handled in one turn of the event loop",
        "upstream.pacing:TURN_BYTES",
        size,
        "the rest waits for the next turn",
        NOISE,
    ),
    Limit(
        "a server's first answer",
        "config:Server.start_timeout",
        time,
        "the process is ended and started again; `lastError` Timeout",
        ERAS,
        field="`servers[].startTimeout`",
    ),
    Limit(
        "`server/discover` before `initialize` is asked beside it", "upstream.handshake:HEAD_START", time, "both stay open", ERAS
    ),
    Limit(
        "the second of these answers, once one is refused", "upstream.handshake:SECOND_ANSWER", time, "the refusal counts", ERAS
    ),
    Limit("a page of a server's first list", "upstream.lists:LIST_TIMEOUT", time, "`lastError` ListFailed", LISTS),
    Limit("a page of its other lists", "upstream.lists:NEXT_LIST_TIMEOUT", time, "`lastError` ListFailed", LISTS),
    Limit(
        "changes of lists after the start of a server that is not shared",
        "upstream.list_keeper:LINGER",
        time,
        "sessions' own lists count",
        LISTS,
    ),
    Limit("notifications a second", "upstream.pacing:NOTIFICATIONS_RATE", count, "the connection is read more slowly", NOISE),
    Limit("notifications at once", "upstream.pacing:NOTIFICATIONS_BURST", count, "the connection is read more slowly", NOISE),
    Limit(
        "time between two readings of the lists",
        "upstream.own_process:RELIST_INTERVAL",
        time,
        "further list_changed make one more reading",
        NOISE,
    ),
    Limit(
        "bytes of a stream parsed in one turn, after decompression",
        "upstream.http.responses:_PIECE",
        size,
        "the rest waits for the next turn",
        NOISE,
    ),
    Limit(
        "text of a server in an error or in lastError",
        "protocol.visible_text:MAX_MESSAGE",
        characters,
        "it is cut, and ends with …",
        "tests/property/test_message_texts.py",
    ),
    Limit(
        "text of a server in the gateway's log",
        "runtime.logs:MAX_TEXT",
        characters,
        "it is cut, and ends with …",
        "tests/unit/test_logs.py::test_what_libraries_log_is_shown_and_cut_too",
    ),
    Limit(
        "hidden tools that a report names",
        "edge.internal:MAX_HIDDEN",
        count,
        "further ones are not named",
        "tests/property/test_message_texts.py",
    ),
    Limit("notification", "protocol.limits:MAX_NOTIFICATION", size, INVALID, NOISE, metric=COUNTED),
    Limit("hidden characters of a log message", "streams.server_messages:MAX_HIDDEN", count, INVALID, NOISE, metric=COUNTED),
    Limit(
        "params of an elicitation",
        "protocol.client_requests:MAX_ELICITATION",
        size,
        "-32602 to the server",
        "tests/property/test_client_requests.py",
    ),
    Limit(
        "result that asks the client something",
        "protocol.client_requests:MAX_QUESTIONS_BYTES",
        size,
        "the call fails, error -32603",
        "tests/property/test_client_requests.py",
    ),
    Limit(
        "arrays and objects of a tool that is digested by its value",
        "protocol.decoder:MAX_COMPARED",
        count,
        "it is digested by its bytes",
        "tests/hostile/test_limits.py::test_a_text_is_compared_by_its_value_up_to_the_bound",
    ),
    Limit(
        "message that is searched for unpaired surrogates",
        "protocol.decoder:MAX_SEARCHED",
        size,
        "one that has any fails by itself, ProtocolError",
        SURROGATES,
    ),
    Limit(
        "surrogates of such a message",
        "protocol.decoder:MAX_SURROGATES",
        count,
        "one that has an unpaired one fails by itself, ProtocolError",
        SURROGATES,
    ),
    Limit(
        "escaped backslashes of such a message",
        "protocol.decoder:MAX_BACKSLASHES",
        count,
        "one that has an unpaired surrogate fails by itself, ProtocolError",
        SURROGATES,
    ),
    Limit(
        "values of a result that is searched for the resources that it gives",
        "protocol.given_uris:MAX_VALUES",
        count,
        "they are not noted",
        "tests/hostile/test_limits.py::test_a_result_with_more_values_than_the_bound_is_not_searched_for_uris",
    ),
    Limit(
        "URL of a question, http or https",
        "protocol.client_requests:MAX_URL",
        characters,
        "-32602 to the server",
        "tests/property/test_client_requests.py",
    ),
)
BRIDGE = (
    Limit(
        "connections that are not authenticated",
        "serve.go:maxPending",
        count,
        "the oldest is closed",
        "tests/bridge/test_proof.py::test_beyond_the_maximum_the_oldest_unauthenticated_connection_is_closed",
        metric='`mcp_bridge_refused_total{reason="evicted"}`',
    ),
    Limit(
        "time until a connection is authenticated",
        "sniff.go:greetingTimeout",
        time,
        CLOSED,
        "tests/bridge/test_proof.py::test_a_silent_connection_is_closed_after_10_seconds",
    ),
    Limit(
        "greeting or proof line",
        "greeting.go:maxGreeting",
        size,
        "refused: `greeting`, or `access` ProofMissing",
        "tests/bridge/test_connections.py::test_an_invalid_greeting_is_answered_with_the_reason",
        metric='`mcp_bridge_refused_total{reason="greeting"}`',
    ),
    Limit(
        "connections to the health port",
        "health.go:maxHealthConnections",
        count,
        "the oldest is closed",
        "gateway/bridge/pending_test.go",
    ),
    Limit(
        "line of a program's stdout", "lines.go:maxLine", size, "the process's connection fails", "gateway/bridge/lines_test.go"
    ),
)
PROCESS = (
    Limit(
        "memory of the gateway, of its cgroup's limit",
        "runtime.memory_guard:SHED_AT",
        share,
        "new requests get 503 with Retry-After",
        "tests/unit/test_memory_guard.py",
        "`spec.resources`",
        "`mcpgateway_memory_shedding`",
    ),
    Limit(
        "memory at which new requests are accepted again",
        "runtime.memory_guard:RESUME_AT",
        share,
        "—",
        "tests/unit/test_memory_guard.py",
        "`spec.resources`",
    ),
)
SECTIONS = {
    "What clients send": CLIENTS,
    "What servers send": SERVERS,
    "What reaches a bridge": BRIDGE,
    "The gateway as a whole": PROCESS,
}
_HEAD = """# Bounds

Written by `make limits` from the constants in the code. A bound is a constant, unless a field or a flag is named that sets it.
"""


def page() -> str:
    """The page, in Markdown."""
    lines = [_HEAD]
    for section, rows in SECTIONS.items():
        lines += [f"## {section}", "", "| what | bound | field or flag | at the bound | metric |", "|---|---|---|---|---|"]
        lines += [f"| {row.what} | {row.shown(value_of(row.source))} | {row.field} | {row.then} | {row.metric} |" for row in rows]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
