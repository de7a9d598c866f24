"""The GET streams of legacy sessions: what their servers send outside of a response.

Source: MCP specification 2025-11-25, "Listening for Messages from the Server".
"""

from __future__ import annotations

from typing import Final

from .replay import Replay, Stream

MAX_STREAMS: Final = 4  # open GET streams of one session; then its oldest one gets nothing more


class SessionStreams:
    """The open GET streams by session; their messages are kept in `replay`."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self._streams: dict[str, list[Stream]] = {}

    def open(self, key: str, last_event: str = "") -> tuple[Stream, int]:
        """Open a session's stream: a new one, or one of its own that it resumes.

        Returns: the stream, and the number of the last event that its client has received.
        """
        resumed = self.replay.find(key, last_event)
        if resumed is not None:
            resumed[0].attached = True
            return resumed
        stream = self.replay.open(key)
        stream.attached = True
        streams = [*(other for other in self._streams.get(key, ()) if other.attached), stream]
        for surplus in streams[:-MAX_STREAMS]:
            surplus.finish()
        self._streams[key] = streams[-MAX_STREAMS:]
        return stream, 0

    def close(self, stream: Stream) -> None:
        """Its client has stopped reading. Until the session opens another stream, messages are kept for it."""
        stream.attached = False

    def reading(self) -> set[str]:
        """The sessions whose clients read a stream now."""
        return {key for key, streams in self._streams.items() if any(stream.attached for stream in streams)}

    def is_read(self, key: str) -> bool:
        """Whether the client of a session reads a stream now."""
        return any(stream.attached for stream in self._streams.get(key, ()))

    def post(self, key: str, message: bytes, *, keep: bool = True) -> bool:
        """Send a message to one stream of a session. Returns: whether a client reads it now.

        Without a reader the message is kept until the session resumes its stream, unless `keep` is false.
        """
        streams = self._streams.get(key)
        if not streams:
            return False
        stream = next((stream for stream in reversed(streams) if stream.attached), streams[-1])
        if keep or stream.attached:
            stream.add(message)
        return stream.attached

    def post_all(self, message: bytes) -> None:
        """Send a message to all sessions that have a stream."""
        for key in self._streams:
            self.post(key, message)

    def finish(self) -> None:
        """End all streams: their clients come back to another replica."""
        for streams in self._streams.values():
            for stream in streams:
                stream.finish()

    def forget(self, key: str) -> None:
        """End the streams of a session that is over, and drop what they have kept."""
        for stream in self._streams.pop(key, ()):
            stream.finish()
        self.replay.forget(key)

    def holds(self, key: str) -> bool:
        """Whether something is kept for a session."""
        return key in self._streams or self.replay.holds(key)
