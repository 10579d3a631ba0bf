# SPDX-License-Identifier: Apache-2.0
"""The documents say what is so: README, the manual page and --help have the same options, variables and defaults, README's example
compiles and is a relay, and what README refers to is there.

Arguments: the relay, the top of the source tree, and the static library."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

RELAY, SOURCE, LIBRARY = sys.argv[1:4]
del sys.argv[1:4]
sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e"))

from harness import PortBlock, answers_binding, wait_for  # noqa: E402  (found through the line above)
import socket  # noqa: E402

FLAG = r"--[a-z][a-z0-9-]+"
VARIABLE = r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b"


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as f:
        return f.read()


def man_text():
    """The manual page without its markup."""
    text = re.sub(r'^\.\\".*$', "", read("docs", "firezone-relay.1"), flags=re.M)
    text = re.sub(r"\\f[A-Z]", "", text).replace('" "', " ").replace('"', "")
    return text.replace("\\-", "-").replace("\\&", "")


class Options(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        def help_of(*command):
            return subprocess.run([RELAY, *command, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout

        def flags_in(text):
            return set(re.findall(r"^ +(?:-\w, )?(%s)" % FLAG, text, re.M)) | set(re.findall(r"\[alias: (%s)\]" % FLAG, text))

        cls.help = help_of()
        options = cls.help.split("\nNetwork:\n")[1]
        commands = re.search(r"\nCommands,[^\n]*:\n(.*?)\n\n", cls.help, re.S).group(1)
        cls.commands = {name: help_of(name) for name in re.findall(r"^  ([\w-]+)$", commands, re.M)}
        # README shows those of sub-commands alone in use, but not in the table.
        cls.of_commands = set().union(*map(flags_in, cls.commands.values())) - flags_in(options)
        cls.flags = flags_in(options) | cls.of_commands
        cls.variables = set(re.findall(r"\[env: (\w+)\]", options)) | set(re.findall(r"\(environment\) (\w+)=", options))
        readme = read("README.md")
        cls.table = readme[readme.index("\n### Options\n"):]
        cls.table = cls.table[:re.search(r"\n##+ (?!Options|A configuration file)", cls.table).start()]

    def test_there_are_some(self):
        self.assertGreater(len(self.flags), 25)
        self.assertGreater(len(self.variables), 25)

    def test_readme_has_all_options(self):
        in_readme = set(re.findall(FLAG, self.table))
        self.assertEqual(self.flags - self.of_commands - in_readme, set(), "missing in README")
        self.assertEqual(in_readme - self.flags, set(), "no such options")

    def test_readme_has_all_variables(self):
        # EBPF_... are compatibility names, which README may sum up.
        in_readme = set(re.findall(VARIABLE, read("README.md")))
        wanted = {v for v in self.variables if not v.startswith("EBPF_")}
        self.assertEqual(wanted - in_readme - {"XDP", "OFFLOAD", "TELEMETRY"}, set(), "missing in README")

    def test_manual_page_has_all_options(self):
        in_man = set(re.findall(FLAG, man_text()))
        self.assertEqual(self.flags - in_man, set(), "missing in the manual page")
        self.assertEqual(in_man - self.flags, set(), "no such options")

    def test_manual_page_has_all_variables(self):
        man = man_text()
        self.assertEqual({v for v in self.variables if not re.search(r"\b%s\b" % v, man)}, set())

    def test_variables_that_no_option_stands_for(self):
        """Whatever the program reads of its environment is told of in --help, in README and in the manual page."""
        sources = {}
        for folder, _, files in os.walk(os.path.join(SOURCE, "cli")):
            sources.update({name: read(folder, name) for name in files if name.endswith(".c")})
        known = set(re.findall(r'\b(?:getenv|env)\("([A-Z_]+)"\)', "".join(sources.values()))) - {"TERM"}
        self.assertGreater(len(known), 5)
        section = self.help.split("\nVariables without an option:\n")[1].split("\n\n")[0]
        in_help = {name for line in re.findall(r"^  (\S.*)$", section, re.M) for name in re.findall(r"\b[A-Z][A-Z0-9_]+\b", line)}
        man, readme = man_text(), read("README.md")
        for name in sorted(known | in_help):
            if name.startswith("OTEL_"):  # too many for any but the manual page
                self.assertIn("OTEL_EXPORTER_OTLP_ENDPOINT", in_help)
            else:
                self.assertIn(name, in_help, "missing in --help")
            if name in in_help:
                self.assertRegex(readme, r"`%s[=`]" % name, "missing in README")
            self.assertRegex(man, r"\b%s\b" % name)
        honoured = re.search(r"\bhonoured\[\] = \{(.*?)\}", sources["otel_env.c"], re.S).group(1)
        for name in re.findall(r'"(\w+)"', honoured):
            self.assertRegex(man, r"\b%s\b" % name)
        for end in re.findall(r'"([A-Z]+)"', re.search(r"\bof_signals\[\] = \{(.*?)\}", sources["otel_env.c"], re.S).group(1)):
            self.assertIn("OTEL_EXPORTER_OTLP_" + end, man)

    def test_defaults_are_the_same(self):
        man = re.sub(r"\s+", " ", man_text())
        compared = 0
        for flag, default in re.findall(r"^ +(%s)[^\n]*\n +[^\n]*\[default: ([^\]]+)\]" % FLAG, self.help, re.M):
            number = re.escape(default)
            if re.fullmatch(r"[\w.:/\[\]]*\d[\w.:/\[\]]*", default) and flag not in self.of_commands:
                row = next((line for line in self.table.splitlines() if flag in line), "")
                self.assertRegex(row, r"(?<![\d.])%s(?![\d])" % number, flag)
                compared += 1
                self.assertRegex(man, r"%s .{0,1000}?[Dd]efault: %s" % (flag, number), flag)
        self.assertGreater(compared, 8)

    def test_every_option_of_help_is_taken(self):
        """As --help says it: with a value where it names one."""
        tried = 0
        for command, text in {"": self.help, **self.commands}.items():  # without an address the relay ends by itself
            for flag, value in re.findall(r"^ +(?:-\w, )?(%s)( [A-Z:]+)?$" % FLAG, text, re.M):
                done = subprocess.run([RELAY] + [command] * (command != "") + ([flag, "\n"] if value else [flag, "--help"]),
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=20,
                                      env={"AUTH_SECRET": "x"})
                self.assertNotIn("unknown option", done.stdout, flag)
                self.assertNotIn("not an option", done.stdout, flag)
                tried += 1
        self.assertGreater(tried, 35)

    def test_help_of_a_command_has_its_own_options(self):
        self.assertEqual(list(self.commands), ["credentials", "import-coturn", "probe", "sessions"])
        self.assertEqual(set(re.findall(r"^ +(?:-\w, )?(%s)" % FLAG, self.commands["credentials"], re.M)),
                         {"--public-ip4-addr", "--public-ip6-addr", "--listen-port", "--auth", "--realm", "--auth-secret-file",
                          "--users-file", "--help", "--version", "--ttl", "--salt", "--user", "--format",
                          "--tcp-listen-port", "--tls-listen-port", "--tls-name", "--config"})
        self.assertEqual(set(re.findall(r"\(environment\) (\w+)=", self.commands["credentials"])), {"AUTH_SECRET"})
        self.assertEqual(set(re.findall(r"^ +(?:-\w, )?(%s)" % FLAG, self.commands["import-coturn"], re.M)),
                         {"--public-ip4-addr", "--public-ip6-addr", "--help", "--version"})
        self.assertEqual(set(re.findall(r"^ +(?:-\w, )?(%s)" % FLAG, self.commands["probe"], re.M)),
                         {"--auth", "--realm", "--auth-secret-file", "--users-file", "--ttl", "--user", "--username", "--password-file", "--ca-file",
                          "--insecure", "--config", "--help", "--version"})
        self.assertEqual(set(re.findall(r"\(environment\) (\w+)=", self.commands["probe"])), {"AUTH_SECRET", "PROBE_PASSWORD"})
        self.assertEqual(set(re.findall(r"^ +(?:-\w, )?(%s)" % FLAG, self.commands["sessions"], re.M)),
                         {"--control-socket", "--control-endpoint", "--user", "--client", "--json", "--end", "--end-user", "--help", "--version"})
        self.assertEqual(self.of_commands, {"--ttl", "--salt", "--user", "--format", "--tls-name", "--client", "--json", "--end", "--end-user", "--username", "--password-file", "--ca-file", "--insecure"})
        for flag in self.of_commands:
            self.assertNotRegex(self.help, r"(?m)^ +%s\b(?!-)" % flag)

    def test_what_is_told_to_those_who_come_from_firezone(self):
        """Flags, variables and lines that docs/from-firezone.md names are there."""
        page = read("docs", "from-firezone.md")
        self.assertEqual(set(re.findall(r"`(%s)[ `]" % FLAG, page)) - self.flags - {"--fail", "--time", "--unix-socket"}, set(), "no such options")
        named = set(re.findall(r"\b(?:FIREZONE|EBPF|PUBLIC|LISTEN|LOWEST|HIGHEST|HEALTH|LOG|OTLP|SHUTDOWN|AUTH)_[A-Z0-9_]+\b", page))
        self.assertEqual(named - self.variables, set(), "no such variables")
        self.assertGreater(len(named), 10)
        sources = "".join(read("cli", name) for name in ("engine_log.c", "workers.c", "main.c"))
        for line in ("Listening for incoming traffic on UDP port ", "Created new allocation", "Successfully bound channel", "Refreshed channel binding",
                     "Deleted channel binding", "Deleted allocation", "Goodbye!", "A user asked for a peer out of reach"):
            self.assertIn("`" + line, page)
            self.assertIn('"' + line, sources)
        for target in re.findall(r"\]\(\.\./([^)#]+)\)", page):
            self.assertTrue(os.path.exists(os.path.join(SOURCE, target)), target)

    def test_what_is_told_to_those_who_come_from_coturn(self):
        """Options and variables that docs/from-coturn.md names are there, and so are its targets."""
        page = read("docs", "from-coturn.md")
        of_others = {"--server", "--password", "--packets", "--now", "--unix-socket"}  # fzr-bench, systemctl and curl
        named = set(re.findall(r"(?<![\w-])(%s)" % FLAG, page))
        self.assertEqual(named - self.flags - of_others, set(), "no such options")
        self.assertGreater(len(named), 20)
        self.assertEqual(set(re.findall(r"\b(?:AUTH|RUST|USERS)_[A-Z]+\b", page)) - self.variables - {"RUST_LOG"}, set(), "no such variables")
        sources = "".join(read("cli", "telemetry", name) for name in os.listdir(os.path.join(SOURCE, "cli", "telemetry")) if name.endswith(".c"))
        metrics = re.findall(r"`(relay_\w+?)(?:_total)?[{`]", page)
        self.assertGreater(len(metrics), 3)
        for metric in metrics:
            self.assertIn('"%s' % metric, sources)
        keys = read("cli", "coturn", "keys.c")
        self.assertEqual(set(re.findall(FLAG, keys)) - self.flags, set(), "no such options")
        for option in re.findall(r"\b([a-z0-9]+(?:-[a-z0-9]+)+) = ", keys):
            self.assertIn("--" + option, self.flags)
        hints = re.findall(r'\{"([a-z-]+)", "(.*)"\}', read("cli", "options_coturn.c"))
        self.assertGreater(len(hints), 20)
        for name, here in hints:
            self.assertRegex(page, r"`(?:--)?%s(?:`|=)" % name, "a hint of --help that the page lacks")
            self.assertEqual(set(re.findall(FLAG, here)) - self.flags, set(), name)
        for target in re.findall(r"\]\(\.\./([^)#]+)", page):
            self.assertTrue(os.path.exists(os.path.join(SOURCE, target)), target)

    def test_pages_for_operators_name_what_is_there(self):
        """Options, variables, metrics and lines of the log on the pages about NAT, Kubernetes and size; and what they refer to."""
        # Of docker and podman, helm and kubectl, apt, fzr-bench, curl.
        of_others = {"--network", "--pid", "--set", "--from-literal", "--no-install-recommends", "--now", "--cap-add", "--cap-drop", "--user", "--silent", "--fail-with-body", "--unix-socket"}
        sources = ""
        for folder, _, files in os.walk(os.path.join(SOURCE, "cli")):
            sources += "".join(read(folder, name) for name in files if name.endswith(".c"))
        for name in ("behind-nat.md", "kubernetes.md", "packages.md", "sessions.md", "sizing.md", "troubleshooting.md"):
            page = read("docs", name)
            flags = set(re.findall(r"(?<![\w-])(%s)" % FLAG, page))
            self.assertEqual(flags - self.flags - of_others, set(), name)
            self.assertGreater(len(flags), 3)
            for metric in re.findall(r"`(relay_\w+)`", page):
                self.assertIn('"%s"' % metric, sources)
            for line in ("Requests of a network exceed --unauthenticated-rate", "A user asked for a peer out of reach",
                         " is not used by this host itself: relayed data leaves from ", "Clients are told ", "A client could not log in",
                         " is taken: another relay or program has it"):
                self.assertTrue(line not in page or line in sources, line)
            for target in re.findall(r"\]\(([^)#:]+)", page):
                self.assertTrue(os.path.exists(os.path.join(SOURCE, "docs", target)), target)

    def test_words_of_the_probe(self):
        """The manual page and docs/troubleshooting.md have each with its exit status, and no other."""
        numbers = dict(re.findall(r"(PROBE_EXIT_\w+) = (\d)", read("cli", "probe", "facts.h")))
        faults = {word: numbers.get(status, status)
                  for word, status in re.findall(r'\] = \{"([a-z-]+)", (\w+)\}', read("cli", "probe", "facts.c"))}
        self.assertGreater(len(faults), 20)
        man = read("docs", "firezone-relay.1").split(".SH PROBE\n")[1].split("\n.SH ")[0].replace("\\-", "-")
        self.assertEqual(dict(re.findall(r'^\.BR ([a-z-]+) " \((\d)\)"$', man, re.M)), faults)
        page = read("docs", "troubleshooting.md")
        self.assertEqual(dict(re.findall(r"^\| `([a-z-]+)` \| (\d) \|", page, re.M)), faults)
        steps = set(re.findall(r'^    \[PROBE_STEP_\w+\] = \{"([^"]+)"', read("cli", "probe", "steps.c"), re.M))
        shown = re.findall(r">  (?:ok  |FAIL) +(\S+(?: \S+)?)  ", read("docs", "probe.svg").replace("&#160;", " "))
        self.assertGreater(len(shown), 4)
        self.assertEqual(set(shown) - steps, set(), "steps that the picture has, and the probe has not")

    def test_manual_page_has_all_log_targets(self):
        used = set()
        for folder, _, files in os.walk(os.path.join(SOURCE, "cli")):
            for name in files:
                if name.endswith((".c", ".h")):
                    used |= set(re.findall(r'\blog_(?:error|warn|info|debug|write|always)\((?:[A-Z_]+, )?"([a-z]+)"|#define TARGET +"([a-z]+)"',
                                           read(folder, name)))
        used = {a or b for a, b in used}
        header = re.search(r'#define LOG_FILTER_TARGETS "(.*)"', read("cli", "log", "filter.h")).group(1)
        self.assertEqual(set(header.split(", ")), used)
        told = re.search(r"Targets are ([^.]*)\.", man_text()).group(1)
        self.assertEqual(set(re.split(", | and ", told)), used)

    def test_readme_has_a_file_that_can_be_used(self):
        text = re.search(r"```ini\n(.*?)```", self.table, re.S).group(1)
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(text)
            f.flush()
            done = subprocess.run([RELAY, "--check-config", "--config", f.name], capture_output=True, text=True, check=False, timeout=20, env={})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "OK\n", ""))

    def test_mistakes_end_with_2_and_one_line(self):
        for arguments in (["--listen-port", "x"], ["--nonsense"], [], ["--public-ip4-addr", "0.0.0.0"],
                          ["--public-ip4-addr", "127.0.0.1", "--auth-secret-file", "/nonexistent"],
                          ["--public-ip4-addr", "127.0.0.1", "a token"],
                          ["--public-ip4-addr", "127.0.0.1", "--auth", "rest"], ["--public-ip4-addr", "127.0.0.1", "--auth", "static"],
                          ["credentials"], ["credentials", "--auth", "static"], ["credentials", "--format", "xml"], ["credentials", "--format", "url"], ["credentials", "--workers", "1"],
                          ["import-coturn"], ["import-coturn", "/nonexistent"], ["--config", "/nonexistent"],
                          ["sessions", "--end", "x"], ["sessions", "--end-user", ""], ["sessions", "--client", "x"], ["sessions", "--workers", "1"],
                          ["sessions", "--end", "0123456789abcdef", "--json"], ["sessions", "--end", "0123456789abcdef", "--end-user", "x"]):
            done = subprocess.run([RELAY] + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                                  timeout=20, env={})
            self.assertEqual((done.returncode, done.stdout), (2, ""), (arguments, done.stderr))
            self.assertEqual(done.stderr.count("\n"), 1, (arguments, done.stderr))
            self.assertTrue(done.stderr.startswith("firezone-relay: "), done.stderr)


class Release(unittest.TestCase):
    def test_the_version_is_one(self):
        """What is built, the manual page, and the newest entry of the change log."""
        version = subprocess.run([RELAY, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[1]
        self.assertRegex(read("CHANGELOG.md"), r"\A# Changes\n(?:(?!^## ).*\n)*## %s\b" % re.escape(version))
        self.assertIn('"firezone-relay %s"' % version, read("docs", "firezone-relay.1").splitlines()[1])
        self.assertRegex(read("SECURITY.md"), r"(?m)^\| %s\.x +\| yes" % re.escape(version.rsplit(".", 1)[0]))


class Readme(unittest.TestCase):
    def test_what_it_refers_to_is_there(self):
        for target in re.findall(r"\]\(([^)#:]+)\)", read("README.md")):
            self.assertTrue(os.path.exists(os.path.join(SOURCE, target)), target)
        for script in re.findall(r"\bscripts/[\w.-]+", read("README.md")):
            self.assertTrue(os.access(os.path.join(SOURCE, script), os.X_OK), script)

    def test_the_example_compiles_and_is_a_relay(self):
        examples = re.findall(r"^```c\n(.*?)^```", read("README.md"), re.M | re.S)
        self.assertEqual(len(examples), 1)
        low, high = PortBlock.take(10)
        here = (examples[0].replace("203.0.113.7", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")
                .replace("3478", str(low)))
        self.assertNotEqual(here, examples[0])
        with tempfile.TemporaryDirectory() as folder:
            source, program = os.path.join(folder, "example.c"), os.path.join(folder, "example")
            with open(source, "w", encoding="utf-8") as f:
                f.write(here)
            flags = ["-pedantic-errors", "-Wall", "-Wextra", "-Werror", "-I", os.path.join(SOURCE, "include")]
            subprocess.run([os.environ.get("CC", "cc"), "-std=c11", *flags, source, LIBRARY, "-lmbedcrypto", "-o", program],
                           check=True)
            if shutil.which(os.environ.get("CXX", "c++")):
                subprocess.run([os.environ.get("CXX", "c++"), "-x", "c++", "-std=c++17", *flags, "-fsyntax-only", source],
                               check=True)
            with subprocess.Popen([program]) as relay:
                try:
                    wait_for(lambda: answers_binding(socket.AF_INET, "127.0.0.1", low, 0.2), "the example to answer")
                    self.assertIsNone(relay.poll())
                    second = subprocess.run([program], stderr=subprocess.PIPE, text=True, check=False, timeout=20)
                    self.assertEqual((second.returncode, second.stderr), (1, "address already in use\n"))
                finally:
                    relay.kill()
        PortBlock.give_back(low)


if __name__ == "__main__":
    unittest.main(verbosity=2)
