"""Write, check and run plans: the files, the manifest, the engine."""
