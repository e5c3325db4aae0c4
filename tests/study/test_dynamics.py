"""What the packaged study of induction shows: everything moves together."""

import numpy as np
import pytest

from jaxcirc.study import change_table, load_config, prepare, run


@pytest.mark.slow
def test_the_induction_head_forms_within_two_checkpoints_of_the_loss_drop(tmp_path):
    config = load_config("induction_dynamics", [f"out={tmp_path / 'run'}"])
    tree = run(prepare(config)).open()
    steps = list(tree["attention"]["step"].values)
    assert len(steps) >= 50
    table = change_table(tree).to_dataframe()

    def place(measurement, quantity, where):
        rows = table[
            (table["measurement"] == measurement)
            & (table["quantity"] == quantity)
            & (table["where"] == where)
        ]
        strongest = rows.loc[rows["strength"].idxmax()]
        return steps.index(strongest["to_step"])

    drop = place("performance", "loss", "test")
    last = tree["attention"]["induction"].isel(step=-1, seed=0)
    layer, head = np.unravel_index(last.values.argmax(), last.shape)
    assert layer == 1
    formed = place("attention", "induction", f"L{layer}H{head}")
    assert abs(formed - drop) <= 2
    assert abs(place("ov_qk", "copying", "L1H0") - drop) <= 2
    # The previous-token head feeds the keys of the second layer, above chance.
    end = tree["ov_qk"].to_dataset().isel(step=-1, seed=0)
    previous = tree["attention"]["previous_token"].isel(step=-1, seed=0).sel(layer=0)
    writer = int(previous.values.argmax())
    keys = end["composition_k"].sel(layer=1, from_layer=0)
    assert (keys.values.argmax(axis=1) == writer).all()
    # Representations arrive at those of the end with the loss, and not before.
    cka = tree["metrics_2"]["cka:resid_post"].isel(seed=0).sel(layer=1).values
    assert cka[drop - 4] < 0.5
    assert cka[drop + 6] > 0.8
