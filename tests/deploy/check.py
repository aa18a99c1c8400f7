"""What deploy/ and the runbooks promise, held against the program: `check.py manifests | rules | dashboard | pages`.

`check.py planted` plants a mistake for each kind of fault and wants it found, and silences or sets off every alert and wants
its tests to notice. Prints what is wrong, a line each, and ends with 1; or a line that says how much was looked at.
"""

import sys

import manifests
import pages
import planted
import promql
from tree import Tree


def main(what):
    tree = Tree()
    checks = {"manifests": manifests.check, "rules": promql.check, "dashboard": promql.dashboard, "pages": pages.check}
    if what == "planted":
        looked, faults = planted.check(checks)
    else:
        looked, faults = f"{what}: sound", checks[what](tree)
    print("\n".join(faults) if faults else looked)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
