"""Small plugins with one bug each, of the sort that people write, and sound ones that look alike.

Each bug names the check of plugincheck that must catch it and, where the sanitizer is to see it,
the kind of its finding: see ``corpus.py``. ``under_compute_sanitizer.py`` shows what
compute-sanitizer says of the same kernels on a GPU.
"""
