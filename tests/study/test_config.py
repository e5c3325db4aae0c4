import os

import pytest

from jaxcirc.models import Llama3Rotary
from jaxcirc.study import PACKAGED, StudyError, load_config, new_study, prepare
from jaxcirc.study._sources import Train

from .conftest import TINY


@pytest.mark.parametrize("row", PACKAGED, ids=lambda row: row.name)
def test_packaged_studies_are_valid_and_short(row):
    prepared = prepare(
        load_config(row.name, ["task.max_bytes=100000"] if "text" in row.name else [])
    )
    assert prepared.config.name == row.name
    assert len(row.path.read_text().splitlines()) < 40
    assert row.summary


def test_the_template_is_valid(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(new_study("mine"))
    assert prepare(load_config(str(path))).config.name == "mine"


def test_overrides_reach_every_section(tiny):
    prepared = prepare(
        tiny(
            "training.steps=20",
            "training.learning_rate=1e-3",
            "task.p=7",
            "model.n_layers=1",
            "measure[0].n_examples=4",
            "training.batch_size=null",
            "training.freeze=[W_E]",
        )
    )
    assert isinstance(prepared.source, Train)
    training = prepared.source.training
    assert training.steps == 20
    assert training.learning_rate == 1e-3
    assert training.batch_size is None
    assert training.freeze == ("W_E",)
    assert prepared.task.d_vocab == 8
    assert prepared.model.n_layers == 1
    assert prepared.measurements[0].options == {"n_examples": 4}


def test_a_section_named_like_the_task_adds_to_its_options(tmp_path):
    (tmp_path / "a.txt").write_text("some words " * 200)
    config = load_config("text", [f"text.paths=[{tmp_path}]", "text.n_ctx=16"])
    assert config.task["paths"] == [str(tmp_path)]
    assert prepare(config).task.n_files == 1


def test_the_earlier_name_of_a_task_is_read_with_its_section(tiny_file):
    text = tiny_file.read_text().replace("mod_add, p: 5", "tokens, n_ctx: 9")
    tiny_file.write_text(text)
    ids = ",".join(str(i % 6) for i in range(200))
    config = load_config(str(tiny_file), [f"tokens.ids=[{ids}]", "tokens.n_ctx=8"])
    task = prepare(config).task
    assert (type(task).__name__, task.n_ctx, task.d_vocab) == ("Text", 8, 6)


def test_vocabulary_and_context_come_from_the_task(tiny):
    prepared = prepare(tiny())
    assert (prepared.model.d_vocab, prepared.model.n_ctx) == (6, 3)
    assert prepare(tiny("model.n_ctx=8")).model.n_ctx == 8


def test_steps_may_be_a_range_with_both_ends_or_a_list(tiny):
    every = prepare(tiny()).measurements[0].steps
    assert every == (0, 1, 2, 4, 8)
    some = prepare(tiny("steps={start: 0, end: 8, step: 4}")).measurements
    assert [m.steps for m in some] == [(0, 4, 8)] * 2
    own = prepare(tiny("measure[1].steps=[8, 0]")).measurements
    assert [m.steps for m in own] == [every, (0, 8)]


BAD = {
    "unknown key": (
        "trainig.steps=5",
        "trainig: unknown key 'trainig'; did you mean 'training'",
    ),
    "unknown option": ("training.step=5", "did you mean 'steps'"),
    "unknown task option": ("task.q=5", "task.q: unknown key 'q'"),
    "wrong type": (
        "training.steps=many",
        "training.steps: input should be a valid integer",
    ),
    "unknown task": ("task.name=mod_ad", "did you mean 'mod_add'"),
    "unknown family": ("model.family=atention_only", "did you mean 'attention_only'"),
    "unknown measurement": ("measure=[performanse]", "did you mean 'performance'"),
    "duplicate": ("measure=[weights, weights]", "'weights' is there already"),
    "outside": ("steps=[9]", r"\[9\] is outside the run, which goes from 0 to 8"),
    "range outside": ("steps={start: 0, end: 12, step: 4}", r"\[12\] is outside"),
    "not a checkpoint": ("steps=[3]", "no checkpoint at steps .3.; the nearest"),
    "heads": ("model.n_heads=3", "does not divide `d_model` = 8"),
    "vocabulary": ("model.d_vocab=3", "the task needs at least 6"),
    "unmeasurable": ("measure=[attention]", "need a context of at least 5"),
    "schedule": ("training.checkpoints=al", "'all', 'linear'"),
    "value": ("training.steps=0", "must be at least 1"),
    "name": ("name=a/b", "name: string should match"),
    "id": ("measure=[{name: weights, id: training}]", "cannot be an `id`"),
    "id of changes": ("measure=[{name: weights, id: changes}]", "cannot be an `id`"),
    "id up": ("measure=[{name: weights, id: ..}]", "id: string should match"),
    "id here": ("measure=[{name: weights, id: .}]", "id: string should match"),
    "id script": ("measure=[{name: weights, id: <!--<script>}]", "should match"),
    "id formula": ("measure=[{name: weights, id: =1+1}]", "should match"),
    "far range": ("steps={start: 0, end: 10000000000, step: 1}", "outside the run"),
    "400 digits": (f"steps=[{'9' * 400}]", "less than"),
    "clip": ("training.clip=-1", "`clip` must be positive"),
    "b1": ("training.b1=1.5", r"`b1` must be in \[0, 1\); got 1.5"),
    "b2": ("training.b2=-0.1", r"`b2` must be in \[0, 1\)"),
    "rate": ("training.learning_rate=.inf", "`learning_rate` must be positive"),
    "decay": ("training.weight_decay=-1", "`weight_decay` must be at least 0"),
    "seed": ("training.seed=2147483648", "seeds must be from 0 to 2,147,483,647"),
    "last seed": ("training={seed: 2147483647, seeds: 2}", "seeds must be from 0"),
    "seed below": ("training.seed=-1", "seeds must be from 0"),
    "size": ("model.d_head=-1", "`d_head` must be at least 1"),
    "huge size": ("model.d_model=10000000000", "below 2.31"),
    "length": (
        "measure=[{name: patterns, max_length: 0}]",
        "`max_length` must be at least 1; got 0",
    ),
    "rows": ("measure=performance", "measure: this is a list of rows"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_named_with_what_is_allowed(tiny, fault):
    override, words = BAD[fault]
    with pytest.raises(StudyError, match=words):
        prepare(tiny(override))


def test_all_faults_are_told_at_once(tiny):
    with pytest.raises(StudyError) as caught:
        prepare(tiny("task.q=1", "training.stepz=2", "model.family=x"))
    for words in ("task.q", "training.stepz", "task.q"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "not valid YAML"),
        ("- a\n- b", "a mapping of keys"),
        (TINY.replace("name: tiny", "name: a\nname: b"), "duplicate"),
        (TINY.replace("task:", "tsk:"), "task: this key is required"),
        (TINY + "x: ${nowhere}", "nowhere"),
        ("", "a mapping of keys"),
        ("3", "a mapping of keys"),
        (TINY + "metrics: -1", "metrics: this is a list of rows; got -1"),
        (TINY + "about: '${oc.env:HOME}'", "outside the study.*command line"),
        (TINY + "about: 'at ${oc.decode:1}'", "outside the study"),
        (TINY + "x: " + "[" * 500 + "]" * 500, "nested more than 60 deep"),
        (TINY + "x: " + "[" * 100_000, "nested more than 60 deep"),
        (TINY + "x: &a [1]\ny: *a", r"aliases \(\*a\) are not read"),
        (TINY.replace("mod_add, p: 5", "tokens, tokenizer: 3"), "got 3"),
        (TINY + "x: !!python/object/apply:os.system ['touch /tmp/hacked']", "YAML"),
    ],
)
def test_files_that_cannot_be_understood(tmp_path, text, words):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(StudyError, match=words):
        prepare(load_config(str(path)))
    assert not os.path.exists("/tmp/hacked")


def test_a_study_refers_to_its_own_keys(tiny_file):
    text = tiny_file.read_text() + "about: 'for ${training.steps} steps'\n"
    tiny_file.write_text(text)
    assert load_config(str(tiny_file), ["training.steps=9"]).about == "for 9 steps"


def test_names_may_have_any_letters_and_files_are_utf_8(tiny_file):
    text = tiny_file.read_text(encoding="utf-8").replace("name: tiny", "name: größe")
    for encoding in ("utf-8", "utf-8-sig"):
        tiny_file.write_text(text, encoding=encoding)
        assert load_config(str(tiny_file)).name == "größe"
    tiny_file.write_text(text, encoding="latin-1")
    with pytest.raises(StudyError, match="cannot be read as UTF-8"):
        load_config(str(tiny_file))


def test_a_family_refuses_what_contradicts_it(tiny):
    with pytest.raises(StudyError, match="`tied` is True in this family; got False"):
        prepare(tiny("model={family: gemma, tied: false, d_model: 8, n_heads: 2}"))


def test_any_field_of_a_config_is_an_option_of_a_family(tiny):
    rotary = "{factor: 8, low: 1, high: 4, n_ctx: 64}"
    options = "family: llama, d_model: 8, n_heads: 2, n_layers: 2"
    study = f"model={{{options}, window: [4, null], rotary_llama3: {rotary}}}"
    model = prepare(tiny(study)).model
    assert model.window == (4, None)
    assert model.rotary_llama3 == Llama3Rotary(8.0, 1.0, 4.0, 64)
    with pytest.raises(StudyError, match="`rotary_llama3` takes factor, .*got factr"):
        prepare(tiny(f"model={{{options}, rotary_llama3: {{factr: 8}}}}"))


def test_a_misspelt_study_names_the_nearest():
    with pytest.raises(StudyError, match="did you mean 'induction'"):
        load_config("inducton")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("steps", "'steps' is not of the form key=value"),
        ("=5", "'=5' is not of the form key=value"),
        ("training.steps.x=1", "training.steps"),
        ("steps=[", r"'steps=\['"),
    ],
)
def test_malformed_overrides_are_named(tiny, override, words):
    with pytest.raises(StudyError, match=words):
        prepare(tiny(override))


def test_only_hmc_takes_leapfrog_steps():
    with pytest.raises(StudyError, match="'sgld' makes no trajectories; only `hmc`"):
        prepare(load_config("induction", ["measure=[{name: llc, num_leapfrog: 5}]"]))
    row = "{name: llc, sampler: hmc, num_leapfrog: 5, batch_size: null}"
    prepared = prepare(load_config("induction", [f"measure=[{row}]"]))
    assert prepared.measurements[0].measure.sampling.sampler.num_leapfrog == 5


def test_a_measurement_that_has_a_new_name_says_so(tiny):
    with pytest.raises(StudyError, match="'circuits' is called 'ov_qk' now"):
        prepare(tiny("measure=[circuits]"))
