"""A corpus of malformed inputs: each is refused with the line that was looked at, or read."""

import importlib.util
import json
import warnings
from pathlib import Path

spec = importlib.util.spec_from_file_location("corpus", Path(__file__).with_name("corpus.py"))
corpus = importlib.util.module_from_spec(spec)
spec.loader.exec_module(corpus)


def test_every_malformed_input_ends_in_its_line(tmp_path):
    expected = json.loads(corpus.EXPECTED.read_text())
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, as reading a pool does
        for ending, name, content in corpus.inputs():
            found[f"{ending}: {name}"] = corpus.told(tmp_path, ending, content)
    assert found == expected
    refused = [line for line in found.values() if line != "read"]
    assert len(refused) > 250
    assert all("\n" not in line and len(line) < 1000 for line in refused)
