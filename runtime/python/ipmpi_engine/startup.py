"""What runs before an engine is ready: configuration and start-up code.

As upstream: $PYTHONSTARTUP, the profile's startup directory, exec_lines and
-c, exec_files and -s, in this order, from ipengine's own options and files.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from IPython.core.profiledir import ProfileDir, ProfileDirError
from IPython.core.shellapp import InteractiveShellApp
from traitlets.config import Config
from traitlets.config.loader import ConfigFileNotFound, PyFileConfigLoader

log = logging.getLogger("ipmpi.engine.startup")

CONFIG_FILES = ("ipython_config.py", "ipengine_config.py")
OPTIONS_ENV = "IPMPI_ENGINE_OPTIONS"


def read_options() -> dict[str, Any]:
    """What the command line said that concerns Python.

    The C side parses it and passes an object by the environment: "profile"
    and "profile_dir" (str), "exec_lines" and "exec_files" ([str]), "colors"
    (str or None), "log_level" (int, as in logging). All may be absent.
    """
    return json.loads(os.environ.get(OPTIONS_ENV) or "{}")


class Startup(InteractiveShellApp):
    """Runs the start-up code, by IPython's own means."""

    extra_args: list[str] = []
    log = log

    def __init__(self, shell, options: dict[str, Any]) -> None:
        config = _config(shell, options)
        super().__init__(config=config, shell=shell)
        self.ipython_dir = shell.ipython_dir
        self.profile_dir = shell.profile_dir
        engine = config.get("IPEngine", {})
        command, script = (str(engine.get(name, "")) for name in
                           ("startup_command", "startup_script"))
        self.exec_lines = (self.exec_lines + [command] * bool(command)
                           + options.get("exec_lines", []))
        self.exec_files = (self.exec_files + [script] * bool(script)
                           + options.get("exec_files", []))

    def run(self) -> None:
        """Runs everything; failures of user code are printed to stderr, as
        no client has a request that they could belong to."""
        shell = self.shell
        shell._showtraceback = self._print_traceback
        try:
            self.init_gui_pylab()
            self.init_extensions()
            self.init_code()
        finally:
            del shell._showtraceback

    def _print_traceback(self, etype, evalue, stb: list[str]) -> None:
        print(self.shell.InteractiveTB.stb2text(stb), file=sys.stderr)

    def exit(self, status: int = 0) -> None:
        """Called by IPython when the command line's code must end us."""
        sys.exit(status)


def _config(shell, options: dict[str, Any]) -> Config:
    """Reads the profile's files and gives the shell its configuration."""
    profile_dir = _profile_dir(options.get("profile_dir"))
    config = Config()
    if profile_dir is not None:
        shell.profile_dir = profile_dir
        for name in CONFIG_FILES:
            config.merge(_read(name, profile_dir.location))
    if options.get("colors"):
        config.InteractiveShell.colors = options["colors"]
    if "IPKernelApp" in config:  # upstream's name for the start-up code
        config.InteractiveShellApp.merge(config.IPKernelApp)
    if config:
        for part in {id(part): part for part in
                     (shell, *shell.configurables)}.values():
            part.update_config(config)
        if hasattr(shell.InteractiveTB, "set_colors"):  # IPython 8
            shell.run_line_magic("colors", shell.colors)
    return config


def _profile_dir(path: str | None) -> ProfileDir | None:
    """The profile's directory if it exists; engines create none."""
    try:
        return ProfileDir.find_profile_dir(path) if path else None
    except ProfileDirError as exc:
        log.info("%s", exc)
        return None


def _read(name: str, path: str) -> Config | dict[str, Any]:
    try:
        return PyFileConfigLoader(name, path=path).load_config()
    except ConfigFileNotFound:
        return {}
    except Exception:
        log.exception("%s in %s is not usable", name, path)
        return {}
