"""The row `taylor` of a study that trains a low-rank adapter."""

import numpy as np
import pytest

from jaxcirc.study import Study, StudyError, prepare, run


def test_an_adapter_of_the_unembedding_alone_is_linear_and_the_row_says_so(tiny):
    prepared = prepare(
        tiny(
            "measure=[{name: taylor, n_examples: 2}]",
            "training.lora={rank: 2, scale: 4.0, over: W_U}",
        )
    )
    run(prepared)
    results = Study(prepared.config.folder).open()["taylor"]
    status = results["status"]
    words = status.attrs["flag_meanings"].split()
    # The first checkpoint is what all are compared with; W_U enters logits linearly.
    found = [words[int(code)] for code in status.values[:, 0]]
    assert found == ["unmoved"] + ["polynomial"] * (len(found) - 1)
    errors = results["relative_error"].values[:, 0]
    assert np.isnan(errors[0]).all()
    np.testing.assert_allclose(errors[1:, 0], 1, rtol=1e-6)
    assert (errors[1:, 1:] < 1e-3).all()
    # An infinite radius is not a number that a curve could have.
    assert np.isnan(results["radius"].values[1:]).all()


@pytest.mark.parametrize("lora", ["{rank: 0}", "{rnk: 2}", "{rank: 2, over: []}"])
def test_adapters_that_cannot_be_are_told_before_training(tiny, lora):
    with pytest.raises(StudyError, match="LoRA"):
        prepare(tiny(f"training.lora={lora}"))
