"""What npm, pip and uv write when they fail → one line with the cause. Pure."""

from __future__ import annotations

import re

_CAUSES = (  # (what they write, what it means); the first that matches counts
    (("ENOSPC", "No space left on device"), "the disk is full"),
    (("E401", "E403", "401 Unauthorized", "403 Forbidden", "ENEEDAUTH"), "the registry refuses the credentials, or wants some"),
    (
        ("ETARGET", "No matching version", "there is no version of", r"from versions: (?!none)"),
        "there is no such version",
    ),
    (
        ("E404", "404 Not Found", "was not found in the package registry", "from versions: none", "No matching distribution"),
        "there is no such package",
    ),
    (
        (
            "no wheels? with a matching",
            "not a supported wheel",
            "EBADPLATFORM",
            "not compatible with (the|your) (current )?platform",
        ),
        "it has nothing for this platform",
    ),
    (("Requires-Python", "requires a different Python", "EBADENGINE"), "it needs another version of Python or Node"),
    (
        ("CERTIFICATE_VERIFY_FAILED", "SELF_SIGNED_CERT", "UNABLE_TO_VERIFY", "invalid peer certificate"),
        "the registry's certificate is not trusted",
    ),
    (
        ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "NewConnectionError", "dns error"),
        "the registry cannot be reached",
    ),
    (("Failed to fetch", "error sending request", "Connection refused", "timed out"), "the registry cannot be reached"),
)
_NOISE = re.compile(r"^(?:npm (?:error|ERR!)\s*)?(?:code \w+|errno .*|A complete log of this run.*|.*\.log|\[notice\].*)?$")
_PREFIX = re.compile(r"^(?:npm (?:error|ERR!)(?: (?:\d{3}|notarget))?|ERROR:|error:|[×╰─▶\s]+)\s*")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_LONGEST = 300  # characters of their own words


def cause(output: str, *, code: int | None) -> str:
    """The cause of a failure: what it means, and the lines that say so, without credentials of URLs."""
    text = _CREDENTIALS.sub("", output)
    meaning = next((words for patterns, words in _CAUSES if re.search("|".join(patterns), text, re.IGNORECASE)), "")
    lines = [_PREFIX.sub("", line.strip()) for line in text.splitlines() if not _NOISE.match(line.strip())]
    own = " / ".join(dict.fromkeys(filter(None, lines)))
    own = own if len(own) <= _LONGEST else f"{own[:_LONGEST]}…"
    if not own:
        own = f"exit code {code}, without a word"
    return f"{meaning} ({own})" if meaning else own
