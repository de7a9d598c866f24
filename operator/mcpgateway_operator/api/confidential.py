"""Recognises texts that are credentials, so that messages do not repeat them, and resources do not hold them.

Sources: the prefixes that the issuers document for secret scanning (GitHub, GitLab, AWS, Google, Slack, npm, PyPI and others);
RFC 7519 (JWT); RFC 7468 (private keys in PEM); RFC 3986 section 3.2.1 (a password in a URL).
"""

from __future__ import annotations

import re

_ISSUED = re.compile(
    r"\b(?:"
    r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}"
    r"|sk-[A-Za-z0-9_-]{16,}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|xox[abeprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{20,}"
    r"|hf_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{40,}|dop_v1_[0-9a-f]{32,}|lin_api_[A-Za-z0-9]{20,}"
    r"|ntn_[A-Za-z0-9]{20,}|figd_[A-Za-z0-9_-]{20,}|tvly-[A-Za-z0-9-]{16,}|pplx-[A-Za-z0-9]{20,}|sbp_[0-9a-f]{32,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r")"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:Bearer|Basic)\s+(?=\S*[0-9])[A-Za-z0-9._~+/-]{16,}"
    r"|\b[a-z][a-z0-9+.-]*://[^\s/:@]*:(?!\$[({])[^\s/@]{3,}@"  # not a reference to a variable
)
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|PAT)$", re.IGNORECASE
)
_RANDOM = re.compile(r"^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_+=.-]{16,}$")


def looks_secret(text: str, *, name: str = "") -> bool:
    """Whether a text is a credential, by its own form, or by the name of the variable or header whose value it is."""
    return _ISSUED.search(text) is not None or (_SECRET_NAME.search(name) is not None and _RANDOM.match(text) is not None)
