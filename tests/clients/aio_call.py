# SPDX-License-Identifier: Apache-2.0
"""aioice and aiortc call themselves through a relay: each message comes back, and with aiortc pictures are seen. The last line of the output
is JSON.

Argument: JSON with "library"; "servers", for each end [host, port, transport, username, password], the second null if it has none; "bytes" that have
to come back; and "seconds" that the call has to last."""

import asyncio
import json
import sys
import time

import aioice

WANTED = json.loads(sys.argv[1])
SIZE, WINDOW = 1000, 16
FRAMES = 15


def message(number):
    return number.to_bytes(4, "big") + bytes([number & 0xff]) * (SIZE - 4)


def is_over(begun, back):
    return back * SIZE >= WANTED["bytes"] and time.monotonic() - begun >= WANTED["seconds"]


def settings(server):
    if not server:
        return {"use_ipv6": False}
    host, port, transport, username, password = server
    return {"use_ipv6": False, "turn_server": (host, port), "turn_username": username, "turn_password": password,
            "turn_ssl": transport == "tls", "turn_transport": "udp" if transport == "udp" else "tcp", "transport_policy": aioice.ice.TransportPolicy.RELAY}


def types(connection):
    """Of the candidates in use: aioice keeps the pair in a private field."""
    pair = connection._nominated[1]
    return [pair.local_candidate.type, pair.remote_candidate.type]


def tell(connections, back, wrong, begun, frames=None):
    print(json.dumps({"pairs": [types(c) for c in connections], "back": back, "bytes": back * SIZE, "wrong": wrong,
                      "seconds": time.monotonic() - begun, "frames": frames}))


async def echo(connection):
    while True:
        await connection.send(await connection.recv())


async def ice():
    """Datagrams of aioice, a few at once. What does not come is sent again."""
    ends = [aioice.Connection(ice_controlling=not i, **settings(server)) for i, server in enumerate(WANTED["servers"])]
    await asyncio.gather(*(end.gather_candidates() for end in ends))
    for one, other in (ends, ends[::-1]):
        for candidate in other.local_candidates:
            await one.add_remote_candidate(candidate)
        await one.add_remote_candidate(None)
        one.remote_username, one.remote_password = other.local_username, other.local_password
    await asyncio.gather(*(end.connect() for end in ends))
    echoing = asyncio.ensure_future(echo(ends[1]))
    begun, back, wrong = time.monotonic(), 0, 0
    while not is_over(begun, back):
        for number in range(back, back + WINDOW):
            await ends[0].send(message(number))
        for _ in range(WINDOW):
            try:
                got = await asyncio.wait_for(ends[0].recv(), 2)
            except asyncio.TimeoutError:
                break
            wrong += got != message(int.from_bytes(got[:4], "big"))
            back += 1
        if back * SIZE >= WANTED["bytes"]:
            await asyncio.sleep(0.2)
    tell(ends, back, wrong, begun)
    echoing.cancel()
    await asyncio.gather(*(end.close() for end in ends))


async def rtc():
    """A data channel and video of aiortc. It has no setting for relayed addresses alone: its ICE has."""
    import aiortc
    from aiortc.mediastreams import MediaStreamError, VideoStreamTrack
    left, right = (aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[])) for _ in range(2))
    channel = left.createDataChannel("messages")
    left.addTrack(VideoStreamTrack())
    state = {"sent": 0, "back": 0, "wrong": 0, "frames": 0}
    begun, done = time.monotonic(), asyncio.Event()

    def connections(pc):
        transports = {pc.sctp.transport.transport} if pc.sctp else set()
        return {t.iceGatherer._connection for t in transports | {t.sender.transport.transport for t in pc.getTransceivers()}}

    def relay_alone(pc, server):
        for connection in connections(pc):
            for name, value in settings(server).items():
                private = {"transport_policy": "_transport_policy", "use_ipv6": "_use_ipv6"}.get(name, name)
                setattr(connection, private, value)

    def fill():
        while state["sent"] - state["back"] < WINDOW:
            channel.send(message(state["sent"]))
            state["sent"] += 1

    @channel.on("open")
    def opened():
        fill()

    @channel.on("message")
    def came(data):
        state["wrong"] += data != message(state["back"])
        state["back"] += 1
        if is_over(begun, state["back"]) and state["frames"] >= FRAMES:
            done.set()
        elif state["back"] * SIZE < WANTED["bytes"]:
            fill()
        elif state["sent"] == state["back"]:
            asyncio.get_running_loop().call_later(0.2, fill)

    @right.on("datachannel")
    def other(channel):
        channel.on("message", channel.send)

    @right.on("track")
    def track(track):
        async def watch():
            try:
                while await track.recv():
                    state["frames"] += 1
            except MediaStreamError:
                pass
        asyncio.ensure_future(watch())

    relay_alone(left, WANTED["servers"][0])
    await left.setLocalDescription(await left.createOffer())
    await right.setRemoteDescription(left.localDescription)
    relay_alone(right, WANTED["servers"][1])
    await right.setLocalDescription(await right.createAnswer())
    await left.setRemoteDescription(right.localDescription)
    await done.wait()
    ends = [next(c for c in connections(pc) if 1 in c._nominated) for pc in (left, right)]
    tell(ends, state["back"], state["wrong"], begun, state["frames"])
    await asyncio.gather(left.close(), right.close())


asyncio.run({"aioice": ice, "aiortc": rtc}[WANTED["library"]]())
