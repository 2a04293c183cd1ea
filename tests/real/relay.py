"""A relay in front of a real server, which breaks the connection in the ways that networks do."""

import asyncio
import random
import re
import socket
import threading


class Relay:
    """Forwards TCP from a port of its own to a server's, until told otherwise.

    Over RTSP it can also stand in the way of UDP: with ``udp_loss`` it puts its own ports into the
    camera's SETUP, forwards what the server sends there, and loses so much of it.

    Example::

        with Relay(server_port) as relay:
            connect(relay.port)
            relay.mode = "freeze"     # connected, and nothing comes any more
            relay.mode = "trickle"    # a few bytes a second
            relay.mode = "pass"
            relay.cut()               # hang up on everybody
            relay.down(), relay.up()  # refuse connections, and accept them again
    """

    def __init__(self, server_port, *, udp_loss=None, seed=1) -> None:
        self._server_port, self._udp_loss = server_port, udp_loss
        self._random = random.Random(seed)
        self.mode = "pass"
        self.lost = self.forwarded = 0
        self.connections = 0
        self._writers = set()
        self._datagrams = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._listening = None
        self.up()

    def up(self):
        self._call(self._listen())

    def down(self):
        """Refuse connections, and end those that are there."""
        self._call(self._close())
        self.cut()

    def cut(self):
        self._call(self._hang_up())

    def close(self):
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.close()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self):
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close(self):
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def _hang_up(self):
        for writer in list(self._writers):
            writer.transport.abort()
        for transport in self._datagrams:
            transport.close()
        self._datagrams.clear()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            server_reader, server_writer = await asyncio.open_connection(
                "127.0.0.1", self._server_port
            )
        except OSError:
            writer.transport.abort()
            return
        both = {writer, server_writer}
        self._writers |= both
        try:
            await asyncio.gather(
                self._forward(reader, server_writer, self._to_server),
                self._forward(server_reader, writer, None),
            )
        except OSError:
            pass
        finally:
            for each in both:
                each.transport.abort()
            self._writers -= both

    async def _forward(self, reader, writer, rewrite):
        while data := await reader.read(65536):
            if rewrite is not None:
                data = await rewrite(data)
            if self.mode == "trickle":
                for byte in data[:1000]:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.2)
                    if self.mode != "trickle":
                        break
                continue
            while self.mode == "freeze":
                await asyncio.sleep(0.02)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _to_server(self, data):
        if self._udp_loss is None:
            return data
        match = re.search(rb"client_port=(\d+)-(\d+)", data)
        if match is None:
            return data
        ports = [int(match[1]), int(match[2])]
        ours = await self._udp_pair(ports)
        return data.replace(match[0], b"client_port=%d-%d" % tuple(ours))

    async def _udp_pair(self, ports):
        """Open two neighbouring ports, the first of them even, that forward to two others."""
        for first in range(40000 + 2 * self._random.randrange(5000), 60000, 2):
            opened = []
            try:
                for offset, port in enumerate(ports):
                    transport, _ = await self._loop.create_datagram_endpoint(
                        lambda port=port, rtp=not offset: _Lossy(self, port, rtp),
                        local_addr=("127.0.0.1", first + offset),
                    )
                    opened.append(transport)
            except OSError:
                for transport in opened:
                    transport.close()
                continue
            self._datagrams += opened
            return [first, first + 1]
        raise OSError("no two neighbouring ports are free")

    def _loses(self):
        return self._random.random() < self._udp_loss


class _Lossy(asyncio.DatagramProtocol):
    def __init__(self, relay, port, rtp):
        self.relay, self.port, self.rtp = relay, port, rtp

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if self.rtp and self.relay._loses():
            self.relay.lost += 1
            return
        self.relay.forwarded += 1
        self.transport.sendto(data, ("127.0.0.1", self.port))
