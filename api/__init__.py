"""The service: HTTP in and out, the worker, and the commands an operator runs."""
