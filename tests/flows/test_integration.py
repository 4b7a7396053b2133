"""The examples of docs/integration.md, run word for word against a running service; both languages have them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.flows.running import Service, environment, memberwise, running
from tests.shop import open_shop, settings_at

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs" / "integration.md", ROOT / "docs" / "integration.zh-CN.md")
ISSUER = "https://shop.example"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STAND_IN = """
const wx = {
  request({ url, method, data, header, success, fail }) {
    fetch(url, { method, headers: header, body: JSON.stringify(data) }).then(
      async (answer) => success({ statusCode: answer.status, data: await answer.json() }), fail);
  },
};
"""
USE = """
service.url = process.env.URL;
service.token = process.env.TOKEN;
const page = { data: {}, setData(values) { Object.assign(this.data, values); } };
(async () => {
  await loadHome(page);
  const told = await tapped(page, page.data.items[0]);
  const similar = await similarItems("i05", "s1");
  service.token = "none";
  const empty = { data: {}, setData: page.setData };
  await loadHome(empty);
  console.log(JSON.stringify({ home: page.data, told, similar, empty: empty.data }));
})();
"""


def blocks(page: Path, language: str) -> list[str]:
    return [block for name, block in FENCE.findall(page.read_text("utf-8")) if name == language]


def curl_calls(page: Path = PAGES[0]) -> list[str]:
    return [block for block in blocks(page, "sh") if block.startswith("curl")]


@dataclass(frozen=True)
class Example:
    """What the examples find in their environment."""

    environ: dict[str, str]

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """A service of a small shop, an API key and a secret for member tokens, made as the page says."""
    settings = settings_at(tmp_path_factory.mktemp("integration"))
    open_shop(settings)
    key = memberwise(
        settings, "keys", "create", "integration", "--scopes", "recommend,events,catalog,coupons"
    ).stdout.strip()
    secret = memberwise(settings, "keys", "tokens", "create", "backend-1").stdout.strip()
    with running(settings, "--workers", "1", environ={"MEMBERWISE_JWT_ISSUER": ISSUER}) as service:
        yield Example(_environ(service, key, secret) | {"PYTHONPATH": str(ROOT)} | environment(settings))


def _environ(service: Service, key: str, secret: str) -> dict[str, str]:
    return {"URL": service.url, "KEY": key, "SECRET": secret, "MEMBERWISE_JWT_ISSUER": ISSUER}


@pytest.mark.parametrize("call", curl_calls(), ids=lambda call: call.split('"')[1].removeprefix("$URL/v1/"))
def test_curl(example: Example, call: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    answer = orjson.loads(example.run("bash", "-euc", call))
    assert "status" not in answer, answer
    if "items" in answer:
        assert len(answer["items"]) == 5
    else:
        assert answer["rejected"] == 0


def test_python(example: Example, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text("\n".join(blocks(PAGES[0], "python")), "utf-8")
    shown = [line.split() for line in example.run(sys.executable, str(program)).splitlines()]
    assert [line[0] for line in shown[:5]] == ["1", "2", "3", "4", "5"]
    assert all(line[1].startswith("i") for line in shown[:5])


def test_javascript(example: Example, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("no Node.js on this machine: the examples in JavaScript were not run")
    signing = tmp_path / "signing.py"
    parts = [block for block in blocks(PAGES[0], "python") if block.startswith(("import os", "import base64"))]
    signing.write_text("\n".join([*parts, "print(token)"]), "utf-8")
    example.environ["TOKEN"] = example.run(sys.executable, str(signing)).splitlines()[-1]
    program = tmp_path / "example.js"
    program.write_text("\n".join([STAND_IN, *blocks(PAGES[0], "javascript"), USE]), "utf-8")
    found = orjson.loads(example.run("node", str(program)))
    assert len(found["home"]["items"]) == 6
    assert found["told"]["accepted"] == 1
    assert len(found["similar"]) == 6
    assert found["empty"] == {"items": [], "recommendationId": ""}


def test_both_languages_have_the_same_examples_and_sections() -> None:
    english, chinese = (page.read_text("utf-8") for page in PAGES)
    assert [block for _, block in FENCE.findall(english)] == [block for _, block in FENCE.findall(chinese)]
    levels = [re.findall(r"^(#+) ", FENCE.sub("", text), re.MULTILINE) for text in (english, chinese)]
    assert levels[0] == levels[1]
    tables = [[line.count("|") for line in text.splitlines() if line.startswith("|")] for text in (english, chinese)]
    assert tables[0] == tables[1]


def test_every_example_is_run() -> None:
    languages = {name for name, _ in FENCE.findall(PAGES[0].read_text("utf-8"))}
    assert languages == {"sh", "python", "javascript"}
    rest = [block for block in blocks(PAGES[0], "sh") if not block.startswith("curl")]
    assert all(line.startswith("export ") for block in rest for line in block.splitlines())
