"""What observation needs of the API server, and the error of every port to it. `kube` implements the ports."""

from __future__ import annotations

from typing import Protocol


class ApiError(Exception):
    """The API server refused or did not answer.

    Attributes: `status` is the HTTP status code, `reason` and `message` are those of its metav1.Status, `retry_after` is the
    number of seconds before which it asks for no further request (RFC 9110 section 10.2.3; 0 if it does not say).
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.retry_after = retry_after

    @property
    def terminal(self) -> bool:
        """Whether a retry of the same request cannot succeed. A 5xx is no proof: duplicate names answer 500, too."""
        return self.status in (400, 403, 405, 413, 422)


class Lister(Protocol):
    """Lists by metadata."""

    async def uids(self, kind: str, namespace: str) -> set[str]:
        """The uids of all managed objects of a kind; of all namespaces if `namespace` is empty; none if the kind is not served.

        Raises: ApiError.
        """
