# SPDX-License-Identifier: Apache-2.0
"""Two of gstreamer's webrtcbin call each other through a relay: pictures from left to right, and each message comes back. The last line of
the output is JSON.

Argument: JSON with "servers", for each end a URL turn://user:password@host:port, the second null if it has none; "bytes" that have to come
back; "frames" that have to be seen; and "seconds" that the call has to last."""

import json
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC

WANTED = json.loads(sys.argv[1])
SIZE, WINDOW = 1000, 16
loop = GLib.MainLoop()
state = {"sent": 0, "back": 0, "wrong": 0, "frames": 0}
begun = time.monotonic()
keep = []


def message(number):
    return number.to_bytes(4, "big") + bytes([number & 0xff]) * (SIZE - 4)


def endpoint(pipeline, name, server):
    bin = Gst.ElementFactory.make("webrtcbin", name)
    bin.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    if server:
        bin.set_property("turn-server", server)
        bin.set_property("ice-transport-policy", GstWebRTC.WebRTCICETransportPolicy.RELAY)
    pipeline.add(bin)
    return bin


def ask(element, signal, *arguments):
    """Emits an action signal with a promise, and returns what it is answered with."""
    promise = Gst.Promise.new()
    element.emit(signal, *arguments, promise)
    if promise.wait() != Gst.PromiseResult.REPLIED:
        raise SystemExit("%s was not answered" % signal)
    # Values in it live no longer than it does.
    keep.append(promise.get_reply())
    return keep[-1]


def fill():
    if state["back"] * SIZE >= WANTED["bytes"]:
        if state["sent"] > state["back"]:
            return False
        window = 1
    else:
        window = WINDOW
    while state["sent"] - state["back"] < window:
        channel.emit("send-data", GLib.Bytes.new(message(state["sent"])))
        state["sent"] += 1
    return False


def came(_, data):
    state["wrong"] += data.get_data() != message(state["back"])
    state["back"] += 1
    if state["back"] * SIZE < WANTED["bytes"]:
        GLib.idle_add(fill)
    else:
        GLib.timeout_add(200, fill)


def incoming_channel(_, other):
    keep.append(other)
    other.connect("on-message-data", lambda c, data: c.emit("send-data", data))


def incoming_stream(_, pad):
    if pad.direction != Gst.PadDirection.SRC:
        return
    sink = Gst.parse_bin_from_description("rtpvp8depay ! vp8dec ! fakesink name=seen sync=false signal-handoffs=true", True)
    pipeline.add(sink)
    sink.get_by_name("seen").connect("handoff", lambda *_: state.update(frames=state["frames"] + 1))
    sink.sync_state_with_parent()
    pad.link(sink.get_static_pad("sink"))


def is_over():
    if (state["back"] * SIZE >= WANTED["bytes"] and state["frames"] >= WANTED["frames"] and
            time.monotonic() - begun >= WANTED["seconds"]):
        loop.quit()
        return False
    return True


def types(bin):
    """Of the candidates in use, from the statistics."""
    found = {}

    def look(_, value):
        if isinstance(value, Gst.Structure):
            found[value.get_string("id")] = value
        return True
    ask(bin, "get-stats", None).foreach(look)
    for value in found.values():
        pair = found.get(value.get_string("selected-candidate-pair-id"))
        if pair:
            return [found[pair.get_string(end)].get_string("candidate-type") for end in ("local-candidate-id", "remote-candidate-id")]
    raise SystemExit("no pair in %s" % sorted(v.to_string() for v in found.values()))


def negotiate(_):
    offer = ask(left, "create-offer", None).get_value("offer")
    ask(left, "set-local-description", offer)
    ask(right, "set-remote-description", offer)
    answer = ask(right, "create-answer", None).get_value("answer")
    ask(right, "set-local-description", answer)
    ask(left, "set-remote-description", answer)


Gst.init(None)
pipeline = Gst.Pipeline.new()
left, right = (endpoint(pipeline, name, server) for name, server in zip(("left", "right"), WANTED["servers"]))
left.connect("on-ice-candidate", lambda _, line, text: right.emit("add-ice-candidate", line, text))
right.connect("on-ice-candidate", lambda _, line, text: left.emit("add-ice-candidate", line, text))
right.connect("pad-added", incoming_stream)
right.connect("on-data-channel", incoming_channel)
source = Gst.parse_bin_from_description(
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 ! "
    "vp8enc deadline=1 target-bitrate=300000 keyframe-max-dist=30 ! rtpvp8pay ! "
    "capsfilter caps=application/x-rtp,media=video,encoding-name=VP8,payload=96", True)
pipeline.add(source)
source.link(left)
pipeline.set_state(Gst.State.READY)
channel = left.emit("create-data-channel", "messages", None)
channel.connect("on-open", lambda _: GLib.idle_add(fill))
channel.connect("on-message-data", came)
pipeline.set_state(Gst.State.PLAYING)
negotiate(None)
GLib.timeout_add(100, is_over)
loop.run()
result = {"pairs": [types(left), types(right)], **state, "bytes": state["back"] * SIZE, "seconds": time.monotonic() - begun}
print(json.dumps(result), flush=True)
pipeline.set_state(Gst.State.NULL)
