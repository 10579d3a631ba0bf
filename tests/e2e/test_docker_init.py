# SPDX-License-Identifier: Apache-2.0
"""scripts/docker-init-relay.sh against metadata services of our own making."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

from harness import DEADLINE, main

SCRIPT = sys.argv.pop(1)
SHOW = ("FIREZONE_TOKEN", "PUBLIC_IP4_ADDR", "PUBLIC_IP6_ADDR", "OTEL_RESOURCE_ATTRIBUTES")
TOKEN = "the-session-token"
GCE = {
    "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip": "203.0.113.7",
    "/computeMetadata/v1/instance/network-interfaces/0/ipv6s": "2001:db8::7\n2001:db8::8",
    "/computeMetadata/v1/instance/id": "1234567890",
    "/computeMetadata/v1/instance/name": "relay-1",
    "/computeMetadata/v1/instance/zone": "projects/42/zones/us-east1-b",
}
EC2 = {
    "/latest/meta-data/public-ipv4": "203.0.113.9",
    "/latest/meta-data/ipv6": "2001:db8::9",
}


class Service(http.server.ThreadingHTTPServer):
    """Both clouds' metadata services. `answers` is what they know; an answer may be a status."""

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.seen = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return "http://127.0.0.1:%d" % self.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *ignored):
        pass

    def reply(self, status, text=""):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        self.server.seen.append("PUT " + self.path)
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token" or not ttl.isdigit():
            self.reply(400)
        else:
            answer = self.server.answers.get(self.path, TOKEN)
            self.reply(*((answer,) if isinstance(answer, int) else (200, answer)))

    def do_GET(self):
        self.server.seen.append("GET " + self.path)
        if self.path.startswith("/computeMetadata") and self.headers.get("Metadata-Flavor") != "Google":
            self.reply(403)
        elif self.path.startswith("/latest") and self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self.reply(401)
        else:
            answer = self.server.answers.get(self.path, 404)
            self.reply(*((answer,) if isinstance(answer, int) else (200, answer)))


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class DockerInit(unittest.TestCase):
    def service(self, answers):
        service = Service(answers)
        self.addCleanup(service.server_close)
        self.addCleanup(service.shutdown)
        return service

    def run_script(self, command, env):
        env = {"PATH": os.environ["PATH"], **env}
        return subprocess.run([SCRIPT] + command, env=env, capture_output=True, text=True, timeout=4 * DEADLINE, check=False)

    def init(self, **env):
        """The variables that the script's command sees."""
        program = "import json, os, sys; print(json.dumps([{k: os.environ.get(k) for k in %r}, sys.argv[1:]]))" % (SHOW,)
        result = self.run_script([sys.executable, "-c", program, "an argument", "*"], env)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        seen, arguments = json.loads(result.stdout)
        self.assertEqual(arguments, ["an argument", "*"])
        return {k: v for k, v in seen.items() if v is not None}

    def refused(self, **env):
        """The one line that says why nothing was run."""
        result = self.run_script(["echo", "ran"], env)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertRegex(result.stderr, r"^docker-init-relay.sh: [^\n]*\n$")
        return result.stderr

    def test_nothing_to_do(self):
        self.assertEqual(self.init(), {})
        self.assertEqual(self.init(FIREZONE_TOKEN="a.token-_with.all=it~may+have", PUBLIC_IP4_ADDR="192.0.2.1"),
                         {"FIREZONE_TOKEN": "a.token-_with.all=it~may+have", "PUBLIC_IP4_ADDR": "192.0.2.1"})

    def test_token_from_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a token")
            with open(path, "w", encoding="ascii") as file:
                file.write("secret-token\n")
            self.assertEqual(self.init(FIREZONE_TOKEN=path), {"FIREZONE_TOKEN": "secret-token"})

    def test_token_files_that_hold_none(self):
        """Else a relay would run without a portal, healthy and ready, or send a path to it."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "token")
            for text in ("", "\n", " \r\n\t"):
                with open(path, "w", encoding="ascii") as file:
                    file.write(text)
                self.assertIn("is empty: '%s'" % path, self.refused(FIREZONE_TOKEN=path))
            for missing in (folder, path + "x", "/nowhere/token", "./token", "../x/token", "secrets/token", "token/"):
                self.assertIn("there is no file: '%s'" % missing, self.refused(FIREZONE_TOKEN=missing))

    def test_gce(self):
        service = self.service(GCE)
        self.assertEqual(self.init(LISTEN_ADDRESS_DISCOVERY_METHOD="gce_metadata", GCE_METADATA_URL=service.url),
                         {"PUBLIC_IP4_ADDR": "203.0.113.7", "PUBLIC_IP6_ADDR": "2001:db8::7"})

    def test_ec2(self):
        service = self.service(EC2)
        self.assertEqual(self.init(LISTEN_ADDRESS_DISCOVERY_METHOD="aws_ec2_metadata", EC2_METADATA_URL=service.url),
                         {"PUBLIC_IP4_ADDR": "203.0.113.9", "PUBLIC_IP6_ADDR": "2001:db8::9"})
        self.assertEqual(service.seen[0], "PUT /latest/api/token")

    def test_what_is_set_stays(self):
        for method, url, answers in (("gce_metadata", "GCE_METADATA_URL", GCE), ("aws_ec2_metadata", "EC2_METADATA_URL", EC2)):
            service = self.service(answers)
            ours = {"PUBLIC_IP4_ADDR": "192.0.2.1", "PUBLIC_IP6_ADDR": "2001:db8::1"}
            self.assertEqual(self.init(LISTEN_ADDRESS_DISCOVERY_METHOD=method, **{url: service.url}, **ours), ours)
            self.assertEqual(service.seen, [])
            found = self.init(LISTEN_ADDRESS_DISCOVERY_METHOD=method, PUBLIC_IP4_ADDR="192.0.2.1", **{url: service.url})
            self.assertEqual(found["PUBLIC_IP4_ADDR"], "192.0.2.1")
            self.assertIn("2001:db8::", found["PUBLIC_IP6_ADDR"])

    def test_an_instance_without_ipv6(self):
        for method, url, answers in (("gce_metadata", "GCE_METADATA_URL", GCE), ("aws_ec2_metadata", "EC2_METADATA_URL", EC2)):
            service = self.service({k: v for k, v in answers.items() if "ipv6" not in k})
            self.assertEqual(list(self.init(LISTEN_ADDRESS_DISCOVERY_METHOD=method, **{url: service.url})), ["PUBLIC_IP4_ADDR"])

    def test_otel(self):
        service = self.service({**GCE, "/computeMetadata/v1/instance/name": "a b,c=d%\u00e9"})
        env = {"OTEL_METADATA_DISCOVERY_METHOD": "gce_metadata", "GCE_METADATA_URL": service.url}
        wanted = "service.instance.id=1234567890,gcp.gce.instance.name=a%20b%2cc%3dd%25%c3%a9,cloud.region=us-east1"
        self.assertEqual(self.init(**env), {"OTEL_RESOURCE_ATTRIBUTES": wanted})
        self.assertEqual(self.init(OTEL_RESOURCE_ATTRIBUTES="mine=1", **env), {"OTEL_RESOURCE_ATTRIBUTES": wanted + ",mine=1"})

    def test_failures(self):
        gce = {"LISTEN_ADDRESS_DISCOVERY_METHOD": "gce_metadata"}
        ec2 = {"LISTEN_ADDRESS_DISCOVERY_METHOD": "aws_ec2_metadata"}
        path = "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip"
        for answer in ("$(reboot)", "203.0.113.7 --xdp", "2001:db8::1", "<html>"):
            self.assertIn("no IPv4 address", self.refused(GCE_METADATA_URL=self.service({**GCE, path: answer}).url, **gce))
        service = self.service({**GCE, path: 403})
        self.assertIn("answered with status 403", self.refused(GCE_METADATA_URL=service.url, **gce))
        service = self.service({"/latest/meta-data/ipv6": "no address", **EC2, "/latest/meta-data/public-ipv4": 401})
        self.assertIn("answered with status 401", self.refused(EC2_METADATA_URL=service.url, **ec2))
        for status in (404, 403):
            service = self.service({**EC2, "/latest/api/token": status})
            self.assertIn("/latest/api/token answered with status %d" % status, self.refused(EC2_METADATA_URL=service.url, **ec2))
        self.assertIn("gives no token", self.refused(EC2_METADATA_URL=self.service({"/latest/api/token": ""}).url, **ec2))
        service = self.service({})
        self.assertIn("does not know this instance's id", self.refused(OTEL_METADATA_DISCOVERY_METHOD="gce_metadata",
                                                                       GCE_METADATA_URL=service.url))
        service.shutdown()
        service.server_close()
        self.assertIn("can't reach " + service.url, self.refused(EC2_METADATA_URL=service.url, **ec2))
        self.assertIn("expected gce_metadata or aws_ec2_metadata", self.refused(LISTEN_ADDRESS_DISCOVERY_METHOD="guess"))
        self.assertIn("expected gce_metadata", self.refused(OTEL_METADATA_DISCOVERY_METHOD="guess"))

    def test_no_command(self):
        result = self.run_script([], {})
        self.assertEqual(result.returncode, 2)
        self.assertIn("expected a command", result.stderr)

    def test_status_of_the_command(self):
        self.assertEqual(self.run_script(["sh", "-c", "exit 7"], {}).returncode, 7)


if __name__ == "__main__":
    main()
