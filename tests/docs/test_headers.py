# SPDX-License-Identifier: Apache-2.0
"""How the public headers are written: narrow enough to read anywhere, with a comment above all that they declare, and each error of a function
on a line of its own. That the check would find what is not so is tried with small headers of its own.

Arguments: the public headers."""
import os
import re
import sys
import unittest

COLUMNS = 100
SHARE = 0.65

HEADERS = sys.argv[1:]
del sys.argv[1:]


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read().split("\n")


def kinds_of(lines):
    """For each line: 'blank', 'comment', 'code', or 'both', which is a comment beside code."""
    kinds, inside = [], False
    for line in lines:
        text = line.strip()
        if not text:
            kinds.append("comment" if inside else "blank")
        elif inside or text.startswith("/*"):
            inside = "*/" not in text
            kinds.append("comment" if inside or text.endswith("*/") else "both")
        else:
            kinds.append("both" if "/*" in text or "//" in text else "code")
            inside = "/*" in text and "*/" not in text
    return kinds


def share_of(headers):
    kinds = [kind for lines in headers for line, kind in zip(lines, kinds_of(lines)) if line.strip()]
    return kinds.count("comment") / len(kinds)


def without_comment(line):
    return re.sub(r"/\*.*?\*/|//.*", "", line).strip()


def statements_of(lines):
    """(line number, text, lines, whether a comment stands above, what it stands in) of each declaration, macro, field and constant."""
    kinds, within, at = kinds_of(lines), [], 0
    while at < len(lines):
        text, above, first = without_comment(lines[at]), at > 0 and kinds[at - 1] == "comment", at
        at += 1
        if kinds[first] in ("blank", "comment"):
            continue
        if text.startswith("#"):
            yield first + 1, text, 1, above, "macro"
        elif text.startswith("}"):
            if within:
                within.pop()
        elif text.endswith("{"):
            yield first + 1, text, 1, above, within[-1] if within else "file"
            within.append(re.match(r"(?:typedef )?(struct|union|enum)\b|", text).group(1) or "body")
        else:
            stops = (",",) if within and within[-1] == "enum" else (";", "{") if not within else (";",)
            while not text.endswith(stops) and text != "{" and at < len(lines) and not lines[at].strip().startswith("}"):
                text += " " + without_comment(lines[at])
                at += 1
            yield first + 1, text, at - first, above, within[-1] if within else "file"
            if text.endswith("{"):
                within.append("body")


def comments_of(lines):
    """(line number, text without stars) of each comment that is more than one line."""
    text = "\n".join(lines)
    for found in re.finditer(r"/\*\*\n(.*?)\*/", text, re.S):
        yield text.count("\n", 0, found.start()) + 1, re.sub(r"(?m)^ *\* ?", "", found.group(1))


def problems_of(lines):
    problems = [f"{n}: {len(line)} columns" for n, line in enumerate(lines, 1) if len(line) > COLUMNS]
    problems += [f"{n}: a comment beside code" for n, kind in enumerate(kinds_of(lines), 1) if kind == "both"]
    last_macro = -1
    for n, text, count, above, within in statements_of(lines):
        if within == "macro":
            macro = re.match(r"#define (\w+)", text)
            if macro and not macro.group(1).endswith("_H") and macro.group(1) != "FZR_API":
                if not above and last_macro != n - 1:
                    problems.append(f"{n}: {macro.group(1)} has no comment")
                last_macro = n
        elif within in ("struct", "union", "enum"):
            if not above:
                problems.append(f"{n}: {text} has no comment")
            if count > 1 and "(*" not in text:
                problems.append(f"{n}: {text} is split")
        elif within == "file" and not above and re.match(r"typedef|enum|FZR_API|static inline", text):
            problems.append(f"{n}: {text} has no comment")
    for n, words in comments_of(lines):
        for returns in re.findall(r"(?m)^Returns .*(?:\n(?!- |\n).*)*", words):
            if re.search(r"FZR_ERR_\w", returns):
                problems.append(f"{n}: an error is not on a line of its own")
    return problems


class Headers(unittest.TestCase):
    def test_layout(self):
        for path in HEADERS:
            with self.subTest(os.path.basename(path)):
                self.assertEqual(problems_of(read(path)), [])

    def test_there_is_more_comment_than_code(self):
        self.assertGreater(len(HEADERS), 8)
        self.assertGreaterEqual(share_of([read(path) for path in HEADERS]), SHARE)


class Check(unittest.TestCase):
    """What is wrong is found."""

    def test_good(self):
        self.assertEqual(problems_of(
            '/* Licence */\n#ifndef X_H\n#define X_H\n#ifdef __cplusplus\nextern "C" {\n#endif\n/** Two. */\n#define FZR_A 1\n#define FZR_B 2\n'
            "/** It. */\ntypedef struct fzr_it fzr_it;\n/** Kinds. */\nenum fzr_kind {\n  /* -1xx: bad. */\n  /** One. */\n  FZR_ONE = 1,\n"
            "  /** Two. */\n  FZR_TWO = 2\n};\n/** Pair. */\ntypedef struct fzr_pair {\n  /** A. */\n  int a;\n\n  /**\n   * B.\n   */\n"
            "  int (*b)(void *ctx,\n           int c);\n} fzr_pair;\n/** Inline. */\nstatic inline int fzr_a(void)\n{\n  int c = 0;\n  return c;\n}\n"
            "/**\n * Does it.\n *\n * Returns 0, or\n * - FZR_ERR_IO: no.\n */\nFZR_API int fzr_b(int a,\n                  int b);\n#endif".split("\n")), [])

    def test_bad(self):
        rows = {
            "/* " + 100 * "x" + " */": "1: 106 columns",
            "/** E. */\nenum fzr_e {\n  FZR_E = 1\n};": "3: FZR_E = 1 has no comment",
            "/** E. */\nenum fzr_e {\n  /** E. */\n  FZR_E = 1, /**< behind */\n  /** F. */\n  FZR_F\n};": "4: a comment beside code",
            "/** E. */\nenum fzr_e {\n  /** E. */\n  FZR_E =\n      1,\n};": "4: FZR_E = 1, is split",
            "/** S. */\ntypedef struct fzr_s {\n  int a;\n} fzr_s;": "3: int a; has no comment",
            "/** S. */\ntypedef struct fzr_s {\n  /** A. */\n  int\n      a;\n} fzr_s;": "4: int a; is split",
            "typedef struct fzr_s fzr_s;": "1: typedef struct fzr_s fzr_s; has no comment",
            "FZR_API int fzr_a(int a,\n    int b);": "1: FZR_API int fzr_a(int a, int b); has no comment",
            "#define FZR_A 1": "1: FZR_A has no comment",
            "/**\n * Does it.\n * Returns 0, or FZR_ERR_IO.\n */\nFZR_API int fzr_a(void);": "1: an error is not on a line of its own",
            "/**\n * Does it.\n *\n * Returns 0, or\n * FZR_ERR_IO: no.\n */\nFZR_API int fzr_a(void);": "1: an error is not on a line of its own",
        }
        for text, problem in rows.items():
            with self.subTest(text):
                self.assertEqual(problems_of(text.split("\n")), [problem])

    def test_share(self):
        self.assertEqual(share_of([["/** One. */", "int a;", ""], ["/*", " * Two.", " */", "int b; /**< three */"]]), 4 / 6)


if __name__ == "__main__":
    unittest.main()
