"""The shared core: nouns, fitted models, rules and state. No web, no schema library, no trainer."""
