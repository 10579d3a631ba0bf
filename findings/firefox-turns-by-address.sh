#!/usr/bin/env bash
# Firefox: a TURN server for TLS that is given by its address is left out, without an error.
#
# Version:   Firefox ESR 153.8.0 (Debian 12: firefox-esr 153.8.0esr-1~deb12u1)
# Guess:     turns:192.0.2.1:PORT is asked like turn:192.0.2.1:PORT?transport=tcp: RFC 7065 lets an address stand there, and a certificate may
#            have one in it, which Chromium takes.
# Behaviour: nothing connects, and neither an exception nor an icecandidateerror says why; gathering ends without a relayed candidate. By a name
#            it is asked. So a page that hands out addresses works over UDP and TCP, and is silent over TLS in one browser.
# Seen:      see `expected` below.
. "$(dirname "$0")/lib/finding.sh"

unpack firefox-esr=153.8.0esr-1~deb12u1
firefox=$root/usr/lib/firefox-esr/firefox-esr
if LD_LIBRARY_PATH=$root/usr/lib/firefox-esr ldd "$root/usr/lib/firefox-esr/libxul.so" | grep -q 'not found'; then
  cannot "libraries that Firefox takes are missing"
fi
export firefox dir HOME=$dir MOZ_CRASHREPORTER_DISABLE=1 MOZ_DISABLE_CONTENT_SANDBOX=1
seen=$(in_namespace <<'END'
import json, os, re, socket, subprocess, sys, time

ADDRESS, PREFERENCES = "192.0.2.1", {
    "marionette.port": 0, "network.dns.forceResolve": "192.0.2.1", "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "services.settings.server": "data:,", "datareporting.policy.dataSubmissionEnabled": False}
PAGE = """
const [url, done] = arguments;
const pc = new RTCPeerConnection({ iceServers: [{ urls: url, username: 'u', credential: 'c' }], iceTransportPolicy: 'relay' });
const errors = [];
pc.onicecandidateerror = (e) => errors.push(e.errorCode);
pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && done(errors.length);
pc.createDataChannel('x');
pc.createOffer().then((o) => pc.setLocalDescription(o)).catch((e) => done(String(e)));
"""
for command in ("link set lo up", "link add d0 type veth peer name d1", "addr add %s/24 dev d0" % ADDRESS,
                "link set d0 up", "link set d1 up", "route add default dev d0"):
    subprocess.run(["ip", *command.split()], check=True)
profile = os.environ["dir"] + "/profile"
os.mkdir(profile)
with open(profile + "/user.js", "w") as f:
    f.writelines("user_pref(%s, %s);\n" % (json.dumps(k), json.dumps(v)) for k, v in PREFERENCES.items())
log = open(os.environ["dir"] + "/firefox.log", "w+")
browser = subprocess.Popen([os.environ["firefox"], "--headless", "--marionette", "--no-remote", "--profile", profile], stdout=log,
                           stderr=subprocess.STDOUT)
try:
    end, port = time.monotonic() + 60, None
    while not port and time.monotonic() < end and browser.poll() is None:
        time.sleep(0.1)
        port = re.search(r"Listening on port (\d+)", open(log.name).read())
    if not port:
        sys.exit("Firefox does not start")
    marionette = socket.create_connection(("127.0.0.1", int(port.group(1))), timeout=60)
    buffer = b""

    def message():
        global buffer
        while True:
            length, colon, rest = buffer.partition(b":")
            if colon and len(rest) >= int(length):
                buffer = rest[int(length):]
                return json.loads(rest[:int(length)])
            buffer += marionette.recv(65536)

    def command(name, parameters):
        text = json.dumps([0, 1, name, parameters]).encode()
        marionette.sendall(b"%d:%s" % (len(text), text))
        return message()[3]

    message()
    command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"timeouts": {"script": 50000}}}})
    command("WebDriver:Navigate", {"url": "about:blank"})
    for form in ("turn:%s:%%d?transport=tcp" % ADDRESS, "turns:relay.example:%d?transport=tcp", "turns:%s:%%d?transport=tcp" % ADDRESS):
        server = socket.create_server((ADDRESS, 0))
        server.settimeout(3)
        url = form % server.getsockname()[1]
        text = json.dumps([0, 1, "WebDriver:ExecuteAsyncScript", {"script": PAGE, "args": [url], "sandbox": None}]).encode()
        marionette.sendall(b"%d:%s" % (len(text), text))
        came = []
        while True:
            try:
                came.append(server.accept()[0])
            except TimeoutError:
                break
        first = came[0].recv(4096) if came else b""
        what = "nothing" if not came else "TLS" if first[:2] == b"\x16\x03" else "STUN" if first[4:8] == b"\x21\x12\xa4\x42" else "something else"
        server.close()
        for connection in came:
            connection.close()
        print("%s: %s comes; icecandidateerror %s" % (form % 0, what, "not told" if came else "%s times" % message()[3]["value"]), flush=True)
        if came:
            message()
finally:
    browser.kill()
    browser.wait()
END
)
expected='turn:192.0.2.1:0?transport=tcp: STUN comes; icecandidateerror not told
turns:relay.example:0?transport=tcp: TLS comes; icecandidateerror not told
turns:192.0.2.1:0?transport=tcp: nothing comes; icecandidateerror 0 times'
stated "$expected" "$seen"
