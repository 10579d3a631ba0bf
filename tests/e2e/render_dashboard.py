#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/grafana-dashboard.json without Grafana, which Debian does not have: runs a relay under some traffic, a Prometheus that scrapes
it, asks that the dashboard's own queries, and makes a page and a picture of the answers.

    render_dashboard.py RELAY-BINARY PICTURE.png [SECONDS]

Needs Debian's prometheus and chromium.
"""

import html
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from firezone_client import Client, Refused
from harness import EchoPeers, Relay, wait_for
from watch import endpoint, request
import stun

BINARY, PICTURE = sys.argv[1:3]
SECONDS = int(sys.argv[3]) if len(sys.argv) > 3 else 75
HERE = os.path.dirname(os.path.abspath(__file__))
COLORS = ("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0", "#508642", "#cca300")
COLUMN, ROW = 58, 30


def client_traffic(relay, peers, seed, end):
    """One client that comes, sends in waves, and goes, again and again."""
    dice = random.Random(seed)
    while time.monotonic() < end:
        with Client(relay.address(), *relay.credentials(salt="user%d" % seed)) as client:
            client.allocate()
            channels = [client.bind(peer) for peer in dice.sample(peers, dice.randint(1, len(peers)))]
            if dice.random() < 0.3:
                try:
                    client.bind(("127.0.0.99", 80))
                except Refused:
                    pass
            until = min(end, time.monotonic() + dice.uniform(8, 25))
            client.socket.setblocking(False)
            while time.monotonic() < until:
                for _ in range(dice.randint(1, 40)):
                    client.send(dice.choice(channels), bytes(dice.choice((60, 150, 480, 1200, 1200, 1280))))
                if dice.random() < 0.02:
                    client.socket.send(b"\0\1no request")
                if dice.random() < 0.05:
                    client.socket.send(stun.build(stun.BINDING, stun.REQUEST, stun.new_transaction(), []))
                time.sleep(0.02 + 0.02 * math.sin(time.monotonic() / 6 + seed))
                try:
                    while True:
                        client.socket.recv(65536)
                except BlockingIOError:
                    pass
            client.socket.setblocking(True)
            client.refresh(0)


def prometheus(folder, port, target):
    with open(os.path.join(folder, "prometheus.yml"), "w", encoding="ascii") as file:
        json.dump({"scrape_configs": [{"job_name": "relay", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}]}, file)
    return subprocess.Popen(["prometheus", "--config.file=" + folder + "/prometheus.yml", "--storage.tsdb.path=" + folder + "/data",
                             "--web.listen-address=127.0.0.1:%d" % port, "--log.level=error"])


def ask(port, query, begin, end):
    query = query.replace("$__rate_interval", "5s").replace("$job", ".*").replace("$instance", ".*")
    parameters = {"query": query, "start": begin, "end": end, "step": 1}
    status, _, text = request(port, "GET", "/api/v1/query_range?" + urllib.parse.urlencode(parameters))
    assert status == 200, text
    return json.loads(text)["data"]["result"]


def show(value, unit):
    if unit == "percentunit":
        return "%.3g %%" % (100 * value)
    if unit == "s":
        return "%.3g µs" % (1e6 * value)
    base = 1024 if unit == "bytes" else 1000
    prefixes = ("", "Ki", "Mi", "Gi") if unit == "bytes" else ("", " k", " M", " G")
    index = 0
    while abs(value) >= base and index < 3:
        value, index = value / base, index + 1
    ends = {"bps": "b/s", "pps": "p/s", "reqps": "req/s", "bytes": "B"}
    return ("%.3g" % value) + prefixes[index] + (" " if not prefixes[index] and unit in ends else "") + ends.get(unit, "")


def series_of(panel, port, begin, end):
    found = []
    for target in panel["targets"]:
        for result in ask(port, target["expr"], begin, end):
            name = target["legendFormat"]
            for label, value in result["metric"].items():
                name = name.replace("{{%s}}" % label, value)
            points = [(float(t), float(v)) for t, v in result["values"] if v != "NaN"]
            if points:
                found.append((name, points))
    return found


def lay_legend(names, left, width, height, bottom):
    """Places the names, on as many lines as they take. Returns them with their places, and what that leaves of the height."""
    rows, x = [[]], left
    for name in names:
        wide = 24 + 6.2 * len(name)
        if rows[-1] and x + wide > width - 10:
            rows.append([])
            x = left
        rows[-1].append((name, x))
        x += wide
    bottom -= 14 * (len(rows) - 1)
    return [(name, x, height - 8 - 14 * (len(rows) - 1 - i)) for i, row in enumerate(rows) for name, x in row], bottom


def lines(panel, series, begin, end, width, height):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal":
        below = {}
        for i, (name, points) in enumerate(series):
            points = [(t, v + below.get(t, 0)) for t, v in points]
            below.update(points)
            series[i] = (name, points)
    top = max([v for _, points in series for _, v in points] or [1]) * 1.1 or 1
    labels = [show(top * i / 3, unit) for i in range(4)]
    left, bottom = max(62, 14 + int(6.6 * max(map(len, labels)))), height - 34
    legend, bottom = lay_legend([name for name, _ in series], left, width, height, bottom)

    def at(t, v):
        return "%.1f,%.1f" % (left + (t - begin) / (end - begin) * (width - left - 10), bottom - v / top * (bottom - 8))
    out = []
    for i in range(4):
        y = bottom - i * (bottom - 8) / 3
        out.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#333"/><text x="%d" y="%.1f" text-anchor="end">%s</text>'
                   % (left, width - 10, y, y, left - 6, y + 4, html.escape(labels[i])))
    for i, (_, points) in reversed(list(enumerate(series))):
        out.append('<polyline fill="none" stroke="%s" stroke-width="1.6" points="%s"/>'
                   % (COLORS[i % len(COLORS)], " ".join(at(t, v) for t, v in points)))
    for i, (name, x, y) in enumerate(legend):
        out.append('<rect x="%d" y="%d" width="10" height="3" fill="%s"/><text x="%d" y="%d">%s</text>'
                   % (x, y - 5, COLORS[i % len(COLORS)], x + 14, y, html.escape(name)))
    return "".join(out)


def heatmap(series, begin, end, width, height):
    """Cumulative buckets as a picture of how many fall between two bounds."""
    series.sort(key=lambda one: float(one[0].replace("+Inf", "inf")))
    left, bottom = 62, height - 20
    step, rows = (width - left - 10) / (end - begin), (bottom - 8) / len(series)
    below, cells = {}, []
    for row, (_, points) in enumerate(series):
        cells += [(t, row, v - below.get(t, 0)) for t, v in points]
        below = dict(points)
    top = max(v for _, _, v in cells) or 1
    out = ['<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#5794f2" fill-opacity="%.2f"/>'
           % (left + (t - begin) * step, bottom - (row + 1) * rows, step, rows - 1, v / top) for t, row, v in cells if v > 0]
    for row in range(0, len(series), 3):
        out.append('<text x="%d" y="%.1f" text-anchor="end">%s B</text>' % (left - 6, bottom - row * rows - 2, series[row][0]))
    return "".join(out)


def draw(panel, port, begin, end):
    grid = panel["gridPos"]
    width, height = grid["w"] * COLUMN - 8, grid["h"] * ROW - 8
    series = series_of(panel, port, begin, end)
    inner = height - 26
    if panel["type"] == "stat":
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if panel["options"]["textMode"] == "value_and_name":
            body = "".join('<div class="value small">%s: %s</div>' % (html.escape(name), show(points[-1][1], unit)) for name, points in series)
        else:
            body = '<div class="value">%s</div>' % " / ".join(show(points[-1][1], unit) for _, points in series)
    else:
        drawing = heatmap(series, begin, end, width, inner) if panel["type"] == "heatmap" else lines(panel, series, begin, end, width, inner)
        body = '<svg width="%d" height="%d">%s</svg>' % (width, inner, drawing)
    return '<div class="panel" style="left:%dpx;top:%dpx;width:%dpx;height:%dpx"><h2>%s</h2>%s</div>' % (
        grid["x"] * COLUMN, 40 + grid["y"] * ROW, width, height, html.escape(panel["title"]), body)


def main():
    with open(os.path.join(HERE, "../../docs/grafana-dashboard.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    folder = tempfile.mkdtemp()
    port = 19090 + os.getpid() % 1000
    with Relay(BINARY, "--deny-peer", "127.0.0.99/32", v6=None, workers=2) as relay, EchoPeers(4) as peers:
        server = prometheus(folder, port, "127.0.0.1:%d" % endpoint(relay))
        try:
            begin = time.time()
            end = time.monotonic() + SECONDS
            threads = [threading.Thread(target=client_traffic, args=(relay, peers.addresses(), i, end - 3)) for i in range(6)]
            for thread in threads:
                thread.start()
            wait_for(lambda: time.monotonic() > end - 4, "the traffic", SECONDS + 10)
            now = time.time()
            page = "".join(draw(panel, port, begin + 8, now) for panel in dashboard["panels"])
            for thread in threads:
                thread.join()
        finally:
            server.terminate()
            server.wait()
    height = 50 + max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"]) * ROW
    style = ("body{background:#111217;color:#ccccdc;font:12px sans-serif;margin:6px}h1{font-size:16px;margin:4px}svg text{fill:#9fa7b3;font-size:11px}"
             ".panel{position:absolute;background:#181b1f;border:1px solid #2c3235;border-radius:3px;overflow:hidden;margin:6px}"
             "h2{font-size:12px;margin:5px 8px;color:#d8d9da}.value{font-size:30px;color:#73bf69;text-align:center;margin-top:14px}.small{font-size:16px;margin-top:6px}")
    path = os.path.join(folder, "page.html")
    with open(path, "w", encoding="utf-8") as file:
        file.write("<!doctype html><meta charset=utf-8><title>%s</title><style>%s</style><h1>%s</h1>%s"
                   % (dashboard["title"], style, dashboard["title"], page))
    subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + folder + "/profile",
                    "--window-size=%d,%d" % (24 * COLUMN + 20, height), "--screenshot=" + os.path.abspath(PICTURE), "file://" + path],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
