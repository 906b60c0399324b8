import pytest

import entroloop as el
from entroloop.study.config import PRESETS, load_config, parse_overrides


def test_every_preset_is_valid():
    from entroloop.study.build import build

    for name in PRESETS.own:
        built = build(load_config(name, {}))
        assert built.config.arms


def test_an_arm_takes_what_it_leaves_out_from_the_top_level(tiny):
    tiny["oversample"] = 3
    tiny["arms"][1]["generator"] = {"name": "kde", "bandwidth": 0.2}
    config = load_config(tiny, {})
    assert [arm.oversample for arm in config.arms] == [3, 2]
    assert [arm.generator["name"] for arm in config.arms] == ["gaussian", "kde"]
    assert config.arms[0].name == "replace-random"


def test_overrides_are_dotted_keys_or_nested_dicts(tiny):
    dotted = load_config(tiny, {"data.n_train": 20, "generations": 2})
    nested = load_config(tiny, {"data": {"n_train": 20}, "generations": 2})
    assert dotted == nested
    assert dotted.data["source"] == "digits"


def test_another_generator_forgets_the_settings_of_the_old_one():
    config = load_config("digits", {"generator.name": "kde", "generator.bandwidth": 0.1})
    assert config.arms[0].generator == {"name": "kde", "bandwidth": 0.1}
    assert load_config("digits", {"generator": "gaussian"}).arms[0].generator["name"] == "gaussian"
    kept = load_config("digits", {"generator.width": 64}).arms[0].generator
    assert kept == {"name": "mlp_diffusion", "steps": 1200, "width": 64}


def test_one_arm_is_reached_by_name_or_place(tiny):
    by_name = load_config(tiny, {"arms.replace-random.oversample": 4})
    by_place = load_config(tiny, {"arms": {"0": {"oversample": 4}}})
    assert by_name == by_place
    assert [arm.oversample for arm in by_name.arms] == [4, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generatons": 3}, "unknown key 'generatons' .* did you mean 'generations'"),
        ({"generations": 0}, "generations in .*greater than or equal to 1"),
        ({"seeds": []}, "seeds in .*at least 1"),
        ({"seeds": [1, 1]}, "different whole numbers"),
        ({"arms": []}, "at least one arm"),
        ({"arms": [{"strategi": "greedy"}]}, "did you mean 'strategy'"),
        ({"arms": [{"strategy": "greedy"}, {"strategy": "greedy"}]}, "two arms .*`name`"),
        ({"arms": [{"name": "a/b"}]}, "letters, digits"),
        ({"arms.replac-random.oversample": 2}, "did you mean 'replace-random'"),
        ({"data": {"n_trian": 3}}, "did you mean 'n_train'"),
        ({"data.source": "digit"}, "unknown source 'digit' .*did you mean 'digits'"),
        ({"generator": "gausian"}, "did you mean 'gaussian'"),
        ({"generator.steps": 5}, "unknown key 'steps' in generator of arm"),
        ({"arms.0.strategy": "gredy"}, "unknown strategy 'gredy' .*did you mean 'greedy'"),
        ({"arms.0.paradigm": "replac"}, "did you mean 'replace'"),
        ({"arms.0.strategy_args": {"frist": 1}}, "unknown key 'frist' in strategy_args"),
        ({"arms.1.strategy": "threshold_decay", "arms.1.strategy_args": {"decay": 2}}, "decay"),
        ({"arms.0.paradigm": "fresh", "arms.0.paradigm_args": {"fraction": 2}}, "fraction"),
        ({"arms.0.paradigm": "fresh", "arms.0.paradigm_args": {"share": 0.1}}, "fraction"),
        ({"features": "dino"}, "unknown features 'dino'"),
        ({"metric": "cosin"}, "unknown metric"),
        ({"metrics.extra": ["authpct"]}, "did you mean 'auth_pct'"),
        ({"threads": 0}, "threads"),
        ({"arms.0": 5}, "arms.0 takes a key"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_nearest_valid_name(tiny, change, message):
    from entroloop.study.build import build

    with pytest.raises(el.InputError, match=message) as caught:
        build(load_config(tiny, change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan", "mahalanobis"])
def test_every_metric_can_be_an_arms(tiny, metric):
    from entroloop.study.build import build

    assert build(load_config(tiny, {"metric": metric})).arms[0].config.metric == metric


def test_overrides_on_the_command_line_are_yaml():
    parsed = parse_overrides(["seeds=[0,1]", "name=x", "generator={name: kde}"])
    assert parsed == {"seeds": [0, 1], "name": "x", "generator": {"name": "kde"}}
    with pytest.raises(el.InputError, match="is not KEY=VALUE"):
        parse_overrides(["seeds"])


@pytest.mark.parametrize("text", ["- a\n", "name: [", ""])
def test_a_file_that_is_no_study_is_refused(tmp_path, text):
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(el.InputError, match=r"s\.yaml"):
        load_config(file, {})
