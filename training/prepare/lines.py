"""The physical lines of a text file, counted as an editor counts them, decoded strictly and within bounds."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import IO, Any, Final

from passerelle.domain.project import Project
from training.prepare.limits import MAX_EXPANSION, MAX_ROW_CHARS, TEXT_FLOOR, expanded_limit
from training.prepare.unreadable import unreadable

_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONTROLS: Final = re.compile("[\x80-\x9f]")
_LINE_END: Final = re.compile(rb"\r\n?|\n")


class _BoundedGzip(io.RawIOBase):
    """A gzip stream that refuses to expand without bound: it counts what really comes out."""

    def __init__(self, path: Path, key: str) -> None:
        self._file = gzip.open(path)  # noqa: SIM115 (closed by close)
        self._limit = expanded_limit(path, TEXT_FLOOR)
        self._read, self._key = 0, key

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._file.read(len(buffer))
        except (EOFError, OSError, zlib.error) as error:
            message = f"the gzip stream is corrupt: {error}"
            raise unreadable("corrupt_gzip", self._key, message, "Compress and drop the file again.") from error
        self._read += len(piece)
        if self._read > self._limit:
            message = f"the file expands to more than {self._limit:,} bytes, the limit for its size"
            remedy = f"Drop it uncompressed, or in parts that expand to less than {MAX_EXPANSION} times their size."
            raise unreadable("gzip_bomb", self._key, message, remedy)
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


def open_lines(path: Path, project: Project, key: str, compressed: bool) -> Lines:
    """Open a text in the contract's encoding; a byte order mark is dropped.

    Raises UnreadableFileError when the first bytes already say that it is written otherwise.
    """
    raw: IO[bytes] = io.BufferedReader(_BoundedGzip(path, key), 1 << 20) if compressed else path.open("rb")
    head: bytes = raw.peek(64)[:64]  # type: ignore[attr-defined]
    encoding = _encoding(head, project.data.csv.encoding, key)
    if head[:4] == b"PAR1":
        message = "the file is a Parquet file inside gzip"
        raise unreadable("zipped_parquet", key, message, "Drop the Parquet file itself: it is compressed inside.")
    return Lines(io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline=""), key, encoding)


def _encoding(head: bytes, declared: str, key: str) -> str:
    marked = head.startswith(_UTF16_MARKS)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        message = "the file is UTF-32 (it begins with its byte order mark)"
        raise unreadable("wrong_encoding", key, message, "Save it as UTF-8.", row=1)
    if marked and declared != "utf-16":
        message = f"the file is UTF-16 (it begins with its byte order mark); the contract says {declared}"
        remedy = "Save it as UTF-8, or set data.csv.encoding: utf-16."
        raise unreadable("wrong_encoding", key, message, remedy, row=1)
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if declared == "utf-16" and not marked:
        message = "the contract says utf-16, and the file does not begin with UTF-16's byte order mark"
        remedy = "Save it with the mark, or as UTF-8 with data.csv.encoding: utf-8."
        raise unreadable("wrong_encoding", key, message, remedy, row=1)
    if b"\x00" in head and not marked:
        message = "the file begins with NUL bytes: it is UTF-16 without byte order mark, or no text"
        raise unreadable("wrong_encoding", key, message, "Save it as UTF-8.", row=1)
    return declared


class Lines:
    """An iterator over lines with their ends; `count` is the number of the last one, `taken` those of this record."""

    def __init__(self, text: IO[str], key: str, encoding: str) -> None:
        self._text, self._key = text, key
        self._encoding = encoding.removesuffix("-sig")
        self.marked = encoding != self._encoding
        self._latin = encoding == "latin-1"
        self._chars, self.count = 0, 0
        self.taken: list[str] = []

    @property
    def encoding(self) -> str:
        return self._encoding

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        try:
            line = self._text.readline(MAX_ROW_CHARS + 1)
        except UnicodeDecodeError as error:
            raise self._undecodable(error) from error
        if not line:
            raise StopIteration
        self.count += 1
        self._chars += len(line)
        if self._chars > MAX_ROW_CHARS:
            message = f"the row at line {self.count} has more than {MAX_ROW_CHARS:,} characters"
            remedy = "End each row with a line feed, and close every quote."
            raise unreadable("row_too_long", self._key, message, remedy, row=self.count)
        if self._latin and not line.isascii():
            self._check_latin(line)
        self.taken.append(line)
        return line

    def record(self) -> str:
        """Return the lines taken since the last call as they stand in the file, without the last line's end."""
        text = self.taken[0] if len(self.taken) == 1 else "".join(self.taken)
        self.taken, self._chars = [], 0
        return text.rstrip("\r\n")

    def _undecodable(self, error: UnicodeDecodeError) -> Exception:
        # Text is decoded in pieces: the bad byte is as many lines on as the piece has before it.
        before = error.object[: error.start]
        if self._encoding == "utf-16":
            before = before.decode(error.encoding, "replace").encode("utf-8", "replace")
        number = self.count + 1 + len(_LINE_END.findall(before))
        message = f"line {number} has a byte 0x{error.object[error.start]:02x} that is not {self._encoding}"
        remedy = "Save the file as UTF-8, or declare its encoding: data.csv.encoding: latin-1."
        return unreadable("wrong_encoding", self._key, message, remedy, row=number)

    def _check_latin(self, line: str) -> None:
        """Refuse what cannot be Latin-1. Every byte decodes as it, so nothing else would tell."""
        try:
            meant = line.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            if _CONTROLS.search(line):
                message = f"line {self.count} has a control character of Latin-1: the file is probably Windows-1252"
                remedy = "Save the file as UTF-8, and set data.csv.encoding: utf-8."
                raise unreadable("wrong_encoding", self._key, message, remedy, row=self.count) from None
            return
        letter = next(character for character in meant if not character.isascii())
        message = f"line {self.count} is UTF-8 (it reads {letter!r}); the contract says latin-1"
        remedy = "Set data.csv.encoding: utf-8, or save the whole file as Latin-1."
        raise unreadable("wrong_encoding", self._key, message, remedy, row=self.count)
