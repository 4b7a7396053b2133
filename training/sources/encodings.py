"""Text encodings and compression: what a file is written in, and how it becomes plain UTF-8.

DuckDB reads UTF-8 only; everything else is rewritten as a stream, so memory does not grow with the file.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from recommender.errors import InputError

UTF8 = "utf-8"
GB18030 = "gb18030"
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SAMPLE_BYTES = 1 << 18
_BLOCK_BYTES = 1 << 20


def is_compressed(path: Path) -> bool:
    """Whether a file's name says that it is compressed with gzip."""
    return path.suffix.lower() == ".gz"


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading, decompressed."""
    return cast(BinaryIO, gzip.open(path, "rb")) if is_compressed(path) else path.open("rb")


def guess_encoding(path: Path) -> str:
    """Guess in which encoding a text file is written: by its mark, else UTF-8 or GB18030.

    Returns: utf-8, utf-8-sig, utf-16 or gb18030.
    """
    samples = _read_samples(path)
    for mark, name in _BOMS:
        if samples[0].startswith(mark):
            return name
    lines = [line for sample in samples for line in sample.split(b"\n")[:-1] if not line.isascii()]
    if _undecodable(lines, UTF8) <= _undecodable(lines, GB18030):
        return UTF8
    return GB18030


def check_encoding(name: str) -> str:
    """Return the usual name of an encoding. Raises: InputError if Python knows no such text encoding."""
    try:
        info = codecs.lookup(name)
        b"".decode(name)
    except (LookupError, ValueError):
        raise InputError(
            "There is no such encoding.", field="encoding", value=name, accepted="utf-8, gb18030, utf-16, ..."
        ) from None
    return info.name


def write_utf8(source: Path, encoding: str, target: Path) -> None:
    """Write a text file, decompressed, as UTF-8 without a mark; what cannot be decoded becomes U+FFFD.

    Raises: InputError if the compressed data are damaged.
    """
    plain = encoding in (UTF8, "utf_8")
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    try:
        with open_binary(source) as reader, target.open("wb") as writer:
            while block := reader.read(_BLOCK_BYTES):
                writer.write(block if plain else decoder.decode(block).encode())
            writer.write(b"" if plain else decoder.decode(b"", final=True).encode())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"The compressed file is damaged: {error}.", field="file", value=source.name) from error


def _read_samples(path: Path) -> list[bytes]:
    """Read the beginning of a file and, where that is quick, pieces from all over it."""
    try:
        with open_binary(path) as file:
            samples = [file.read(_SAMPLE_BYTES)]
            if len(samples[0]) < _SAMPLE_BYTES:
                return [samples[0] + b"\n"]
            for part in () if is_compressed(path) else (1, 2, 3):
                file.seek(path.stat().st_size * part // 4)
                samples.append(file.read(_SAMPLE_BYTES // 4).partition(b"\n")[2])
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"The compressed file is damaged: {error}.", field="file", value=path.name) from error
    return samples


def _undecodable(lines: list[bytes], encoding: str) -> int:
    count = 0
    for line in lines:
        try:
            line.decode(encoding)
        except UnicodeDecodeError:
            count += 1
    return count
