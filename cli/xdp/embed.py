#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a file's bytes as a C array: embed.py INPUT OUTPUT NAME."""

import sys


def main():
    source, target, name = sys.argv[1:]
    with open(source, "rb") as file:
        data = file.read()
    lines = [" ".join("%d," % byte for byte in data[at:at + 32]) for at in range(0, len(data), 32)]
    with open(target, "w", encoding="ascii") as file:
        file.write("#include <stddef.h>\n\n_Alignas(8) const unsigned char %s[] = {\n%s\n};\n" % (name, "\n".join(lines)))
        file.write("const size_t %s_len = sizeof %s;\n" % (name, name))


main()
