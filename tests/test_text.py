"""Texts: as rows, from files, in features, from a language model, through a study and on a page."""

import json

import numpy as np
import pytest

import entroloop as el
from entroloop.features import extractor_for
from entroloop.generators import draw
from entroloop.generators.tiny_lm.model import TinyLM
from entroloop.generators.tiny_lm.vocabulary import Vocabulary
from entroloop.modalities.text import lengths_of, reads_as_text, rows_of, rows_of_bytes, texts_of
from entroloop.plugins.settings import validate_settings
from entroloop.report.texts import PASSAGES
from entroloop.samples import SampleSet
from entroloop.study.build import SOURCES
from entroloop.study.config import load_config

PROSE = [
    f"The {size} {animal} {verb} {where}."
    for size in ("small", "large", "old")
    for animal in ("dog", "horse", "owl", "whale", "fox")
    for verb in ("sleeps", "runs", "waits", "sings")
    for where in ("by the river", "in the field", "at home", "under a tree")
]


def load(**raw):
    settings = validate_settings(SOURCES.find(raw["source"]), raw, "data")
    return settings.load().data


def fit(texts, length=40, **settings):
    generator = TinyLM(**{"width": 16, "layers": 1, "heads": 2, "epochs": 1, **settings})
    rows = SampleSet.of_generation(rows_of(texts, length), 0)
    return generator.fit(rows, seed=1, device="cpu", threads=1, progress=lambda done, total: None)


def test_a_text_comes_back_from_its_row_and_is_cut_between_characters():
    texts = ["abc", "", "Übermaß", "a" * 9]
    rows = rows_of(texts, 8)
    assert [t.decode() for t in texts_of(rows)] == ["abc", "", "Überma", "a" * 8]
    assert lengths_of(rows).tolist() == [3, 0, 7, 8]


def test_lines_paragraphs_files_and_columns_become_rows_once_each(tmp_path):
    import pandas as pd

    long = "as equal as sixteen bytes can be"  # and so is what is left of it
    (tmp_path / "b.txt").write_text(f"one\ntwo\n\nthree  x\none\n{long}\n{long[:16]}\n")
    (tmp_path / "a.txt").write_text("four\n")
    sizes = {"n_train": 2, "n_reference": 2, "length": 16}
    found = load(source="text", path=str(tmp_path), **sizes)
    assert texts_of(found) == [b"four", b"one", b"two", b"three x", long[:16].encode()]
    assert (
        texts_of(load(source="text", path=str(tmp_path), **sizes, limit=4)) == texts_of(found)[:4]
    )
    with pytest.raises(el.InputError, match="holds 3 different texts"):
        load(source="text", path=str(tmp_path), unit="paragraph", **sizes)
    table = pd.DataFrame({"n": range(5), "t": ["p", "q", None, "r", "s"], "u": list("vwxyz")})
    table.to_parquet(tmp_path / "c.parquet")
    with pytest.raises(el.InputError, match=r"name one by data\.column: t, u"):
        load(source="text", path=str(tmp_path / "c.parquet"), **sizes)
    found = load(source="text", path=str(tmp_path), files="*.parquet", column="t", **sizes)
    assert texts_of(found) == [b"p", b"q", b"r", b"s"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe\x00bad", "not a readable text file in UTF-8"), (b"one\n", "holds 1 different")],
)
def test_what_is_no_text_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(el.InputError, match=message):
        load(source="text", path=str(tmp_path / "a.txt"), n_train=2, n_reference=2)


def test_docstrings_are_prose_and_the_same_each_time():
    raw = {"source": "docstrings", "packages": ["jinja2"], "n_train": 2, "n_reference": 2}
    found = load(**raw)
    texts = [text.decode() for text in texts_of(found)]
    assert len(texts) > 20
    assert all(text[0].isupper() and ">>>" not in text for text in texts)
    assert np.array_equal(load(**raw), found)
    with pytest.raises(el.InputError, match="no installed package 'nowhere'"):
        load(**raw | {"packages": ["nowhere"]})


def test_hashed_ngrams_count_what_a_loop_counts():
    rows = rows_of([*PROSE[:5], "ab", ""], 40)
    found = extractor_for("ngrams:8192")(rows)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)  # of the empty text, too
    counted = []
    for text in (f"\x02{text}\x03" for text in texts_of(rows)):
        grams = [text[i : i + n] for n in (2, 3, 4) for i in range(len(text) - n + 1)]
        counted.append({gram: grams.count(gram) for gram in grams})
    for i in range(5):  # where so few n-grams share a value, products are those of the counts
        for j in range(i):
            a, b = counted[i], counted[j]
            exact = sum(a[gram] * b.get(gram, 0) for gram in a)
            exact /= np.sqrt(sum(c * c for c in a.values()) * sum(c * c for c in b.values()))
            assert found[i] @ found[j] == pytest.approx(exact, abs=0.05)


def test_hashed_ngrams_of_a_text_do_not_depend_on_others_or_on_the_length_of_rows():
    found = extractor_for("ngrams")(rows_of(PROSE, 40))
    assert np.array_equal(extractor_for("ngrams")(rows_of(PROSE[7:8], 90)), found[7:8])
    with pytest.raises(el.InputError, match="takes texts"):
        extractor_for("ngrams")(np.zeros((3, 4)))


def test_one_empty_sample_covers_nothing_of_a_reference():
    rng = np.random.default_rng(0)
    letters = rng.integers(97, 123, (200, 40)).astype(np.uint8)  # no two alike
    samples = np.concatenate([rows_of(["9" * 30], 40).repeat(50, axis=0), rows_of([""], 40)])
    for generated in (samples, samples[:-1]):
        found = el.measure(
            generated=generated, reference=letters, features="ngrams", metrics=["coverage"]
        )
        assert found["coverage"].value < 0.2


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    """Return the folder of a small sentence encoder with random weights."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text in PROSE for word in text.replace(".", " .").split()})
    known = {"[PAD]": 0, "[UNK]": 1} | {word: i + 2 for i, word in enumerate(words)}
    own = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=own, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    ).save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(
        vocab_size=len(known), intermediate_size=32, max_position_embeddings=16, **size
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def test_a_sentence_encoder_from_a_folder_embeds_each_text_by_itself(
    encoder, tmp_path, monkeypatch
):
    monkeypatch.setenv("ENTROLOOP_CACHE", str(tmp_path))
    extractor = extractor_for(f"sentence:{encoder}")
    rows = rows_of(PROSE[:70], 40)
    found = extractor(rows)
    assert found.shape == (70, 16)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.array_equal(extractor(rows), found)  # from the cache
    monkeypatch.setenv("ENTROLOOP_CACHE_MB", "0")
    assert np.array_equal(extractor(rows[3:5]), found[3:5])
    with pytest.raises(el.InputError, match="takes texts"):
        extractor(np.zeros((3, 4)))
    with pytest.raises(el.InputError, match="there is no folder"):
        extractor_for("sentence:./nowhere")
    with pytest.raises(el.InputError, match="need a model"):
        extractor_for("sentence")


def test_selection_keeps_different_texts_of_a_pool_of_copies():
    texts = PROSE[:3] * 20 + ["Something else entirely, with other words!"]
    chosen = el.select(rows_of(texts, 48), 4, features="ngrams")
    assert len({texts[i] for i in chosen.indices}) == 4


def test_merges_are_the_most_frequent_pairs_and_lead_back_to_the_text():
    found = Vocabulary.learned([b"aab aab aab", b"ab"], 258)
    assert found.tokens[256:] == [b"ab", b"aab"]  # a and b 4 times; a and ab 3 times
    learned = Vocabulary.learned([text.encode() for text in PROSE], 400)
    for text in [*PROSE[:9], "Ünknown #§ wörds\tand signs"]:
        tokens = learned.encoded(text.encode())
        assert b"".join(learned.tokens[token] for token in tokens) == text.encode()
    assert len(learned.encoded(PROSE[0].encode())) < 12 < len(PROSE[0])


def test_samples_depend_on_their_seed_alone_and_top_p_keeps_likely_tokens():
    model = fit(PROSE, epochs=6, lr=1e-2)
    many = draw(model, 0, 1, 0, 300, lambda done, total: None)
    assert np.array_equal(model.sample([5, 9, 7])[1], model.sample([1, 9, 2])[1])
    assert all(texts_of(many))
    certain = TinyLM(**{**model.settings.model_dump(), "top_p": 1e-9})
    greedy = type(model)(certain, model.row_format, model.vocabulary, model.network, 1)
    assert len(set(texts_of(greedy.sample(range(20))))) == 1


def test_the_likelihood_is_that_of_the_samples_that_a_model_makes():
    # All that a trained model knows: two texts, so that their probabilities add up to nearly 1.
    model = fit(["ab", "cd"] * 40, length=4, vocabulary=256, epochs=60, lr=2e-2)
    found = model.log_likelihood(rows_of(["ab", "cd", "ax"], 4))
    share = np.exp(np.nansum(found, axis=1))
    assert share[:2] == pytest.approx([0.5, 0.5], abs=0.1)
    assert share[2] < 0.05
    made = texts_of(draw(model, 0, 1, 0, 400, lambda done, total: None))
    assert made.count(b"ab") / 400 == pytest.approx(share[0], abs=0.1)


def test_a_bigram_texts_perplexity_reaches_its_entropy():
    # Words of one random letter each: nothing can do better than ln 4 nats a letter.
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcd"), 12)) for _ in range(300)]
    model = fit(texts[:200], length=16, vocabulary=256, epochs=8, lr=1e-2, dropout=0)
    held_out = model.log_likelihood(rows_of(texts[200:], 16))
    assert np.exp(-np.nanmean(held_out)) == pytest.approx(4, rel=0.05)


def test_a_study_of_texts_runs_from_files_to_its_page(tmp_path, entroloop_here):
    (tmp_path / "prose.txt").write_text("\n".join(PROSE))
    study = {
        "name": "prose",
        "data": {"source": "text", "path": "prose.txt", "n_train": 32, "n_reference": 64,
                 "length": 40},
        "generator": {"name": "tiny_lm", "width": 16, "layers": 1, "heads": 2, "epochs": 1},
        "generations": 2,
        "guard": 32,
        "metrics": {"extra": ["distinct_2", "self_bleu", "copied_share", "copied_share_real",
                              "perplexity", "tail_mass"]},
        "arms": [{"paradigm": "accumulate_subsample", "strategy": s, "oversample": 2}
                 for s in ("greedy", "guarded")],
    }  # fmt: skip
    (tmp_path / "prose.yaml").write_text(json.dumps(study))
    answer = entroloop_here("run", "prose.yaml", "--out", "out", "--workers", "1")
    assert answer.returncode == 0, answer.stderr
    found = el.load_study(tmp_path / "out")
    assert found.config.metrics.features == "ngrams"
    told = found.records[study["metrics"]["extra"]]
    assert np.isfinite(told.drop(columns="tail_mass").to_numpy(float)).all()
    assert told["tail_mass"].isna().all()  # no word of these is rare
    assert found.records["distinct_2_floor"].nunique() == 1  # one held-out set
    made = found.run("accumulate_subsample-greedy")[2]
    assert np.array_equal(made.draw(9), made.samples[:9])
    page = (tmp_path / "out" / "report.html").read_text()
    passage = page.split('id="passages-0"')[1]
    assert "real training text" in passage
    beside = sum(passage.count(f">{text}<") for text in PROSE)
    assert beside >= len(study["arms"]) * PASSAGES  # each sample with the text that has it


def test_texts_are_measured_by_their_features_and_by_their_words():
    sets = {"generated": rows_of(PROSE[:60], 40), "train": rows_of(PROSE[60:120], 40)}
    found = el.measure(**sets, features="ngrams")
    assert found["distinct_1"].value < 0.2
    assert found["copied_share"].value > 0.5
    assert found["generalization_score"].value > 0
    assert "perplexity" not in found


def test_grey_levels_in_rows_are_not_measured_as_texts(rng):
    grey = rng.integers(1, 256, (40, 64), dtype=np.uint8)
    digits = np.clip(rng.integers(-9, 17, (40, 64)), 0, 16).astype(np.uint8)
    for rows in (grey, digits):
        assert not reads_as_text(rows)
        assert "distinct_1" not in el.measure(generated=rows, train=rows[:20])
    made = rows_of_bytes([b"a few bytes \xff that a model made"] * 3, 40)
    assert reads_as_text(made)
    assert reads_as_text(rows_of(PROSE, 40))
    assert reads_as_text(rows_of(["", "äöü 漢字"], 20))
    named = el.measure(generated=grey, metrics=["distinct_1"])
    assert list(named) == ["distinct_1"]


def test_features_of_sources_of_texts_are_ngrams_unless_they_are_named():
    raw = {
        "data": {"source": "text", "n_train": 2, "n_reference": 2, "path": "x"},
        "arms": [{"paradigm": "replace"}, {"name": "b", "features": "raw"}],
        "generations": 2,
    }
    config = load_config(raw, {})
    assert [arm.features for arm in config.arms] == ["ngrams", "raw"]
    assert config.metrics.features == "ngrams"
    assert load_config(raw | {"metrics": {"features": "raw"}}, {}).metrics.features == "raw"
