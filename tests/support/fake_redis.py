"""A Redis of a few commands, over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class FakeRedis:
    """What it holds, and what it was told."""

    url: str = ""
    values: dict[str, str] = field(default_factory=dict)
    ttls: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: bool = False
    """Whether every command is answered with an error."""
    silent: bool = False
    """Whether no command is answered at all."""

    def answer(self, command: list[str]) -> bytes:
        name, *arguments = command
        if name in ("AUTH", "CLIENT"):  # who redis-py says it is
            return b"+OK\r\n"
        self.asked.append(name)
        if self.broken:
            return b"-LOADING Redis is loading the dataset in memory\r\n"
        key = arguments[0]
        match name:
            case "SET":
                self.values[key] = arguments[1]
                self.ttls[key] = int(arguments[arguments.index("EX") + 1])
                return b"+OK\r\n"
            case "GET":
                value = self.values.get(key)
                if value is None:
                    return b"$-1\r\n"
                return b"$%d\r\n%s\r\n" % (len(value.encode()), value.encode())
            case "DEL":
                return b":%d\r\n" % (self.values.pop(key, None) is not None)
        return b"-ERR unknown command\r\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readline():
                command = [await _word(reader) for _ in range(int(head[1:]))]
                if not self.silent:
                    writer.write(self.answer(command))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _word(reader: asyncio.StreamReader) -> str:
    length = int((await reader.readline())[1:])
    return (await reader.readexactly(length + 2))[:-2].decode()


@asynccontextmanager
async def fake_redis() -> AsyncIterator[FakeRedis]:
    """Serve one on the loopback."""
    redis = FakeRedis()
    # A checkpoint is one word of a command, and may have half a mebibyte.
    server = await asyncio.start_server(redis.serve, "127.0.0.1", limit=1024 * 1024)
    redis.url = f"redis://:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    try:
        yield redis
    finally:
        server.close()
