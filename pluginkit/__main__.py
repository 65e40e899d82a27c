"""``python -m pluginkit`` is the ``pluginkit`` command."""

from pluginkit.cli.supervised_command import main

raise SystemExit(main())
