"""``python -m pluginkit.cli`` is the ``pluginkit`` command."""

from pluginkit.cli.main import main

raise SystemExit(main())
