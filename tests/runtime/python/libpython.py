"""Prints the path of this interpreter's shared libpython if it is one that an
engine can embed (3.11 or later), and nothing otherwise."""

import os
import sys
import sysconfig

name = sysconfig.get_config_var("INSTSONAME") or ""
path = os.path.join(sysconfig.get_config_var("LIBDIR") or "", name)
multiarch = os.path.join(os.path.dirname(path),
                         sysconfig.get_config_var("MULTIARCH") or "", name)
if sys.version_info >= (3, 11) and ".so" in name:
    print(next((p for p in (multiarch, path) if os.path.exists(p)), ""),
          end="")
