"""Learning from history: reads exports, fits, evaluates and publishes bundles."""
