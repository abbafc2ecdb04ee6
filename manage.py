#!/usr/bin/env python3
"""The command line of the project. `manage.py help` lists the commands."""

import os
import sys


def main(arguments: list[str]) -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    if arguments[1:2] == ["demo"]:
        # The demo has its own settings. They must be set before Django reads any.
        from newsletter.demo.environment import DemoEnvironment

        demo = DemoEnvironment(once="--once" in arguments)
        os.environ.update(demo.prepare(reset="--reset" in arguments))
    if arguments[1:2] == ["configure"]:
        # It makes the settings, so there may be none that are valid.
        os.environ["DJANGO_SETTINGS_MODULE"] = "newsletter.config.settings_before_configuration"
    from django.core.management import execute_from_command_line

    execute_from_command_line(arguments)


if __name__ == "__main__":
    main(sys.argv)
