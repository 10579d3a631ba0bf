#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes one page of HTML out of the public headers, which are the reference.

    scripts/api-docs.py OUTPUT HEADER...

What a comment refers to has to be there: each |parameter| is one of its function, each fzr_ or FZR_ name is declared in one of the headers,
each field named behind a type is one of that type, a function's comment begins with the function's own name, and every function has a
comment. What is not so is told, and the exit status is 1; the page is written all the same.
"""
import html
import pathlib
import re
import sys

GUARD = re.compile(r"FIREZONE_RELAY_(\w+_)?H$")
NAME = r"(?:fzr|FZR)_\w+"
DOC_BEHIND = re.compile(r"[ \t]*/\*\*<(.*?)\*/", re.S)


class Item:
    """Something that a header declares: kind is function, type, struct, enum or macro."""

    def __init__(self, kind, name, code, doc, members=()):
        self.kind, self.name, self.code, self.doc, self.members = kind, name, code, doc, list(members)
        self.names = [name]  # of macros that one comment is about, all

    def parameters(self):
        inside = self.code[self.code.index("(") + 1:self.code.rindex(")")] if "(" in self.code else ""
        return set(re.findall(r"(\w+)(?:\[\w*\])?(?=\s*(?:,|$|\)\())", inside)) | set(re.findall(r"\(\*(\w+)\)", inside))


class Member:
    """A field or a constant; a heading between constants has no name."""

    def __init__(self, name, code, doc):
        self.name, self.code, self.doc = name, code, doc


def words_of(comment):
    """A comment without its stars: paragraphs with a blank line between them, and list items that begin with '- '."""
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in comment.strip().split("\n")]
    return "\n".join(lines).strip()


def end_of(text, at, stops):
    """Where the first of |stops| stands behind |at|, outside of brackets, comments and strings."""
    depth = 0
    while at < len(text):
        if text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        c = text[at]
        if c == '"':
            at = text.index('"', at + 1)
        elif c in "({[":
            if depth == 0 and c in stops:
                return at
            depth += 1
        elif c in ")}]":
            if depth == 0:
                return at
            depth -= 1
        elif depth == 0 and c in stops:
            return at
        at += 1
    return at


def without_comments(code):
    plain = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", code, flags=re.S)).strip()
    return re.sub(r" \* (?=\w)", " *", plain)


def doc_behind(text, at):
    found = DOC_BEHIND.match(text, at)
    return (words_of(found.group(1)), found.end()) if found else ("", at)


def members_of(body, stop):
    """Of a struct (|stop| is ';') or an enum (',')."""
    members, at, doc = [], 0, ""
    while at < len(body):
        if body[at].isspace():
            at += 1
        elif body.startswith("/**<", at):
            text, at = doc_behind(body, at)
            members[-1].doc += text
        elif body.startswith("/*", at):
            end = body.index("*/", at)
            if body.startswith("/**", at):
                doc = words_of(body[at + 3:end])
            elif stop == ",":
                members.append(Member("", "", words_of(body[at + 2:end])))
            at = end + 2
        else:
            end = end_of(body, at, stop)
            raw = body[at:end]
            code = without_comments(raw)
            behind = re.search(r"/\*\*<(.*?)\*/", raw, re.S)
            doc = doc or (words_of(behind.group(1)) if behind else "")
            text, at = doc_behind(body, min(end + 1, len(body)))
            name = re.search(r"\(\*(\w+)\)", code) or re.search(r"^(\w+)$|^(\w+) =|(\w+)(?:\[[^]]*\])*(?:,.*)?$", code)
            found = next((g for g in name.groups() if g), "") if name else ""
            if code:
                members.append(Member(found, code, (doc + " " + text).strip()))
            doc = ""
    return members


def declaration(text, at, doc):
    """The item that begins at |at|, None for what only holds others, and where it ends."""
    end = end_of(text, at, ";{")
    head = text[at:end]
    plain = without_comments(head)
    if end < len(text) and text[end] == "{":
        close = end_of(text, end + 1, "")
        if "(" in plain:  # an inline function: its body is nobody's business
            name = re.search(r"(\w+)\s*\(", plain).group(1)
            return Item("function", name, re.sub(r"^static inline ", "", plain), doc), close + 1
        semicolon = end_of(text, close + 1, ";")
        found = re.match(r"(typedef )?(struct|enum|union) ?(\w*)$", plain)
        name = found.group(3) or without_comments(text[close + 1:semicolon])
        kind = "enum" if found.group(2) == "enum" else "struct"
        return Item(kind, name, plain, doc, members_of(text[end + 1:close], "," if kind == "enum" else ";")), semicolon + 1
    if plain.startswith("typedef"):
        name = (re.search(r"\(\*(\w+)\)", plain) or re.search(r"(\w+)$", plain)).group(1)
        return Item("type", name, plain, doc), end + 1
    if "(" in plain and not plain.startswith("_Static_assert"):
        code = re.sub(r"^(?:FZR_API|static inline) ", "", plain)
        return Item("function", re.search(r"(\w+)\s*\(", code).group(1), code, doc), end + 1
    return None, end + 1


def group(items, has_words):
    """Puts a macro without words of its own to the one before, if that is alike."""
    if len(items) < 2 or has_words or items[-2].kind != "macro" or items[-2].doc != items[-1].doc:
        return
    macro = items.pop()
    items[-1].names.append(macro.name)
    items[-1].code += "\n" + macro.code


def items_of(text):
    """What a header says of itself, and what it declares."""
    about, items, at, doc, of_macros = "", [], 0, "", ""
    while at < len(text):
        if text[at].isspace():
            if text.startswith("\n\n", at):
                of_macros = ""
            at += 1
        elif text.startswith("/*", at):
            end = text.index("*/", at)
            if text.startswith("/**", at):
                doc = words_of(text[at + 3:end])
                if doc.startswith("@file"):
                    about, doc = doc.split("\n", 1)[1].strip(), ""
            at = end + 2
        elif text[at] == "#":
            end = re.compile(r"(?<!\\)\n").search(text, at).start()
            found = re.match(r"#define (\w+)([^\n]*)", text[at:end])
            if found and not GUARD.match(found.group(1)) and not any(found.group(1) in i.names for i in items):
                behind = re.search(r"/\*\*?<?(.*?)\*/", found.group(2))
                of_macros = doc or of_macros
                words = words_of(behind.group(1)) if behind else of_macros
                items.append(Item("macro", found.group(1), without_comments(text[at:end].replace("\\\n", "")), words))
                doc = ""
                group(items, behind is not None)
            at = end + 1
        elif text.startswith('extern "C" {', at) or text[at] == "}":
            at += len('extern "C" {') if text[at] == "e" else 1
        else:
            item, at = declaration(text, at, doc)
            behind, at = doc_behind(text, at)
            if item:
                item.doc = (item.doc + " " + behind).strip()
                items.append(item)
            doc = of_macros = ""
    return about, items


class Library:
    """All headers, and what is declared in them."""

    def __init__(self, headers):
        self.headers = [(name, *items_of(text)) for name, text in headers]
        self.problems = []
        self.anchors, self.fields = {}, {}
        for _, _, items in self.headers:
            for item in items:
                for name in item.names:
                    self.anchors[name] = item.name
                for m in item.members:
                    if m.name:
                        if item.kind == "enum":
                            self.anchors[m.name] = item.name
                        self.fields.setdefault(item.name, set()).add(m.name)
        self.check()

    def complain(self, where, what):
        self.problems.append(f"{where}: {what}")

    def check_words(self, where, words, item):
        for name, field, more in re.findall(rf"\b({NAME})(?:\.(\w+))?(…)?", words):
            begins = any(known.startswith(name) for known in self.anchors)
            if more or name.endswith("_"):
                if not begins:
                    self.complain(where, f"nothing begins with {name}")
            elif name not in self.anchors:
                self.complain(where, f"there is no {name}")
            elif field and name in self.fields and field not in self.fields[name]:
                self.complain(where, f"{name} has no {field}")
        if item is None:
            return
        known = item.parameters() | {m.name for m in item.members}
        for name in re.findall(r"\|(\w+)\|", words):
            if name not in known:
                self.complain(where, f"{item.name} has no |{name}|")

    def check(self):
        for header, about, items in self.headers:
            self.check_words(header, about, None)
            for item in items:
                where = f"{header}: {item.name}"
                self.check_words(where, item.doc, item)
                for m in item.members:
                    self.check_words(f"{where}.{m.name}", m.doc, None)
                if item.kind != "function":
                    continue
                if not item.doc:
                    self.complain(where, "it has no comment")
                own = re.match(rf"`({NAME})`", item.doc)
                if own and own.group(1) != item.name:
                    self.complain(where, f"its comment is about {own.group(1)}")


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #222; background: #fff; }
nav { position: fixed; width: 17em; top: 0; bottom: 0; overflow-y: auto; padding: 1em; background: #f4f4f4; font-size: 14px; }
nav ul { list-style: none; margin: 0 0 1em; padding: 0; } nav a { text-decoration: none; }
main { margin-left: 20em; max-width: 52em; padding: 1em 2em 4em; }
section { margin: 2em 0; padding-top: .5em; border-top: 1px solid #ddd; }
pre { background: #f4f4f4; padding: .7em; overflow-x: auto; } code, pre { font: 14px/1.4 ui-monospace, monospace; }
dt { margin-top: .5em; } dd { margin-left: 2em; } a { color: #0550ae; } h3 { margin-bottom: .3em; } h2 code, h3 code { font-size: 18px; }
@media (max-width: 60em) { nav { position: static; width: auto; } main { margin: 0; } }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd; } nav, pre { background: #262626; } a { color: #79b8ff; } }
"""


class Page:
    def __init__(self, library):
        self.library, self.out = library, []

    def linked(self, text):
        """|text|, already escaped, with links to what it names."""
        def link(found):
            anchor = self.library.anchors.get(found.group(0))
            return f'<a href="#{anchor}">{found.group(0)}</a>' if anchor else found.group(0)
        text = re.sub(rf"\b{NAME}", link, text)
        return re.sub(r"\bRFC (\d+)( section ([\d.]*\d))?",
                      lambda m: f'<a href="https://www.rfc-editor.org/rfc/rfc{m.group(1)}'
                                f'{"#section-" + m.group(3) if m.group(3) else ""}">{m.group(0)}</a>', text)

    def phrase(self, words):
        text = html.escape(words, quote=False)
        text = re.sub(r"\|(\w+)\|", r"<var>\1</var>", text)
        text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
        return self.linked(text)

    def prose(self, words):
        for paragraph in re.split(r"\n\s*\n", words):
            if not paragraph.strip():
                continue
            before, *listed = re.split(r"^- ", paragraph, flags=re.M)
            if before.strip():
                self.out.append(f"<p>{self.phrase(before)}</p>")
            if listed:
                self.out.append("<ul>" + "".join(f"<li>{self.phrase(words)}</li>" for words in listed) + "</ul>")

    def item(self, item):
        self.out.append(f'<section id="{item.name}"><h3><code>{", ".join(item.names)}</code></h3>')
        self.prose(item.doc)
        code = html.escape(item.code, quote=False)
        if item.kind == "function":
            code = code.replace("(", "(\n    ", 1).replace(", ", ",\n    ") if len(item.code) > 90 else code
            code += ";"
        if item.kind in ("function", "type", "macro"):
            self.out.append(f"<pre>{self.linked(code)}</pre>")
        if item.members:
            self.out.append("<dl>")
            for m in item.members:
                if m.name:
                    self.out.append(f"<dt><code>{self.linked(html.escape(m.code, quote=False))}</code></dt>")
                self.out.append(f"<dd>{self.phrase(m.doc)}</dd>" if m.doc and m.name else f"<dt><b>{self.phrase(m.doc)}</b></dt>" if m.doc else "")
            self.out.append("</dl>")
        self.out.append("</section>")

    def shown(self, items):
        """Without forward declarations of what is declared whole."""
        whole = {i.name for i in items if i.kind in ("struct", "enum")}
        return [i for i in items if i.kind != "type" or i.name not in whole]

    def text(self):
        self.out.append(f"<!doctype html><html lang=en><meta charset=utf-8><title>libfzrelay</title><style>{STYLE}</style><nav>")
        for header, _, items in self.library.headers:
            self.out.append(f'<b><a href="#{header}">{header}</a></b><ul>')
            self.out += [f'<li><a href="#{i.name}">{i.name}</a></li>' for i in self.shown(items) if i.kind != "macro"]
            self.out.append("</ul>")
        self.out.append("</nav><main><h1>libfzrelay</h1>")
        for header, about, items in self.library.headers:
            self.out.append(f'<h2 id="{header}"><code>&lt;firezone_relay/{header}&gt;</code></h2>')
            self.prose(about)
            for item in self.shown(items):
                self.item(item)
        self.out.append("</main></html>")
        return "\n".join(self.out) + "\n"


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    # The conventions first.
    paths = sorted(map(pathlib.Path, arguments[1:]), key=lambda p: (p.name != "firezone_relay.h", p.name))
    library = Library([(p.name, p.read_text(encoding="utf-8")) for p in paths])
    pathlib.Path(arguments[0]).write_text(Page(library).text(), encoding="utf-8")
    for problem in library.problems:
        print(f"api-docs.py: {problem}", file=sys.stderr)
    return 1 if library.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
