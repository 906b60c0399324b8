"""Plug-ins: objects of other packages under names, beside what is built in; no table lives here.

A plug-in counts only if a package declares it as an entry point (group `entroloop.<kind>`), or the
user gives it: no data file can name a class. It is imported when its name is first asked for.
"""

from entroloop.plugins.register import adopt_here, examined, register, register_option
from entroloop.plugins.table import Plugin, PluginError, Table, blamed

__all__ = [
    "Plugin",
    "PluginError",
    "Table",
    "adopt_here",
    "blamed",
    "examined",
    "register",
    "register_option",
]
