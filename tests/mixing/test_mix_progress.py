"""How far a mix is, by its journals."""

import json

from click.testing import CliRunner
from helpers.mixed import few, killed, made_in, read_few, run_mix

from axolotl_slung.cli import main
from axolotl_slung.mixing.make import begin


def progress(output, *options):
    result = CliRunner().invoke(main, ["progress", str(output), *options])
    assert result.exit_code == 0, result.output
    return result.output


def steps(output):
    return {step["name"]: (step["done"], step["total"]) for step in json.loads(progress(output, "--json", "-"))}


def test_progress_of_a_mix(small):
    out = small / "out"
    begin(*read_few(small, out), out)
    assert steps(out) == {
        "read risky documents": (0, 1),
        "read base documents": (0, 14_000),
        "sort documents": (0, None),
        "write files": (0, None),
    }
    assert "unknown" in progress(out)
    assert killed(lambda _, path: path.endswith("part-00001.jsonl.zst"), lambda: made_in(small, out)) == -1
    found = steps(out)
    assert found["read risky documents"] == (1, 1) and found["read base documents"][0] >= 14_000
    done, total = found["sort documents"]
    assert done == total > 0
    done, total = found["write files"]
    assert done == 1 and total > 3
    assert run_mix(few(small), out).exit_code == 0
    assert steps(out) == {} and "steps done" in progress(out)
