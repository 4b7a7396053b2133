"""Spares tests the wait until a worker looks for changes again."""

from api.services import Services


def look_again(services: Services) -> None:
    """Bring the stock file up to date and have the next request look for changes."""
    assert services.stock.keep(), "no other process keeps the stock file"
    serving = services.serving.current()
    assert serving is not None
    serving.live._next_poll = 0.0
