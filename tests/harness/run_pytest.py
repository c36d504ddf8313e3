"""pytest with this directory's plugins, for either Python.

    PYTHON tests/harness/run_pytest.py [--with MODULE]... PYTEST-ARGUMENT...

The plugins' directory goes into sys.path here and not into PYTHONPATH, so
that no cluster started by a test inherits it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True

import pytest  # noqa: E402

if __name__ == "__main__":
    arguments = sys.argv[1:]
    plugins = ["harness.outcomes"]
    while arguments[:1] == ["--with"]:
        plugins.append(arguments[1])
        del arguments[:2]
    for plugin in reversed(plugins):
        arguments[:0] = ["-p", plugin]
    sys.exit(pytest.main(["-p", "no:cacheprovider", *arguments]))
