"""`mcpgw import`: configurations of clients and catalogs → one MCPGateway, and a report of what became of each server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..importing.importer import Imported, Source, has_servers, import_sources
from ..importing.model import Outcome, Package, UnreadableError
from .bad_input import BadInputError
from .client_files import client_files
from .local import private_file
from .versions import Versions

_HEADINGS: tuple[tuple[Outcome, str], ...] = (
    ("changed", "changed"),
    ("dropped", "dropped"),
    ("step", "to do by hand"),
    ("refused", "not converted"),
)


def import_sources_of(files: Sequence[Path], *, from_clients: bool, name: str, offline: bool) -> Imported:
    """Convert files, and the configurations of this machine's programs. Raises: BadInputError."""
    sources = [*(Source(str(file), _text(file)) for file in files), *(_client_sources() if from_clients else ())]
    if not sources:
        raise BadInputError("no configuration is given: name a file, or use --from-clients")
    try:
        return asyncio.run(import_sources(sources, name=name, resolve=_unknown if offline else Versions().resolved))
    except UnreadableError as error:
        raise BadInputError(str(error)) from None


def report_on(imported: Imported, *, file: Path | None, as_json: bool) -> None:
    """Write the resource to a new file or to stdout, and the report to stderr. Raises: BadInputError."""
    if file is not None and file.exists():
        raise BadInputError(f"{file} exists: choose another name with --file, or remove it")
    if file is not None and imported.text:
        _write(file, imported.text)
    if as_json:
        sys.stdout.write(json.dumps(_document(imported, written=file)) + "\n")
    else:
        sys.stdout.write("" if file else imported.text)
        sys.stderr.writelines(f"{line}\n" for line in report_lines(imported))
    if not imported.servers:
        raise BadInputError("no server could be converted")


def _write(file: Path, text: str) -> None:
    try:
        private_file(file, text.encode(), keep=False)
    except OSError as error:
        raise BadInputError(f"{file}: cannot be written: {error.strerror}") from error


def _client_sources() -> Iterator[Source]:
    """The configurations of programs on this machine; one without servers is passed over."""
    for program, path in client_files(Path.home(), Path.cwd()):
        source = Source(str(path), _text(path))
        if has_servers(source):
            sys.stderr.write(f"{program}: {path}\n")
            yield source


async def _unknown(package: Package) -> Package:
    return package


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise BadInputError(f"{file}: is not UTF-8 text") from None


def report_lines(imported: Imported) -> Iterator[str]:
    """The report, as people read it."""
    refused = len({note.server for note in imported.report.of("refused")})
    yield f"{imported.servers} servers converted, {refused} not"
    for outcome, heading in _HEADINGS:
        notes = imported.report.of(outcome)
        if notes:
            yield f"\n{heading}:"
            yield from (f"  {note.server}: {note.text}" for note in notes)


def _document(imported: Imported, *, written: Path | None) -> dict[str, object]:
    notes: dict[str, object] = {
        outcome: [{"server": note.server, "text": note.text} for note in imported.report.of(outcome)] for outcome, _ in _HEADINGS
    }
    return {"servers": imported.servers, "file": str(written) if written else None, "resource": imported.text, **notes}
