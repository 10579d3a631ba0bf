# SPDX-License-Identifier: Apache-2.0
"""The page of API documentation: all that the library exports stands on it, and what a comment refers to is there. That the check would
find what is not is tried with small headers of its own.

Arguments: the top of the source tree, and the public headers."""
import html
import importlib.util
import os
import re
import sys
import unittest

SOURCE, *HEADERS = sys.argv[1:]
del sys.argv[1:]
spec = importlib.util.spec_from_file_location("api_docs", os.path.join(SOURCE, "scripts", "api-docs.py"))
api_docs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(api_docs)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


class Headers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.library = api_docs.Library([(os.path.basename(path), read(path)) for path in HEADERS])
        cls.page = api_docs.Page(cls.library).text()

    def test_nothing_that_is_referred_to_is_missing(self):
        self.assertEqual(self.library.problems, [])

    def test_all_that_is_exported_is_there(self):
        exported = set(re.findall(r"^    (fzr_\w+);", read(SOURCE, "lib", "libfzrelay.map"), re.M))
        self.assertGreater(len(exported), 50)
        self.assertEqual(exported - set(re.findall(r'<section id="(\w+)">', self.page)), set())

    def test_links_lead_somewhere_and_no_anchor_comes_twice(self):
        anchors = re.findall(r' id="([\w.]+)"', self.page)
        self.assertEqual(len(anchors), len(set(anchors)), sorted(a for a in anchors if anchors.count(a) > 1))
        self.assertEqual(set(re.findall(r'href="#([^"]+)"', self.page)) - set(anchors), set())

    def test_no_markup_is_left(self):
        words = html.unescape(re.sub(r"<pre>.*?</pre>|<code>.*?</code>|<style>.*?</style>|<[^>]+>", " ", self.page, flags=re.S))
        for mark in ("`", "/*", "*/", "@file"):
            self.assertNotIn(mark, words)
        self.assertIsNone(re.search(r"\|\w+\|", words))


class Check(unittest.TestCase):
    """What is wrong is found."""

    def problems_of(self, text):
        return api_docs.Library([("x.h", "/**\n * @file x.h\n * About it.\n */\n" + text)]).problems

    def test_good(self):
        self.assertEqual(self.problems_of(
            "/** A pair. */\ntypedef struct fzr_pair {\n  int a; /**< see fzr_add */\n  /** Above. */\n  int (*b)(void *ctx, int c);\n} fzr_pair;\n"
            "enum fzr_kind {\n  FZR_KIND_A = 1, /**< one */\n  /* more */\n  FZR_KIND_B\n};\n"
            "/** `fzr_add` adds |a| to fzr_pair.b; FZR_KIND_… says how. |out| gets it. */\nFZR_API int fzr_add(int a, const uint8_t out[4]);\n"
            "/** Calls |hook|. */\nFZR_API void fzr_set(void (*hook)(void *ctx, int n), void *ctx);\n"), [])

    def test_bad(self):
        rows = {
            "/** |b| is none. */\nFZR_API int fzr_a(int a);\n": "x.h: fzr_a: fzr_a has no |b|",
            "/** See fzr_b. */\nFZR_API int fzr_a(int a);\n": "x.h: fzr_a: there is no fzr_b",
            "/** FZR_B_… */\nFZR_API int fzr_a(int a);\n": "x.h: fzr_a: nothing begins with FZR_B_",
            "/** `fzr_b` is another. */\nFZR_API int fzr_a(int a);\n#define fzr_b 1\n": "x.h: fzr_a: its comment is about fzr_b",
            "FZR_API int fzr_a(int a);\n": "x.h: fzr_a: it has no comment",
            "static inline int fzr_a(void)\n{\n  return 1;\n}\n": "x.h: fzr_a: it has no comment",
            "/** S. */\ntypedef struct fzr_s {\n  int a;\n} fzr_s;\n/** fzr_s.c */\nFZR_API int fzr_a(int a);\n": "x.h: fzr_a: fzr_s has no c",
            "/** S. */\ntypedef struct fzr_s {\n  int a; /**< like fzr_t */\n} fzr_s;\n": "x.h: fzr_s.a: there is no fzr_t",
        }
        for text, problem in rows.items():
            with self.subTest(text):
                self.assertEqual(self.problems_of(text), [problem])


if __name__ == "__main__":
    unittest.main()
