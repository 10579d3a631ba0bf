#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Which folder may name which other's headers: the tables are the structure of the sources, and no file steps over it."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A folder, and whose headers its files may include beside its own. "" is the files right in it. The library's public headers are everybody's.
LIB = {
    "base": (),
    "stun": ("base",),
    "stream": ("base",),
    "auth": ("base", "stun"),
    "turn": ("base", "stun", "auth"),
    "io": ("base",),
}
CLI = {
    "common": (),
    "log": ("common",),
    "net": ("common",),
    "grpc": ("common", "net"),
    "http": ("common", "log"),
    "portal": ("common", "log", "net"),
    "stream": ("common", "log", "net", "handover"),
    "telemetry": ("common", "log", "net", "grpc", "http"),
    "xdp": ("common", "log", "net"),
    "handover": ("common",),
    "steer": ("common", "log"),
    "coturn": ("common",),
    "probe": ("common", "net"),
    "sessions": ("common",),
    "": ("common", "coturn", "log", "net", "http", "portal", "sessions", "stream", "telemetry", "xdp", "handover", "probe", "steer"),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def folder_of(path, top):
    parts = path.relative_to(top).parts
    return parts[0] if len(parts) > 1 else ""


def target(source, name, top):
    """The file of |top| that |source| means by |name|, or None: a public header, or one that the build makes."""
    for start in (source.parent, top):
        found = (start / name).resolve()
        if found.is_file() and top in found.parents:
            return found
    return None


def wrong(top, table):
    """Lines about what is not as |table| has it, and how many includes were looked at."""
    problems, seen = [], 0
    folders = {p.name for p in top.iterdir() if p.is_dir() and any(p.rglob("*.[ch]"))}
    for name in sorted(folders ^ (set(table) - {""})):
        problems.append(f"{top.name}/{name}: the table and the folders differ")
    for source in sorted(top.rglob("*.[ch]")):
        mine = folder_of(source, top)
        for name in INCLUDE.findall(source.read_text()):
            found = target(source, name, top)
            if found is None:
                continue
            seen += 1
            theirs = folder_of(found, top)
            if theirs != mine and theirs not in table.get(mine, ()):
                problems.append(f"{source.relative_to(ROOT)} includes {name}: {mine or 'the top'} may not name {theirs or 'the top'}")
    return problems, seen


def circles(table):
    """A table in which two folders reach each other allows what it is to prevent."""
    def reached(name, path):
        for other in table.get(name, ()):
            if other in path:
                return path + [other]
            found = reached(other, path + [other])
            if found:
                return found
        return None
    return [" -> ".join(found) for found in (reached(name, [name]) for name in table) if found]


def main():
    problems = []
    for top, table in ((ROOT / "lib", LIB), (ROOT / "cli", CLI)):
        found, seen = wrong(top, table)
        problems += found + [f"{top.name}: a circle: {c}" for c in circles(table)]
        if seen < 50:
            problems.append(f"{top.name}: only {seen} includes were found: is the pattern right?")
    print("\n".join(problems) or "every include is where it may be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
