#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The pages for developers name what is there: files, and names in the sources."""
import pathlib
import re
import sys
import unittest

import test_includes

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ("docs/internals.md", "docs/hacking.md")
TOPS = ("cli", "docs", "examples", "findings", "include", "lib", "packaging", "scripts", "tests")


def named_in(page):
    """Words in backquotes, and targets of links."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.S)
    return re.findall(r"`([^`\n]+)`", text), re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)


def is_path(word):
    return word.split("/")[0] in TOPS and "/" in word and "…" not in word and " " not in word


class Pages(unittest.TestCase):
    def test_files_exist(self):
        checked = 0
        for page in PAGES:
            words, targets = named_in(page)
            for path in [ROOT / w for w in words if is_path(w)] + [(ROOT / page).parent / t for t in targets if "://" not in t]:
                checked += 1
                self.assertTrue(path.exists(), f"{page}: {path}")
        self.assertGreater(checked, 60)

    def test_links_lead_somewhere(self):
        """Of all pages, to files and to headings, as the web sites of repositories name those."""
        def anchors(path):
            text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
            headings = re.findall(r"^#+ (.*)$", text, re.M)
            return {re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", h).lower()).replace(" ", "-") for h in headings}
        checked = 0
        for page in sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "examples").rglob("*.md")):
            text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
            for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", text):
                if "://" in target:
                    continue
                path = page.parent / target if target else page
                checked += 1
                self.assertTrue(path.exists(), f"{page}: {target}")
                if anchor and path.suffix == ".md":
                    self.assertIn(anchor, anchors(path), f"{page}: {target}#{anchor}")
        self.assertGreater(checked, 50)

    def test_names_exist(self):
        sources = "\n".join(p.read_text(encoding="utf-8") for top in ("cli", "include", "lib")
                            for p in sorted((ROOT / top).rglob("*.[ch]")))
        known, checked = set(re.findall(r"\w+", sources)), 0
        for page in PAGES:
            for word in named_in(page)[0]:
                name = re.fullmatch(r"(?:enum )?([a-z]+(?:_\w+)+|(?:FZR|COMMAND)_\w+)(…)?", word)
                if not name or name.group(1) in ("fzr_noun_verb", "FZR_NOUN"):
                    continue
                checked += 1
                found = any(k.startswith(name.group(1)) for k in known) if name.group(2) else name.group(1) in known
                self.assertTrue(found, f"{page}: {word}")
        self.assertGreater(checked, 20)

    def test_the_table_of_folders_is_the_one_that_the_sources_are_held_to(self):
        page = (ROOT / "docs/internals.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| `((?:lib|cli)[a-z/]*)` \| [^|]+ \|([^|]*)\|$", page, re.M)
        told = [(folder, tuple(uses.strip().split(", ")) if uses.strip() else ()) for folder, uses in rows]
        self.assertEqual(told, [(f"{top}/{folder}".rstrip("/"), uses) for top, table in (("lib", test_includes.LIB), ("cli", test_includes.CLI))
                                for folder, uses in table.items()])


if __name__ == "__main__":
    sys.exit(unittest.main())
