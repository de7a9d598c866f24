"""`mcpgw report` takes no secret along, wherever it stands."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcpgateway_operator.cli.verbs.report import redacted, without_values

SECRETS = st.from_regex(r"[A-Za-z0-9_-]{12,40}", fullmatch=True).map(lambda text: f"q9{text}")
LINES = st.sampled_from(
    [
        "Authorization: Bearer {0}",
        '{{"headers": {{"authorization": "Basic {0}"}}}}',
        "TOKEN={0} started",
        "api_key: '{0}'",
        "connecting to postgres://me:{0}@db/x",
        '{{\\"password\\": \\"{0}\\"}}',
        "GET /?token={0}&x=1",
    ]
)


@given(SECRETS, LINES)
def test_what_looks_like_a_secret_in_a_log_is_hidden(secret: str, line: str) -> None:
    assert secret not in redacted(line.format(secret), [])


@given(SECRETS, st.text())
def test_a_known_token_is_hidden_wherever_it_stands(secret: str, around: str) -> None:
    assert secret not in redacted(f"{around}{secret}{around}", [secret])


@given(SECRETS, st.sampled_from(["env", "headers"]), st.integers(0, 3))
def test_values_of_variables_and_headers_are_hidden_at_any_depth(secret: str, group: str, depth: int) -> None:
    value: Any = {group: [{"name": "A", "value": secret}]}
    for _ in range(depth):
        value = {"spec": [value]}
    shown = json.dumps(without_values(value))
    assert secret not in shown
    assert '"name": "A"' in shown


def test_what_is_no_secret_stays() -> None:
    line = "server time is Failed: Secret mcp-token does not exist"
    assert redacted(line, []) == line
    assert without_values({"metadata": {"name": "a"}, "value": 1}) == {"metadata": {"name": "a"}, "value": 1}
